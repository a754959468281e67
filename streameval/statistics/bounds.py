"""How far a loss can lie: what finite-sample guarantees rest on. Knows eps, not the network."""

from __future__ import annotations

import math

from streameval.errors import UsageError

Bounds = tuple[float, float]


def loss_bounds(eps: float) -> Bounds | None:
    """Return the smallest and largest value of -log(y + eps) for a probability y, in nats.

        (-log(1 + eps), -log(eps)): (-1e-7, 16.118) for eps = 1e-7

    None for eps = 0: a row with y = 0 would have an infinite loss.
    """
    if not 0.0 <= eps < math.inf:
        raise UsageError(f"eps {eps}: a finite number >= 0 was expected. The article's is 1e-7.")
    if eps == 0.0:
        return None
    return -math.log1p(eps), -math.log(eps)


def difference_bounds(bounds: Bounds | None) -> Bounds | None:
    """Return the bounds of a difference of two losses that each lie within `bounds`."""
    if bounds is None:
        return None
    width = bounds[1] - bounds[0]
    return -width, width


def needed(bounds: Bounds | None, method: str) -> Bounds:
    """Return checked bounds, or raise UsageError that says why `method` cannot do without."""
    if bounds is None:
        raise UsageError(
            f"interval {method!r} needs bounds that no loss can pass, and with eps = 0 there are "
            "none: one unseen row could hold any loss. Evaluate with eps > 0 (the article's 1e-7), or use "
            "'normal', 'skew' or 'asymptotic'."
        )
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"bounds ({low}, {high}): two finite numbers, the smaller first, were expected.")
    return low, high
