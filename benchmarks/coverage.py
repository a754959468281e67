"""`python -m benchmarks.coverage`: does every interval keep its promise? Counts, shows, and writes docs/statistics.md.

    python -m benchmarks.coverage [--trials 4000] [--write] [--json FILE]

Takes a few minutes of CPU. The seed is fixed. Ends with 1 if a guarantee did not hold: if it missed in more trials than
its 5 % explain, at a chance of less than 1e-6 for each number.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.counting import SEED, TRIALS, Count, count
from benchmarks.coverage_page import broken, section, written
from benchmarks.data import ROOT
from benchmarks.populations import missing, populations

WAYS = ("with", "without")
PAGE = ROOT / "docs" / "statistics.md"


def main() -> int:
    """Count everything, or read what was counted, and print the page's section; 1 if a guarantee is broken."""
    given = _arguments().parse_args()
    stored = json.loads(given.read.read_text()) if given.read else run(given.trials, given.seed)
    if given.json:
        given.json.write_text(json.dumps(stored, indent=1))
    found = {
        name: (one["title"], {way: {key: restored(row) for key, row in one[way].items()} for way in WAYS})
        for name, one in stored["populations"].items()
    }
    text = section(found, trials=stored["trials"], seed=stored["seed"], missing=stored["missing"])
    print(text)
    if given.write:
        PAGE.write_text(written(PAGE.read_text(), text))
    wrong = broken(found)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


def run(trials: int, seed: int) -> dict[str, Any]:
    """Count all populations; everything that JSON keeps."""
    start, found = time.process_time(), {}
    for name, make in populations().items():
        population = make()
        found[name] = {"title": population.title} | {
            way: _rows(count(population, replace=way == "with", trials=trials, seed=seed)) for way in WAYS
        }
        print(f"{name}: {time.process_time() - start:.0f} s of CPU so far", file=sys.stderr, flush=True)
    return {"trials": trials, "seed": seed, "missing": missing(), "populations": found}


def _rows(counts: dict[str, Count]) -> dict[str, Any]:
    return {name: asdict(row) for name, row in counts.items()}


def restored(row: dict[str, Any]) -> Count:
    """A count as JSON kept it."""
    numbers = {key: {int(n): k for n, k in row[key].items()} for key in ("missed", "silent")}
    return Count(row["trials"], numbers["missed"], numbers["silent"], row["ever"])


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="orders of each population (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the draws (default %(default)s)")
    parser.add_argument("--write", action="store_true", help="renew the section of docs/statistics.md")
    parser.add_argument("--json", type=Path, help="write all counts to this file")
    parser.add_argument("--read", type=Path, help="show the counts of such a file again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
