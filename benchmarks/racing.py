"""Runs one race in a process of its own: `python -m benchmarks.racing NAME`, the result as JSON on stdout.

A process each, so that no race meets the memory and the thread pools of the one before, and so that one thread
means one CPU. Knows workloads and the clock.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.data import ROOT, task
from benchmarks.timing import PAUSE, Entrant, race
from benchmarks.workloads import OURS, RACES, Race

# Libraries that take their number of threads from the environment, at import.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(name: str, *, rounds: int, rows: int | None = None, quick: bool = False) -> dict[str, Any]:
    """Run the race `name` in a new process, and return its result."""
    arguments = [sys.executable, "-m", "benchmarks.racing", name, "--rounds", str(rounds)]
    if rows is not None:
        arguments += ["--rows", str(rows)]
    if quick:
        arguments.append("--quick")
    environment = dict(os.environ)
    if RACES[name].one_thread:
        environment.update(dict.fromkeys(_THREADS, "1"))
    done = subprocess.run(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    # Libraries may print as well: the result is the last line.
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_here(
    name: str,
    *,
    rounds: int,
    rows: int | None = None,
    quick: bool = False,
    only: str = "",
    pause: float = PAUSE,
) -> dict[str, Any]:
    """Run the race in this process. `only`: contestants whose name begins so."""
    chosen = RACES[name]
    given = task(chosen.network, rows or chosen.rows, _threads(chosen))
    entrants, notes = [], []
    for one in chosen.contestants:
        if not one.who.startswith(only):
            continue
        if one.slow and quick:
            notes.append(f"{one.who}: left out of a quick run.")
            continue
        say(f"{name}: preparing {one.who}")
        try:
            # A chunk larger than the data is the data: once is enough.
            chunks = dict.fromkeys(chunk if chunk is None else min(chunk, given.rows) for chunk in one.chunks)
            mine = [Entrant(one.who, _setting(chunk), one.prepare(given, chunk)) for chunk in chunks]
            for entrant in mine:
                entrant.ready.run()
        # torch.compile raises RuntimeError where there is no C++ compiler.
        except (ImportError, RuntimeError) as error:
            if one.who.startswith(OURS):
                raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            notes.append(f"{one.who}: not measured: {first}.")
            continue
        entrants += mine
    say(f"{name}: {rounds} rounds")
    job = given.rows if chosen.job == chosen.rows else chosen.job
    lines = race(entrants, rows=job, rounds=rounds, pause=pause)
    return {
        "name": name,
        "kind": "race",
        "title": chosen.title.format(rows=given.rows),
        "rows": given.rows,
        "threads": given.threads,
        "lines": [dataclasses.asdict(line) for line in lines],
        "notes": notes,
    }


def say(text: str) -> None:
    """Tell on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def _threads(chosen: Race) -> int:
    from streameval.kernels.threads import available

    return 1 if chosen.one_thread else available()


def can_bind() -> bool:
    """Whether this system binds a process to a CPU, as a race of one thread wants it."""
    return hasattr(os, "sched_setaffinity") and hasattr(os, "sched_getaffinity")


def _setting(chunk: int | None) -> str:
    return "" if chunk is None else f"chunks of {chunk:,}"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Run one race in this process.")
    parser.add_argument("name", choices=RACES)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if RACES[given.name].one_thread:
        # Before any library counts the CPUs.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(run_here(given.name, rounds=given.rounds, rows=given.rows, quick=given.quick)))


if __name__ == "__main__":
    main()
