"""What two machines computed, compared: `python tests/same_numbers.py FOLDER FOLDER`, each with the JSON of
kernel_bits.py and every_number.py. The exit code is 1 where they differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def compare(one: Path, other: Path) -> int:
    """Say how much is equal, and what is not; return how many values differ."""
    wrong = 0
    for name in ("kernels", "numbers"):
        here, there = (json.loads((folder / f"{name}.json").read_text()) for folder in (one, other))
        print(f"{name}: {here.pop('level', '')} {there.pop('level', '')}".rstrip())
        unequal = {
            place: (here.get(place), there.get(place))
            for place in here.keys() | there.keys()
            if here.get(place) != there.get(place)
        }
        for place in sorted(unequal):
            print(f"  {place}: {unequal[place][0]} against {unequal[place][1]}")
        print(f"  {len(here) - len(unequal)} of {len(here)} equal")
        wrong += len(unequal)
    return wrong


if __name__ == "__main__":
    sys.exit(compare(*map(Path, sys.argv[1:3])) > 0)
