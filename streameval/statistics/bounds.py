"""How far a loss can lie: what finite-sample guarantees rest on. A loss says it; here is what follows."""

from __future__ import annotations

import math

from streameval.errors import UsageError

Bounds = tuple[float, float]


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
            f"interval {method!r} needs bounds that no loss can pass, and this loss has none (cross-entropy has none "
            "with eps = 0): one unseen row could hold any loss. Evaluate with eps > 0 (the article's 1e-7), say the "
            "bounds of values that were saved: open_outputs(bounds=(low, high)), --bounds LOW:HIGH, or use "
            "'normal', 'skew' or 'asymptotic'."
        )
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"bounds ({low}, {high}): two finite numbers, the smaller first, were expected.")
    return low, high
