"""The contestants: one file each. Every function takes a `Task` and a chunk size, and returns a `Ready`.

Data and weights are handed over, graphs built and functions compiled before the clock starts.
"""
