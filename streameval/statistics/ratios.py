"""Losses by token or byte: ratios of sums, with errors that know that tokens come in documents.

Knows sums of losses and of weights, one each for a row. Does not know what a token is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from streameval.defaults import FURTHER_DATA, LEVEL
from streameval.elementary import LN2, exp
from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.showing import Shown
from streameval.statistics.clusters import clustered, finite
from streameval.statistics.intervals.method import Interval
from streameval.statistics.population import PIECE

SCHEMA = "streameval/ratio/1"
# e to this is about the largest float64.
MOST_NATS = 709.0
SIGN = (
    "The values sum to less than 0, as logarithms of probabilities do; expected losses, -log(p): if they are log(p), "
    "change their sign."
)


@frozen(repr=False)
class Ratio(Shown):
    """sum(values) / sum(weights), or what is made of it, of these rows exactly, and its error for further data.

    estimate   of these rows: exact · unit: what it is
    stderr     by the linearised ratio, clustered; of a transformed ratio by the delta method; None for one group
    interval   for further data, approximately: many independent groups, of which none outweighs the others
    rows, groups   how many; without groups each row is one
    weight     the sum of the weights
    """

    estimate: float
    unit: str
    stderr: float | None
    interval: Interval
    rows: int
    groups: int
    weight: float

    def __repr__(self) -> str:
        return (
            f"<Ratio: {self.estimate:.6g} {self.unit}, {self.interval.low:.6g} to {self.interval.high:.6g}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "estimate": self.estimate,
            "unit": self.unit,
            "stderr_clustered": self.stderr,
            "interval": self.interval.to_dict() | {"estimates": FURTHER_DATA},
            "rows": self.rows,
            "groups": self.groups,
            "weight": self.weight,
        }


def loss_by_weight(values: Any, weights: Any, *, groups: Any = None, level: float = LEVEL) -> Ratio:
    """Return the loss a token: sum(values) / sum(weights), in nats.

        stderr^2 = G / (G - 1) sum_g (V_g - r W_g)^2 / (sum W)^2       V_g, W_g the sums of group g, r the ratio

    values   (n,) summed losses of each row in nats: of a document, or of a single token with weight 1
    weights  (n,) tokens (bytes, words) of each row: at least 0, not all 0
    groups   (n,) the document of each row, anything that sorts; None where every row is one

    The mean of the documents' own means is another number, in which short documents count as much as long ones. Where
    no value is below 0, no end of the interval is. Raises UsageError, DataError.
    """
    _check_weights(weights)
    codes = np.arange(len(values)) if groups is None else groups
    found = clustered(values, codes, weights=weights)
    total = math.fsum(math.fsum(weights[k : k + PIECE]) for k in range(0, len(weights), PIECE))
    least = min(float(np.min(values[k : k + PIECE])) for k in range(0, len(values), PIECE))
    interval = found.interval(level).within((0.0 if least >= 0.0 else -math.inf, math.inf))
    return Ratio(found.mean, "nats", found.stderr, interval, len(values), found.groups, total)


def perplexity(values: Any, tokens: Any, *, groups: Any = None, level: float = LEVEL) -> Ratio:
    """Return exp(sum(values) / sum(tokens)); arguments and errors as for `loss_by_weight`.

    The interval is that of the ratio, its ends raised too: it is not symmetric, and holds where that holds. It warns of
    values that sum to less than 0, as log(p) does. Raises DataError as well for 709 nats a token and more on average,
    which is more than e can be raised to.
    """
    ratio = loss_by_weight(values, tokens, groups=groups, level=level)
    if ratio.estimate >= MOST_NATS:
        raise DataError(
            f"values: {ratio.estimate:.6g} nats by weight on average, and e to that is no number. Expected "
            "summed losses in nats, and the tokens of each row: name the column of tokens (--weight-column)."
        )
    return _transformed(ratio, "perplexity", _raised, _raised(ratio.estimate))


def bits_per_byte(values: Any, lengths: Any, *, groups: Any = None, level: float = LEVEL) -> Ratio:
    """Return sum(values) / (ln 2 sum(lengths)): values in nats, lengths in bytes of text; else as
    `perplexity`."""
    ratio = loss_by_weight(values, lengths, groups=groups, level=level)
    return _transformed(ratio, "bits per byte", lambda nats: nats / LN2, 1.0 / LN2)


def _raised(nats: float) -> float:
    """e^nats, infinite where it fits no float: two documents can leave an end of thousands of nats."""
    return exp(nats) if nats < MOST_NATS else math.inf


def _transformed(ratio: Ratio, unit: str, change: Callable[[float], float], slope: float) -> Ratio:
    """The ratio on another scale: ends moved along, the error by the slope there."""
    low, high = (
        change(end) if math.isfinite(end) else end for end in (ratio.interval.low, ratio.interval.high)
    )
    warning = ratio.interval.warning
    if ratio.estimate < 0.0:
        warning = f"{SIGN} {warning}" if warning else SIGN
    interval = replace(ratio.interval, low=low, high=high, warning=warning)
    stderr = None if ratio.stderr is None else slope * ratio.stderr
    return replace(ratio, estimate=change(ratio.estimate), unit=unit, stderr=stderr, interval=interval)


def _check_weights(weights: Any) -> None:
    for start in range(0, len(weights), PIECE):
        piece = finite(weights[start : start + PIECE], "weights", start)
        if (piece < 0).any():
            row = start + int(np.argmax(piece < 0))
            raise DataError(
                f"weights, row {row}: {piece[row - start]}, expected 0 or more, such as a number of tokens."
            )
