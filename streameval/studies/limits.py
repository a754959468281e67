"""What is known of how far a loss can lie, also where it has no largest value. Knows losses, not data."""

from __future__ import annotations

import math

from streameval.losses.loss import Bounds, Loss


def known_bounds(loss: Loss) -> Bounds | None:
    """Return the bounds of a loss; where there is no largest value, those of a loss that knows its smallest."""
    least: float | None = getattr(loss, "least", None)
    return (least, math.inf) if loss.bounds is None and least is not None else loss.bounds
