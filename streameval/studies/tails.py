"""The tail of the losses of all rows: quantiles and the worst rows, of these and for further data.

Knows losses, as a mapped file. Does not know how a comparison is told.
"""

from __future__ import annotations

import math
from typing import Any

from streameval.defaults import FURTHER_DATA
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.method import Interval
from streameval.statistics.quantiles import order_statistics, quantile_interval, rank_of
from streameval.statistics.worst import Worst, worst

SHARES = (0.5, 0.9, 0.99)


@frozen
class Quantile:
    """The least loss that a `share` of these rows do not pass, exactly, and its interval for further data."""

    share: float
    loss: float
    interval: Interval


@frozen
class Tails:
    """Quantiles, and the worst 1 % of rows; `worst` is None where losses have no bound, or can be below 0."""

    quantiles: tuple[Quantile, ...]
    worst: Worst | None

    @classmethod
    def of(cls, losses: Any, *, bounds: Bounds | None, level: float, seed: int) -> Tails:
        """Read (n,) losses a few times, in pieces; what is held does not grow with them."""
        exact = order_statistics(losses, [rank_of(share, len(losses)) for share in SHARES])
        found = tuple(
            Quantile(share, loss, quantile_interval(losses, share, level=level))
            for share, loss in zip(SHARES, exact, strict=True)
        )
        guaranteed = bounds is not None and bounds[0] > -1e-3 and math.isfinite(bounds[1])
        return cls(found, worst(losses, level=level, bounds=bounds, seed=seed) if guaranteed else None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "quantiles": [
                {
                    "share": one.share,
                    "loss": one.loss,
                    "interval": one.interval.to_dict() | {"estimates": FURTHER_DATA},
                }
                for one in self.quantiles
            ],
            "worst": None if self.worst is None else self.worst.to_dict(),
        }
