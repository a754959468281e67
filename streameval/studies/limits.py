"""What is known of how far a loss can lie, also where it has no largest value. Knows losses, not data."""

from __future__ import annotations

import math

from streameval.losses.cross_entropy import CrossEntropy
from streameval.losses.loss import Bounds, Loss


def known_bounds(loss: Loss) -> Bounds | None:
    """Return the bounds of a loss; cross-entropy without eps is never below 0, and has no largest value."""
    if loss.bounds is None and isinstance(loss, CrossEntropy):
        return 0.0, math.inf
    return loss.bounds
