"""The clock: contestants take turns in the same run, after a pause and one untimed call.

Knows callables that return a loss. Does not know what they compute.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Thread pools of ONNX Runtime and OpenMP spin on for a while, and slow down whoever comes next.
PAUSE = 0.08
TRIALS = 2


@dataclass(frozen=True)
class Ready:
    """A contestant, all set: data in memory, compiled, warm.

    run        computes, and returns the mean loss in nats
    exact      what it should be, in float64, by the formula that this contestant computes
    tolerance  how far the loss may be from it, as a share of it
    calls      how many times `run` does the job: its time is divided by it
    """

    run: Callable[[], float]
    exact: float
    tolerance: float
    calls: int = 1


@dataclass(frozen=True)
class Entrant:
    """One contestant in one setting; `setting` is what the reader of the table sees, may be empty."""

    who: str
    setting: str
    ready: Ready


@dataclass(frozen=True)
class Line:
    """One line of a table of times.

    median, fastest  seconds for one job of `rows` rows
    loss, exact      what came out, and what should have; None where no loss is computed
    right            whether the loss was within the tolerance at every call
    """

    who: str
    setting: str
    rows: int
    median: float
    fastest: float
    loss: float | None = None
    exact: float | None = None
    right: bool = True


def race(entrants: Sequence[Entrant], *, rows: int, rounds: int, pause: float = PAUSE) -> list[Line]:
    """Time each contestant in its best setting: a short trial finds it, then all take turns, `rounds` times."""
    chosen = _best_settings(entrants, pause)
    seconds, losses = _rounds(chosen, rounds, pause)
    return [_line(one, took, found, rows) for one, took, found in zip(chosen, seconds, losses, strict=True)]


def _best_settings(entrants: Sequence[Entrant], pause: float) -> list[Entrant]:
    """The fastest setting of each contestant, in the order given."""
    names = list(dict.fromkeys(one.who for one in entrants))
    if len(names) == len(entrants):
        return list(entrants)
    seconds, _ = _rounds(entrants, TRIALS, pause)
    best: dict[str, tuple[float, Entrant]] = {}
    for one, took in zip(entrants, seconds, strict=True):
        if one.who not in best or min(took) < best[one.who][0]:
            best[one.who] = min(took), one
    return [best[name][1] for name in names]


def _rounds(
    entrants: Sequence[Entrant], rounds: int, pause: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Seconds for one job and losses of each entrant, one of each for every round."""
    seconds: list[list[float]] = [[] for _ in entrants]
    losses: list[list[float]] = [[] for _ in entrants]
    for turn in range(rounds):
        for place in range(len(entrants)):
            # Another one begins each round, and every other round runs backwards: nobody always follows the same one.
            index = (place + turn) % len(entrants)
            index = index if turn % 2 == 0 else len(entrants) - 1 - index
            ready = entrants[index].ready
            gc.collect()
            time.sleep(pause)
            losses[index].append(ready.run())
            start = time.perf_counter()
            losses[index].append(ready.run())
            seconds[index].append((time.perf_counter() - start) / ready.calls)
    return seconds, losses


def _line(one: Entrant, took: list[float], losses: list[float], rows: int) -> Line:
    ready = one.ready
    # `not >` would let a NaN through: it must be within.
    right = all(abs(loss - ready.exact) <= ready.tolerance * abs(ready.exact) for loss in losses)
    worst = max(losses, key=lambda loss: abs(loss - ready.exact))
    return Line(one.who, one.setting, rows, statistics.median(took), min(took), worst, ready.exact, right)
