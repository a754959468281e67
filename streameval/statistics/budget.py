"""Where an error in a reported loss can come from: draw, rounding, clipping. Knows losses only."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import log, logaddexp
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.intervals import Interval, interval
from streameval.statistics.population import PIECE
from streameval.statistics.samples import without_replacement

REFERENCE_SHARE = 0.01


@frozen
class Rounding:
    """What computing in lower precision did to the rows that were computed twice, in nats.

    mean      of loss - reference, with its interval for all rows · largest: |loss - reference| of the worst row
    """

    rows: int
    mean: float
    interval: Interval
    largest: float


@frozen
class Clipping:
    """What eps did: -log(y + eps) against -log(y), in nats.

    mean     mean of exact - clipped, what eps took off the loss · share: that over the exact loss
    rows     rows that lost more than a thousandth of their loss
    infinite rows with y = 0, left out of `mean`
    """

    mean: float
    share: float
    rows: int
    infinite: int


@frozen
class Budget:
    """The error budget of a reported loss; a part that was not measured is None. In nats.

    sampling: the half-width of the interval that the draw leaves, 0 when every row was read.
    """

    sampling: float
    rounding: Rounding | None = None
    clipping: Clipping | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = asdict(self)
        if self.rounding is not None:
            plain["rounding"]["interval"] = self.rounding.interval.to_dict()
        return plain


def reference_rows(
    population: int, *, seed: int | np.random.Generator = 0, share: float = REFERENCE_SHARE
) -> NDArray[np.int64]:
    """Return the random rows, 1 % and at least 100 (or all), to compute again in float64; sorted, int64."""
    if not 0.0 < share <= 1.0:
        raise UsageError(f"share {share}: a number in (0, 1] was expected, such as 0.01.")
    size = min(population, max(100, math.ceil(share * population)))
    return np.sort(without_replacement(population, size, seed=seed))


def rounding_error(losses: Any, references: Any, *, population: int, level: float = 0.95) -> Rounding:
    """Compare the losses of `reference_rows` with their float64 references, (n,) each, in the same order."""
    rounded, exact = np.asarray(losses, np.float64), np.asarray(references, np.float64)
    if rounded.shape != exact.shape:
        raise UsageError(
            f"losses of shape {rounded.shape} and references of shape {exact.shape}: the same rows were expected."
        )
    gap = rounded - exact
    return Rounding(
        len(gap),
        float(gap.mean()),
        interval(gap, "normal", level=level, population=population),
        float(np.abs(gap).max()),
    )


def clipped_mass(exact: Any, eps: float) -> Clipping:
    """Say what eps changes, from the exact losses -log(y) of the rows: an array or a mapped file.

    clipped = -log(exp(-exact) + eps) = exact - log(1 + eps exp(exact))
    """
    if not eps >= 0.0 or len(exact) == 0:
        raise UsageError(f"eps {eps}, {len(exact)} losses: eps >= 0 and at least one loss were expected.")
    taken, total, rows, infinite = [], [], 0, 0
    for start in range(0, len(exact), PIECE):
        loss = np.asarray(exact[start : start + PIECE], np.float64)
        known = np.isfinite(loss)
        infinite += int(len(loss) - known.sum())
        loss = loss[known]
        # log(1 + eps e^loss) as logaddexp(0, loss + log eps): no overflow for losses of hundreds of nats.
        cut = logaddexp(0.0, loss + log(eps)) if eps > 0.0 else np.zeros_like(loss)
        taken.append(math.fsum(cut))
        total.append(math.fsum(loss))
        rows += int((cut > 1e-3 * loss).sum())
    count = len(exact) - infinite
    if count == 0:
        return Clipping(math.nan, math.nan, 0, infinite)
    whole = math.fsum(total)
    return Clipping(math.fsum(taken) / count, math.fsum(taken) / whole if whole else 0.0, rows, infinite)
