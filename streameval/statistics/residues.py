"""Means of every second, third, ... row: all strides up to 64 in one pass. Knows losses in file order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import LN2
from streameval.frozen import frozen
from streameval.statistics.looks import Look
from streameval.statistics.population import Population
from streameval.statistics.tails import Tails

STRIDES = range(2, 65)
LONGEST_CYCLE = 70_000  # rows
PIECE_ROWS = 100_000  # read at once


def cycles() -> tuple[int, ...]:
    """Return few numbers of rows, each at most LONGEST_CYCLE, one of which every stride divides."""
    found: list[int] = []
    for stride in reversed(STRIDES):
        joined = [math.lcm(cycle, stride) for cycle in found]
        if joined and min(joined) <= LONGEST_CYCLE:
            k = joined.index(min(joined))
            found[k] = joined[k]
        else:
            found.append(stride)
    return tuple(found)


@frozen(eq=False)
class Residues:
    """Sums of loss - mean by the remainder of the row's number; sums: cycle -> (cycle,)."""

    whole: Population
    sums: dict[int, NDArray[np.float64]]

    @classmethod
    def of(cls, losses: Any, whole: Population) -> Residues:
        """Read all losses once, piece by piece."""
        sums = {cycle: np.zeros(cycle) for cycle in cycles()}
        for start in range(0, whole.rows, PIECE_ROWS):
            gaps = np.asarray(losses[start : start + PIECE_ROWS], np.float64) - whole.mean
            for cycle, into in sums.items():
                into += np.roll(_by_residue(gaps, cycle), start % cycle)
        return cls(whole, sums)

    def mean(self, stride: int, residue: int) -> float:
        """Return the mean loss of the rows residue, residue + stride, ...; in nats."""
        return self.whole.mean + float(self._gaps(stride)[residue])

    def looks(self) -> list[Look]:
        """One look for each stride that leaves two rows to each remainder: its largest |z|."""
        found = []
        for stride in STRIDES:
            if self.whole.rows >= 2 * stride:
                found.append(self._look(stride))
        return found

    def _look(self, stride: int) -> Look:
        """The mean of n of N rows has variance S^2 (1 - n/N) / n in a random order."""
        gaps, counts = self._gaps(stride), self._counts(stride)
        z = gaps / (self.whole.sd * np.sqrt((1.0 - counts / self.whole.rows) / counts))
        # The largest z, unless it is the skew side that makes it large: both sides have to be looked at.
        ends = [int(np.argmax(z)), int(np.argmin(z))]
        k = max(ends, key=lambda end: abs(z[end]))
        means = [(int(counts[end]), float(gaps[end])) for end in ends]
        worst = float(gaps[np.argmax(np.abs(gaps))])
        price = worst / self.whole.mean if self.whole.mean else 0.0
        return Look("stride", stride, float(z[k]), price, stride, partial(_log_chance, means))

    def _gaps(self, stride: int) -> NDArray[np.float64]:
        cycle = next(cycle for cycle in self.sums if cycle % stride == 0)
        sums = self.sums[cycle].reshape(-1, stride).sum(axis=0)
        return np.asarray(sums / np.maximum(self._counts(stride), 1.0))

    def _counts(self, stride: int) -> NDArray[np.float64]:
        return np.asarray((self.whole.rows - np.arange(stride) + stride - 1) // stride, np.float64)


def _log_chance(means: list[tuple[int, float]], tails: Tails) -> float:
    return LN2 + min(tails.mean_of(count, gap) for count, gap in means)  # either side


def _by_residue(gaps: NDArray[np.float64], cycle: int) -> NDArray[np.float64]:
    """Return (cycle,): sums of the rows of a piece that leave the same remainder."""
    full = len(gaps) // cycle * cycle
    sums = gaps[:full].reshape(-1, cycle).sum(axis=0)
    sums[: len(gaps) - full] += gaps[full:]
    return np.asarray(sums)
