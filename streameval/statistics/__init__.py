"""What a sample of losses tells about all of them: samples, intervals, comparison, stopping, pairs, order.

Knows losses, as arrays or as a callable from row numbers to losses.
Does not know what an image or a model is.
"""
