"""Samples of contiguous blocks, cheap to read, and their honest variance. Knows row numbers and losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.intervals.unseen import Seen
from streameval.statistics.samples import without_replacement
from streameval.statistics.stratified import Estimate, one_per_row


@frozen(eq=False)
class Blocks:
    """Blocks drawn without replacement from the tiles of a file.

    starts, stops (b,) int64: rows starts[i] <= row < stops[i], sorted by start · tiles: blocks in the file
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    tiles: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """All row numbers, ascending, int64."""
        return np.concatenate([np.arange(a, b) for a, b in zip(self.starts, self.stops, strict=True)])

    def estimate(self, losses: Any) -> Estimate:
        """Estimate the mean loss of the file from the losses of `rows`, in that order.

            mean = sum t_i / sum n_i      variance = (1 - b/M) / b * sum (t_i - mean n_i)^2 / (b - 1) / nbar^2

        with t_i the sum and n_i the rows of block i, b blocks of M: neighbours are alike, so the block and
        not the row is what was drawn independently: b - 1 degrees of freedom. A ratio estimator, because the last
        tile may be short.
        """
        sizes = self.stops - self.starts
        values = one_per_row(losses, int(sizes.sum()))
        totals = np.add.reduceat(values, np.concatenate([[0], np.cumsum(sizes)[:-1]]))
        mean = float(totals.sum() / sizes.sum())
        drawn = len(sizes)
        if drawn == self.tiles:
            return Estimate(mean, 0.0, len(values))
        if drawn == 1:
            return Estimate(mean, float("nan"), len(values))
        spread = float(np.sum((totals - mean * sizes) ** 2)) / (drawn - 1)
        variance = (1 - drawn / self.tiles) / drawn * spread / float(sizes.mean()) ** 2
        means = totals / sizes
        seen = Seen(drawn, self.tiles, mean, float(means.min()), float(means.max()), "blocks")
        return Estimate(mean, variance, len(values), float(drawn - 1), seen)


def blocks(population: int, size: int, *, block_rows: int, seed: int | np.random.Generator = 0) -> Blocks:
    """Draw contiguous blocks of `block_rows` rows, as many as `size` rows need.

    The file is cut into tiles from row 0; its last tile may be short. Raises UsageError for sizes below 1.
    """
    if block_rows < 1 or size < 1:
        raise UsageError(f"{size} rows in blocks of {block_rows}: both must be 1 or more.")
    tiles = -(-population // block_rows)
    picked = np.sort(without_replacement(tiles, min(tiles, -(-size // block_rows)), seed=seed))
    starts = picked * block_rows
    return Blocks(starts, np.minimum(starts + block_rows, population), tiles)
