"""Fuzzing in processes of their own, whose memory and time are limited, and which may crash.

Knows limits, signals and what is printed. Does not know any reader.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.cases import STANDING, Failure, case_of, keep, run
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target, write_case

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 1 << 30
"""What a reader may take beyond what its imports took."""
PLAIN_MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Allocators that map what they use: others set address space aside, of which there is as much as memory here."""
SHOWN = 12
"""Failures of a reader that are printed whole, one of those that are alike."""


def work(name: str, seed: int, first: int, seconds: float, kept: Path | None, place: Path) -> None:
    """Judge inputs from `first` on for some seconds: what a process of its own does. Its result goes to `place`."""
    target = TARGETS[name]
    target.prepare()
    _read_seeds(target)
    _limit_memory()
    stop = time.monotonic() + seconds
    numbers = itertools.takewhile(lambda _: time.monotonic() < stop, itertools.count(first))
    at = os.open(place / "at", os.O_WRONLY | os.O_CREAT, 0o600)
    with tempfile.TemporaryDirectory(prefix="streameval-fuzz-") as scratch:
        for number, outcome in run(name, target, seed, numbers, Path(scratch), kept):
            os.pwrite(at, f"{number:<20}".encode(), 0)
            if number % 100 == 0 or number < 0:
                _save(place, outcome.counts, [[one.number, one.kind, one.text] for one in outcome.failures])


def _read_seeds(target: Target) -> None:
    """Read every seed once: what readers set up at their first use, pools and threads, must not count as an input's."""
    for case in target.seeds():
        with (
            tempfile.TemporaryDirectory(prefix="streameval-fuzz-") as scratch,
            contextlib.suppress(Exception),
        ):
            write_case(case, Path(scratch))
            target.read(Path(scratch), Random(0))  # what fails here will fail as an input, too


WORKER = "import sys; from tests.fuzz.__main__ import worker; worker(sys.argv[1:])"


def fuzz(name: str, seconds: float, seed: int, kept: Path | None, code: str = WORKER) -> int:
    """Fuzz one reader, print the counts, and return the number of failures. A process that dies is begun anew."""
    stop, first = time.monotonic() + seconds, 0
    counts: Counter[str] = Counter()
    failures: list[Failure] = []
    peak = 0
    while True:
        left = stop - time.monotonic()
        if left <= 0:
            break
        with tempfile.TemporaryDirectory(prefix="streameval-fuzz-") as place:
            arguments = [name, str(seed), str(first), str(left), str(kept or ""), place]
            died = _watch(code, arguments, Path(place))
            number = int((Path(place, "at").read_text() if Path(place, "at").exists() else "") or -1)
            done = _load(Path(place))
        counts.update(done["counts"])
        failures += [Failure(*one) for one in done["failures"]]
        peak = max(peak, done["peak"])
        if died is None:
            break
        failure = Failure(number, "crash" if died != "hang" else "hang", died)
        failures.append(failure)
        counts[failure.kind] += 1
        if number < 0:
            break
        keep(kept, name, seed, failure, case_of(name, TARGETS[name], TARGETS[name].seeds(), seed, number))
        first = number + 1
    _report(name, seed, counts, failures, peak)
    return len(failures)


def _report(name: str, seed: int, counts: Counter[str], failures: list[Failure], peak: int) -> None:
    inputs = sum(counts.values())
    accepted = inputs - sum(counts[kind] for kind in ("refused", "exception", "hang", "memory", "crash"))
    print(
        f"{name}: seed {seed}, {inputs} inputs, {counts['refused']} refused, {accepted} accepted, "
        f"{counts['agreed']} agreed with the oracle, {len(failures)} failures; at most {peak >> 20} MiB",
        flush=True,
    )
    alike = Counter(_place(failure) for failure in failures)
    one_of = {_place(failure): failure for failure in reversed(failures)}
    for place, count in alike.most_common(SHOWN):
        failure = one_of[place]
        text = failure.text.strip().replace("\n", "\n    ")
        print(
            f"  {failure.kind}, {count} alike, the first at input {failure.number}:\n    {text}", flush=True
        )


def _place(failure: Failure) -> tuple[str, ...]:
    """Return what failures that are alike have in common: the kind, and the last lines of code in the traceback."""
    lines = [line for line in failure.text.splitlines() if line.lstrip().startswith("File ")]
    return failure.kind, *lines[-2:]


def _watch(code: str, arguments: list[str], place: Path) -> str | None:
    """Run `work` in a process. Return None when it ended well, else how it died; one that stands still is killed."""
    with Path(place, "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", code, *arguments],
            cwd=ROOT,
            stderr=errors,
            env=os.environ | PLAIN_MEMORY,
        )
        seen, since = "", time.monotonic()
        while True:
            try:
                ended = process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                now = Path(place, "at").read_text() if Path(place, "at").exists() else ""
                if now != seen:
                    seen, since = now, time.monotonic()
                elif time.monotonic() - since > 2 * STANDING:
                    process.kill()
                    process.wait()
                    return "hang"
    if ended == 0:
        return None
    said = Path(place, "stderr").read_text(errors="replace")[-3000:]
    how = signal.Signals(-ended).name if ended < 0 else f"exit {ended}"
    return f"{how}\n{said}"


def _limit_memory() -> None:
    """Let this process map no more than 1 GiB beyond what it has mapped."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))


def _save(place: Path, counts: Counter[str], failures: list[list[object]]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    made = place / "result.part"
    made.write_text(json.dumps({"counts": counts, "failures": failures, "peak": peak}))
    made.replace(place / "result")


def _load(place: Path) -> dict[str, object]:
    path = place / "result"
    return json.loads(path.read_text()) if path.exists() else {"counts": {}, "failures": [], "peak": 0}
