"""Are neighbours alike? Means of contiguous blocks against those of shuffled copies. Knows losses in file order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import dot, log
from streameval.frozen import frozen
from streameval.statistics.looks import Look
from streameval.statistics.population import Population
from streameval.statistics.samples import without_replacement
from streameval.statistics.seeds import spawn_stream
from streameval.statistics.tails import Tails

BLOCKS = (10, 100, 1000, 5000)
FEWEST_BLOCKS = 10
TESTED_ROWS = (
    130_000  # of a larger file, random blocks of the largest size stand for all; whole blocks of every size
)
LANES = 8  # shuffled copies made side by side

Floats = NDArray[np.float64]


def looks(losses: Any, whole: Population, allowed: float, *, seed: int = 0) -> list[Look]:
    """Return one look for each size of which there are ten blocks: the variance of blocks' means.

        price = mean_b (mean of block b - mean)^2 / (S^2 (1 - size/N) / size)      z = (price - 1) / sd(price)

    1 / allowed shuffled copies say how rare it is. A size is flagged only if none of them has as large a |z| at any
    size: the chance of that in a random order is `allowed`, whatever the losses, and for all sizes together.
    """
    tested = _Tested.of(losses, whole, seed)
    if not tested.sizes:
        return []
    found = tested.scores(tested.squares())
    full = {size: _price(losses, size, whole) for size in tested.sizes}
    extremes = _Extremes(tested, seed, math.ceil(1.0 / allowed / LANES))
    # All sizes are one test: the copies' largest z of any size stands against each.
    return [
        Look("block", size, float(z), full[size], int(k == 0), partial(extremes.log_chance, abs(float(z))))
        for k, (size, z) in enumerate(zip(tested.sizes, found, strict=True))
    ]


@frozen(eq=False)
class _Tested:
    """Rows whose blocks are tested: all of a file, or random stretches of it, which are in random order if the file is.

    gaps (n,) deviations from their own mean · sizes: of blocks, in rows
    """

    gaps: Floats
    sizes: tuple[int, ...]
    spread: float

    @classmethod
    def of(cls, losses: Any, whole: Population, seed: int) -> _Tested:
        if whole.rows <= TESTED_ROWS:
            values = np.asarray(losses[: whole.rows], np.float64)
        else:
            stretch = max(BLOCKS)
            picked = without_replacement(whole.rows // stretch, TESTED_ROWS // stretch, seed=seed)
            starts = np.sort(picked) * stretch
            values = np.concatenate(
                [np.asarray(losses[a : a + stretch], np.float64) for a in starts.tolist()]
            )
        gaps = values - values.mean()
        spread = float(np.mean(gaps**2))
        sizes = tuple(size for size in BLOCKS if len(gaps) // size >= FEWEST_BLOCKS and spread > 0.0)
        return cls(gaps, sizes, spread)

    def squares(self) -> Floats:
        """Return the summed squares of blocks' sums, (sizes,)."""
        from streameval.kernels.ordering import summed_squares

        out = np.empty(len(self.sizes))
        summed_squares(self.gaps, np.array(self.sizes, np.int64), out)
        return out

    def scores(self, squares: Any) -> Floats:
        """Return z of summed squares (..., sizes)."""
        n, sizes = len(self.gaps), np.array(self.sizes, np.float64)
        counts = n // sizes
        # Pairs of rows within a block: their products add what is not certain to the squares.
        expected = counts * sizes * self.spread * (1.0 - (sizes - 1.0) / (n - 1.0))
        sd = self.spread * np.sqrt(2.0 * counts * sizes * (sizes - 1.0) * (1.0 - sizes / n))
        return np.asarray((squares - expected) / sd)


class _Extremes:
    """The largest |z| at any size in each shuffled copy, made when first asked for."""

    def __init__(self, tested: _Tested, seed: int, shuffles: int) -> None:
        self._tested, self._seed, self._shuffles = tested, seed, shuffles
        self._largest: Floats | None = None

    def log_chance(self, z: float, _: Tails) -> float:
        """Return the log of the share of copies that reach z, the file itself counted as one."""
        if self._largest is None:
            self._largest = self._shuffled()
        return log((1.0 + np.count_nonzero(self._largest >= z)) / (1.0 + len(self._largest)))

    def _shuffled(self) -> Floats:
        from streameval.kernels.ordering import shuffled_blocks

        tested = self._tested
        keys = np.asarray(spawn_stream(self._seed, LANES).generate_state(LANES, np.uint64), np.uint64)
        out = np.empty((LANES, self._shuffles, len(tested.sizes)))
        work = np.empty((LANES, len(tested.gaps)))
        shuffled_blocks(tested.gaps, np.array(tested.sizes, np.int64), keys, work, out)
        return np.asarray(np.abs(tested.scores(out)).max(axis=2).ravel())


def _price(losses: Any, size: int, whole: Population) -> float:
    """The variance of all blocks' means over that of as many random rows."""
    squares, count = 0.0, 0
    piece = max(size, 100_000 // size * size)
    for start in range(0, whole.rows // size * size, piece):
        gaps = np.asarray(losses[start : start + piece], np.float64) - whole.mean
        fit = len(gaps) // size
        means = gaps[: fit * size].reshape(fit, size).mean(axis=1)
        squares, count = squares + dot(means, means), count + fit
    return squares / count / (whole.sd**2 * (1.0 - size / whole.rows) / size)
