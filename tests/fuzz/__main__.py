"""The command line of the fuzzers: `python -m tests.fuzz READER --minutes M [--seed S] [--keep FOLDER]`.

READER is one of the table's, several with commas between them, or "all": those run at the same time.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def main() -> int:
    """Fuzz; the exit code is 1 where something failed."""
    from tests.fuzz.processes import fuzz
    from tests.fuzz.table import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("reader", help=f"all, or some of: {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that fail")
    given = parser.parse_args()
    names = list(TARGETS) if given.reader == "all" else given.reader.split(",")
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no reader {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    with ThreadPoolExecutor(len(names)) as pool:
        failed = list(pool.map(lambda name: fuzz(name, 60 * given.minutes, given.seed, given.keep), names))
    return 1 if any(failed) else 0


def worker(arguments: list[str]) -> None:
    """What a process of one reader does; `processes` starts it."""
    from tests.fuzz.processes import work

    name, seed, first, seconds, kept, place = arguments
    work(name, int(seed), int(first), float(seconds), Path(kept).resolve() if kept else None, Path(place))


if __name__ == "__main__":
    sys.exit(main())
