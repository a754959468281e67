"""`python -m benchmarks`: run the workloads, print the tables, write JSON, page and picture."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import machine, memory, page, racing, rates, results, roofline, shell
from benchmarks.files import Files
from benchmarks.workloads import RACES

SCHEMA: Final = "streameval/benchmarks/1"


@dataclass(frozen=True)
class Sizes:
    """How much is run. `few`: rounds of what takes seconds each."""

    rounds: int
    few: int
    rows: int | None
    drawn: int
    scaling: tuple[int, ...]
    memory: tuple[int, ...]
    quick: bool


def main() -> int:
    """Do what the command line asks for; 1 if streameval's own loss was ever wrong."""
    given = _arguments().parse_args()
    if given.read is not None:
        stored = json.loads(given.read.read_text())
    else:
        with tempfile.TemporaryDirectory(prefix="streameval-benchmarks-") as temporary:
            folder = given.work or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            stored = run(given.only, _sizes(given), folder)
    _write(stored, given)
    by_name = {result["name"]: result for result in stored["results"]}
    print(page.bars(by_name))
    wrong = results.wrong(by_name)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    every = (line for result in stored["results"] for line in result["lines"])
    return 1 if any(results.is_ours(line) and not line["right"] for line in every if "who" in line) else 0


def run(only: list[str] | None, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Run the workloads, all or those named, and return everything that JSON keeps."""
    told = machine.describe() | {"quick": sizes.quick}
    print(page.machine(told))
    found, start = [], time.perf_counter()
    for name, measure in _workloads(sizes, Files(folder, sizes.rows or 60_000)).items():
        if only and name not in only:
            continue
        result = measure()
        found.append(result)
        print(f"{name}: {result['title']}\n\n{page.table(result)}", flush=True)
    limits = roofline.measure()
    told["minutes"] = (time.perf_counter() - start) / 60.0
    return {"schema": SCHEMA, "machine": told, "limits": limits, "results": found}


def _workloads(sizes: Sizes, files: Files) -> dict[str, Callable[[], dict[str, Any]]]:
    races = {
        name: partial(racing.run, name, rounds=sizes.rounds, rows=sizes.rows, quick=sizes.quick)
        for name, race in RACES.items()
        if not race.one_thread or racing.can_bind()
    }
    return {
        **races,
        "process": lambda: shell.warm(files, rounds=sizes.few),
        "first-run": lambda: shell.first(files, rounds=min(2, sizes.few)),
        "memory": lambda: memory.memory(files, sizes=sizes.memory),
        "scaling": lambda: rates.run("scaling", files, sizes=sizes.scaling, rounds=sizes.few),
        "reading": lambda: rates.run("reading", files, rows=sizes.drawn, rounds=sizes.few),
        "making": lambda: rates.run("making", files, rows=sizes.rows or 200_000, rounds=sizes.few),
    }


NAMES: Final = (*RACES, "process", "first-run", "memory", "scaling", "reading", "making")


def _sizes(given: argparse.Namespace) -> Sizes:
    if given.quick:
        rounds = given.rounds or 2
        return Sizes(rounds, 1, 4000, 20_000, (5_000, 20_000), (5_000, 20_000), True)
    rounds = given.rounds or 15
    steps = (60_000, 200_000, 600_000, 2_000_000, 6_000_000, 20_000_000, 40_000_000)
    scaling = (*(rows for rows in steps if rows < given.most_rows), given.most_rows)
    return Sizes(rounds, max(1, rounds // 2), None, 2_000_000, scaling, (60_000, 2_000_000), False)


def _write(stored: dict[str, Any], given: argparse.Namespace) -> None:
    by_name = {result["name"]: result for result in stored["results"]}
    if given.json is not None:
        given.json.write_text(json.dumps(stored, indent=1) + "\n")
    shown = roofline.places(by_name, stored["limits"])
    picture = given.roofline
    if picture is None and given.markdown is not None:
        picture = given.markdown.with_name(f"{given.markdown.stem}-roofline.svg")
    if picture is not None and shown:
        told = stored["machine"]
        roofline.draw(shown, picture, caption=f"{told['threads']} threads, {told['cpu']}, {told['date']}")
    if given.markdown is not None:
        beside = picture is not None and shown and picture.parent == given.markdown.parent
        given.markdown.write_text(page.page(stored, figure=picture.name if beside else None))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure streameval beside its peers and the machine's limits.",
    )
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--rounds", type=int, help="timings of each contestant (15); half as many of what is slow"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rows, two rounds: shows that everything works"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="keep the results")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the page, its picture beside it")
    parser.add_argument("--roofline", type=Path, metavar="OUT", help="write the picture, .svg or .png")
    parser.add_argument("--read", type=Path, metavar="RESULTS", help="run nothing: results kept by --json")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep data files here, for the next run")
    parser.add_argument(
        "--most-rows",
        type=int,
        default=2_000_000,
        metavar="N",
        help="largest file of the cost against rows (2,000,000: 1.6 GB; 40,000,000: 31 GB)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
