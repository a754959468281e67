"""The moments of all losses there are, read in pieces. Knows an array, which may be a mapped file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from streameval.errors import DataError, UsageError
from streameval.frozen import frozen

PIECE = 1 << 16  # losses read at once: half a megabyte, so that what is made of them stays in cache


@frozen
class Population:
    """All losses, summed up: `sd` has ddof 1, `skewness` and excess `kurtosis` divide by N; in nats."""

    rows: int
    mean: float
    sd: float
    skewness: float
    kurtosis: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, losses: Any) -> Population:
        """Read all losses twice, piece by piece. UsageError if there are none, DataError if not finite."""
        if losses.ndim != 1 or len(losses) == 0:
            raise UsageError(
                f"losses: found shape {losses.shape}, a flat array of at least one loss was expected."
            )
        sums, lows, highs = [], [], []
        for start in range(0, len(losses), PIECE):
            piece = np.asarray(losses[start : start + PIECE], np.float64)
            if not np.isfinite(piece).all():
                row = start + int(np.flatnonzero(~np.isfinite(piece))[0])
                raise DataError(
                    f"losses, row {row}: not finite. Evaluate with eps > 0, or leave the row out."
                )
            sums.append(float(piece.sum()))
            lows.append(float(piece.min()))
            highs.append(float(piece.max()))
        rows = len(losses)
        # Rounding must not carry the mean of equal losses away from them: intervals of no width would miss it.
        mean = min(max(math.fsum(sums) / rows, min(lows)), max(highs))
        powers = np.zeros(3)
        for start in range(0, rows, PIECE):
            gap = np.asarray(losses[start : start + PIECE], np.float64) - mean
            square = gap * gap
            powers += (square.sum(), (square * gap).sum(), (square * square).sum())
        second, third, fourth = (powers / rows).tolist()
        flat = second <= (1e-14 * max(abs(min(lows)), abs(max(highs)))) ** 2
        return cls(
            rows,
            mean,
            math.sqrt(powers[0] / (rows - 1)) if rows > 1 else 0.0,
            0.0 if flat else third / second / math.sqrt(second),
            0.0 if flat else fourth / second / second - 3.0,
            min(lows),
            max(highs),
        )
