"""Pictures of results, one file each: what is drawn, in which words, with which numbers. Not how it is rendered."""
