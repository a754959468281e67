"""The readers that are fuzzed, one file each."""
