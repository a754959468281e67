"""What the kernels' float32 costs: losses of some rows beside float64, and a bound of how far they can be apart.

Knows networks of dense layers. Does not know files of results.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from streameval.errors import StreamevalError
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.network import Network
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.storage.checked import CheckedSource
from streameval.storage.source import Chunk, Source

ROWS = 32
# More would take longer, or more memory, than a small evaluation itself.
MOST_PRODUCTS, MOST_PARAMETERS = 10**8, 2 * 10**6


@frozen
class Rounding:
    """Rows that were looked at, evenly spaced over the data; the largest difference of their losses to float64; and the
    largest difference that they can have, both in the loss's unit. bound None: of layers that no bound is known of."""

    rows: int
    largest: float
    bound: float | None

    @classmethod
    def from_dict(cls, stored: Any) -> Rounding:
        """What `to_dict` wrote. Raises ValueError, KeyError or TypeError for what it did not."""
        rows, largest, bound = (stored[name] for name in ("rows", "largest", "bound"))
        numbers = [largest] if bound is None else [largest, bound]
        sound = (
            type(rows) is int
            and 1 <= rows <= ROWS
            and all(type(one) is float and one >= 0.0 for one in numbers)
        )
        if not sound or len(stored) != 3 or largest > numbers[-1]:
            raise ValueError(f"rounding of {rows!r:.40} rows is {largest!r:.40}, bound {bound!r:.40}")
        return cls(rows, largest, bound)

    def resembles(self, other: Rounding) -> bool:
        """Whether both were measured of the same rows: on another machine, float64's own last digits may differ."""
        pairs = [(self.largest, other.largest), (self.bound, other.bound)]
        return self.rows == other.rows and all(
            one == two
            or (one is not None and two is not None and math.isclose(one, two, rel_tol=1e-3, abs_tol=1e-9))
            for one, two in pairs
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure(model: object, source: Source, loss: Loss) -> Rounding | None:
    """Compare some rows with float64; None where there is no reference, or it would take too much.

    A row of labels or weights t is off by at most

        W (E_t + max_k E_k) + (classes + 12) 2**-52 + 2**-50 |loss| + 3.4e-308 / eps,   W = sum_k t_k,

    and, for labels, by no more than losses differ at all where they are bounded. E_k is how far its logits can be off
    (`layers.rounding`): the loss is no steeper than 1 in its own logit and in all others together; the rest is
    float64's own, and the end of its exponential. Label smoothing s makes (1 - s) t_k + s / classes of each t_k.
    """
    if not isinstance(model, Network) or model.parameters > MOST_PARAMETERS or source.rows == 0:
        return None
    count = int(min(ROWS, source.rows, MOST_PRODUCTS // max(model.multiply_adds, 1)))
    plain = source.unchecked if isinstance(source, CheckedSource) else source
    try:
        scorer = make_scorer(model, plain, loss, Budget(threads=1))
        chunk = plain.take(np.linspace(0, source.rows - 1, count).astype(np.int64))
        found = scorer.score(chunk).loss
        with np.errstate(all="ignore"):  # rows that are not finite are left out below
            walked = _walk(model, plain, loss, chunk)
            wanted = scorer.reference(chunk) if walked is None else loss.reference(walked[1], chunk.t)
    except StreamevalError:
        return None  # rows that cannot be read any more: what was computed of them is not less true
    if wanted is None or not count:
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(found - wanted)
    finite = np.isfinite(apart)
    if not finite.any():
        return None
    with np.errstate(all="ignore"):
        bounds = None if walked is None else _bounds(loss, chunk, wanted, walked[0])
    bound = math.inf if bounds is None else float(bounds[finite].max())
    return Rounding(int(finite.sum()), float(apart[finite].max()), bound if math.isfinite(bound) else None)


def _walk(model: Network, source: Source, loss: Loss, chunk: Chunk) -> tuple[Any, Any] | None:
    """What the logits (n, classes) can be off by, and the logits in float64; None where no bound is known."""
    if loss.name != "cross-entropy":
        return None
    values: Any = chunk.x.astype(np.float64).reshape(len(chunk), -1) * source.scale
    errors: Any = None
    for number, layer in enumerate(model.layers):
        bounded = getattr(layer, "rounding", None)
        found = bounded and bounded(values, errors, from_bytes=number == 0 and source.dtype == np.uint8)
        if not found:
            return None
        errors, values = found
    return errors, values


def _bounds(loss: Loss, chunk: Chunk, wanted: Any, errors: Any) -> Any:
    """A bound for each row (n,)."""
    top, classes, eps = errors.max(axis=1), errors.shape[1], getattr(loss, "eps", 0.0)
    own = (classes + 12) * 2.0**-52 + 2.0**-50 * np.abs(wanted) + (3.4e-308 / eps if eps else 0.0)
    smoothing = getattr(loss, "label_smoothing", 0.0)
    if chunk.t.ndim == 2:
        weights = np.abs((1.0 - smoothing) * chunk.t + smoothing / classes)
        return (weights * (errors + top[:, None])).sum(axis=1) + own
    most = math.inf if loss.bounds is None else loss.bounds[1] - loss.bounds[0]
    at_labels = errors[np.arange(len(chunk)), chunk.t]
    apart = (1.0 - smoothing) * at_labels + smoothing * errors.mean(axis=1) + top
    return np.minimum(apart, most) + own
