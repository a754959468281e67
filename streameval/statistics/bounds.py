"""How far a loss can lie: what finite-sample guarantees rest on. A loss says it; here is what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from streameval.errors import UsageError

Bounds = tuple[float, float]  # either end may be infinite where there is no bound


def difference_bounds(bounds: Bounds | None) -> Bounds | None:
    """Return the bounds of a difference of two losses that each lie within `bounds`."""
    if bounds is None:
        return None
    width = bounds[1] - bounds[0]
    return -width, width


def signed(bounds: Bounds) -> Bounds:
    """Return bounds with 0 strictly between them, as a test of the sign needs: the same, or as far on either side.

    Differences to older losses that all lie at one end of the range cannot have one of the signs, but may well be 0.
    """
    low, high = bounds
    if low < 0.0 < high:
        return bounds
    reach = max(-low, high)
    return -reach, reach


def limited(bounds: Bounds | None) -> bool:
    """True if losses are bounded on both sides; an infinite bound is none."""
    return bounds is not None and math.isfinite(bounds[0]) and math.isfinite(bounds[1])


def needed(
    bounds: Bounds | None, method: str, *, instead: Sequence[str] = ("normal", "skew", "asymptotic")
) -> Bounds:
    """Return checked bounds, or raise UsageError that says why `method` cannot do without, and what can."""
    if bounds is None or math.inf in (-bounds[0], bounds[1]):
        named = " or ".join(map(repr, instead))
        other = f", or use {named}, which promises less (--method {instead[-1]})" if instead else ""
        raise UsageError(
            f"interval {method!r} needs bounds that no loss can pass, and this loss has none (cross-entropy has none "
            "with eps = 0): one unseen row could hold any loss. Evaluate with eps > 0 (the article's 1e-7), or say the "
            f"bounds of values that were saved: open_outputs(bounds=(low, high)), --bounds LOW:HIGH{other}."
        )
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"bounds ({low}, {high}): two finite numbers, the smaller first, were expected.")
    return low, high
