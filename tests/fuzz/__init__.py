"""Structure-aware fuzzing of every reader: `python -m tests.fuzz READER --minutes M`, `python -m tests.fuzz all`.

To add a reader: a file in `targets/` with seeds, a mutation, a way to read and, where other software reads the same,
an oracle; and a row in `table.TARGETS`.
"""

import sys
from pathlib import Path

# What tests share is imported by its name alone, as in pytest's settings.
sys.path.append(str(Path(__file__).resolve().parents[1]))
