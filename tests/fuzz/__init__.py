"""Structure-aware fuzzing of every reader: `python -m tests.fuzz READER --minutes M`, `python -m tests.fuzz all`.

To add a reader: a file in `targets/` with seeds, a mutation, a way to read and, where other software reads the same,
an oracle; and a row in `table.TARGETS`.
"""
