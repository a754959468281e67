"""One pass over the seed workload's rows while other programs want the processors, and what the pass takes of them.

    python -m benchmarks.busy

Threads that wait for each other sleep, as `streameval` has them do, or look again and again for a while, as OpenMP does
by itself. Prints medians of passes in turn, with none, two and six programs beside that do nothing but count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks.data import ROOT, pixels, seed_model_path

WAYS = {"asleep": {"OMP_WAIT_POLICY": "passive"}, "awake": {}}
LOADS = (0, 2, 6)
ROWS, ROUNDS, PASSES = 60_000, 7, 8
COUNT = "while True: pass"


def passes() -> None:
    """For each line read: time some passes, print seconds and seconds of processors for one."""
    import streameval as se

    model, source = se.load_model(seed_model_path()), se.open(pixels(ROWS))
    se.evaluate(model, source)
    print("ready", flush=True)
    for _ in sys.stdin:
        started, used, took = time.perf_counter(), time.process_time(), []
        for _ in range(PASSES):
            se.evaluate(model, source)
            took.append(time.perf_counter() - started)
            started = time.perf_counter()
        print(statistics.median(took), (time.process_time() - used) / PASSES, flush=True)


def beside(load: int, workers: dict[str, subprocess.Popen[str]]) -> None:
    """Print what each way takes beside so many programs."""
    others = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(load)]
    try:
        time.sleep(1.0)
        found: dict[str, list[list[float]]] = {way: [] for way in workers}
        for _ in range(ROUNDS):
            for way, worker in workers.items():
                found[way].append([float(one) for one in _ask(worker).split()])
        for way, rounds in found.items():
            seconds, used = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{load} beside, waiting {way}: {seconds:6.1f} ms, {used:6.1f} ms of processors")
    finally:
        for other in others:
            other.kill()
            other.wait()


def _ask(worker: subprocess.Popen[str]) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    return worker.stdout.readline()


def _start(settings: dict[str, str]) -> subprocess.Popen[str]:
    given = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.busy", "passes"],
        cwd=ROOT, env=given | settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker


def main() -> None:
    """Race both ways."""
    workers = {way: _start(settings) for way, settings in WAYS.items()}
    try:
        for load in LOADS:
            beside(load, workers)
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()


if __name__ == "__main__":
    passes() if sys.argv[1:] == ["passes"] else main()
