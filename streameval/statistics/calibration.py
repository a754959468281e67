"""Whether probabilities mean what they say: Brier score, calibration error, and bands for accuracies. Knows arrays.

Claims are for further data of independent rows (with `groups`: of independent groups), of which these are a sample.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import BELOW_ZERO, SUM_SLACK, no_distributions
from streameval.defaults import BINS, FURTHER_DATA, LEVEL
from streameval.elementary import dot, matmul
from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.clusters import clustered, finite, group_codes
from streameval.statistics.intervals import interval as mean_interval
from streameval.statistics.intervals.batch import Batch
from streameval.statistics.intervals.method import Interval, checked_level, flat, quantile
from streameval.statistics.intervals.normal import ROWS_FOR_SKEWNESS, rows_wanted
from streameval.statistics.intervals.unseen import Seen

Floats = NDArray[np.float64]

ASSUMES = (
    "For further data, approximately: rows (or groups) are independent, and many in every bin. It is about the error "
    "that these bins show, which is no larger than that of the probabilities themselves."
)


@frozen
class Estimate:
    """A number of these rows, and where that of further data lies."""

    value: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"value": self.value, "interval": self.interval.to_dict() | {"estimates": FURTHER_DATA}}


@frozen
class ShareBand:
    """One class or bin: its rows, how many of them are right, and where its accuracy lies, together with the others.

    confidence  mean probability of the predicted class, None for classes
    """

    label: int
    rows: int
    right: int
    interval: Interval
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "label": self.label,
            "rows": self.rows,
            "right": self.right,
            "confidence": self.confidence,
            "interval": self.interval.to_dict() | {"estimates": FURTHER_DATA},
        }


def brier_scores(probabilities: Any, labels: Any) -> Floats:
    """Return sum_k (p_k - [k = label])^2 of each row, (n,), from 0, best, to 2.

    probabilities (n, classes), each row of sum 1 · labels (n,) integers
    G. Brier (1950), "Verification of forecasts expressed in terms of probability". Raises UsageError, DataError.
    """
    p, t = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or t.shape != p.shape[:1] or not np.issubdtype(t.dtype, np.integer):
        raise UsageError(
            f"probabilities of shape {p.shape}, labels {t.dtype} of shape {t.shape}: (n, classes) and integers (n,) "
            "were expected."
        )
    bad = no_distributions(p)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"probabilities, row {row}: {p[row][:10].tolist()}, expected numbers from 0 of sum 1."
        )
    outside = (t < 0) | (t >= p.shape[1])
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"labels, row {row}: {t[row]}, expected a class from 0 to {p.shape[1] - 1}.")
    return np.asarray(np.square(p).sum(axis=1) - 2.0 * p[np.arange(len(t)), t] + 1.0)


def brier(scores: Any, *, groups: Any = None, level: float = LEVEL, guaranteed: bool = False) -> Estimate:
    """Return the Brier score, the mean of `brier_scores` (n,), with its interval.

    groups      as for `clusters.clustered`
    guaranteed  by betting, for any number of independent rows; else by Student's t, for many, with a warning where
                scores are so skew, or so much alike, that these are too few

    Raises UsageError, DataError.
    """
    values = finite(scores, "scores", 0)
    if guaranteed and groups is not None:
        raise UsageError("guaranteed with groups: betting takes rows as independent. Leave one of them out.")
    if guaranteed:
        return Estimate(
            float(values.mean()), mean_interval(values, "betting", level=level, bounds=(0.0, 2.0))
        )
    found = clustered(values, np.arange(len(values)) if groups is None else groups)
    interval = _cut(found.interval(level), 2.0)
    if groups is None and len(values) > 1:
        interval = replace(interval, warning=_few_scores(values, level, interval.half_width))
    return Estimate(found.mean, interval)


def _few_scores(values: Floats, level: float, half_width: float) -> str | None:
    """Say of independent scores why Student's t should not be trusted, None where nothing speaks against it."""
    batch = Batch.of(values)
    wanted = rows_wanted(batch.moments[0].skewness)
    if flat(batch) or batch.n >= wanted:
        return flat(batch) or Seen.of(batch).warning(level, (0.0, 2.0), half_width)
    return (
        f"{batch.n} rows are too few for scores as skew as these: about {wanted:.0f} are needed. The interval is "
        "likely too short; by betting (guaranteed=True) it holds."
    )


def _cut(interval: Interval, most: float) -> Interval:
    """The interval within what can be, 0 to the most."""
    return replace(interval, low=max(0.0, interval.low), high=min(most, interval.high))


def calibration_error(
    confidence: Any, right: Any, *, bins: int = BINS, groups: Any = None, level: float = LEVEL
) -> Estimate:
    """Return the calibration error: the root of the mean squared gap of confidence and accuracy, without its bias.

        E^2 = sum_b w_b (g_b^2 - V_bb),     E = sqrt(max(0, E^2)),     w_b = n_b / n

    g_b the mean of confidence - right in bin b, V the covariance of these means: by chance alone g_b^2 is V_bb on
    average, which the plain estimate counts as an error (A. Kumar, P. Liang, T. Ma 2019, "Verified uncertainty
    calibration").

    confidence  (n,) probability of the predicted class · right (n,) bool · bins: of about as many rows each
    groups      (n,) of rows that may be alike: V is clustered by them

    The interval is E^2 -+ z sd, with sd^2 = 4 (w g)' V (w g) + 2 tr (W V W V) + var(d) / n for d = max(0, g^2 - V), cut
    at 0 and 1, and the root of its ends. It warns of fewer than 25 wrong, or right, rows: the spread of a bin is not
    known from so few. Raises UsageError, DataError.
    """
    c, y = _pair(confidence, right)
    checked_level(level)
    place, count = _bins(c, bins)
    gap = c - y
    rows = np.bincount(place, minlength=count).astype(np.float64)
    means = np.bincount(place, gap, count) / rows
    away = gap - means[place]
    covariance = _covariance(place, away, rows, groups)
    weights = rows / len(c)
    chance = np.diag(covariance)
    square = float(np.sum(weights * (means**2 - chance)))
    true = np.maximum(0.0, means**2 - chance)
    pull = weights * means
    both = covariance * np.sqrt(np.outer(weights, weights))
    spread = (
        4.0 * dot(matmul(pull[None], covariance)[0], pull)
        + 2.0 * float(np.sum(both * both))
        + float(np.sum(weights * true**2) - np.sum(weights * true) ** 2) / len(c)
    )
    reach = quantile(level) * math.sqrt(spread)
    low, high = (math.sqrt(max(0.0, end)) for end in (square - reach, square + reach))
    few = None
    if groups is not None:
        by_groups = clustered(gap, groups)
        few = by_groups.interval(level).warning
        low, high = (0.0, 1.0) if by_groups.stderr is None else (low, high)
    interval = Interval(low, high, level, "debiased", ASSUMES, few or _few_of_a_kind(y))
    return Estimate(math.sqrt(max(0.0, square)), _cut(interval, 1.0))


def _few_of_a_kind(right: Floats) -> str | None:
    """Say where almost all rows are right, or wrong. Of a share p, 25 skewness^2 rows have 25 of the rarer kind."""
    count = round(float(right.sum()))
    few, kind = min((len(right) - count, "wrong"), (count, "right"))
    if few >= ROWS_FOR_SKEWNESS:
        return None
    return (
        f"{few} of {len(right)} rows are {kind}: too few to know the spread of a bin from, about {ROWS_FOR_SKEWNESS} "
        "are needed. The interval is likely too short; those of the bins hold."
    )


def reliability(
    confidence: Any, right: Any, *, bins: int = BINS, level: float = LEVEL
) -> tuple[ShareBand, ...]:
    """Return the accuracy in each bin of confidence, with intervals that hold for all bins together.

    Clopper and Pearson's at the level 1 - a / bins (Bonferroni): for any numbers of independent rows. A bin whose mean
    confidence lies outside is miscalibrated. Arguments and errors as for `calibration_error`.
    """
    c, y = _pair(confidence, right)
    place, count = _bins(c, bins)
    rows = np.bincount(place, minlength=count)
    return _bands(rows, np.bincount(place, y, count), level, np.bincount(place, c, count) / rows)


def class_bands(right: Any, labels: Any, *, level: float = LEVEL) -> tuple[ShareBand, ...]:
    """Return the accuracy of each class that has rows, with intervals that hold for all of them together.

    right (n,) bool · labels (n,) integers from 0. As for `reliability`.
    """
    y, t = np.asarray(right, np.float64), np.asarray(labels)
    if y.shape != t.shape or t.ndim != 1 or not np.issubdtype(t.dtype, np.integer) or (t < 0).any():
        raise UsageError(
            f"right {y.shape}, labels {t.dtype} {t.shape}: one of each for a row, labels from 0, were expected."
        )
    return _bands(np.bincount(t), np.bincount(t, y), level, None)


def _bands(
    rows: NDArray[Any], right: NDArray[Any], level: float, confidence: NDArray[Any] | None
) -> tuple[ShareBand, ...]:
    there = np.flatnonzero(rows).tolist()
    shared = 1.0 - (1.0 - checked_level(level)) / max(1, len(there))
    return tuple(
        ShareBand(
            k, int(rows[k]), round(float(right[k])),
            accuracy_interval(round(float(right[k])), int(rows[k]), level=shared),
            None if confidence is None else float(confidence[k]),
        )
        for k in there
    )  # fmt: skip


def _covariance(place: NDArray[np.int64], away: Floats, rows: Floats, groups: Any) -> Floats:
    """The covariance (bins, bins) of the bins' mean gaps; a bin of one row, or group, has the largest there is."""
    if groups is None:
        sums = np.bincount(place, away * away, len(rows))
        return np.diag(np.where(rows > 1, sums / np.maximum(rows - 1.0, 1.0), 0.25) / rows)
    codes, count = group_codes(groups)
    if len(codes) != len(away):
        raise UsageError(f"groups: {len(codes)} for {len(away)} rows. Give one for each row.")
    by_group = np.bincount(codes * len(rows) + place, away / rows[place], count * len(rows))
    parts = by_group.reshape(count, len(rows)).astype(np.float64)
    there = len(np.unique(codes))
    alone = np.bincount(np.unique(codes * len(rows) + place) % len(rows), minlength=len(rows)) == 1
    return np.asarray(
        matmul(parts.T, parts) * (there / max(1, there - 1)) + np.diag(np.where(alone, 0.25, 0.0))
    )


def _bins(confidence: Floats, bins: int) -> tuple[NDArray[np.int64], int]:
    """The bin of each row, from 0, and how many there are: at quantiles, equal confidences in one bin."""
    if bins < 1:
        raise UsageError(f"bins {bins}: at least one was expected.")
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, confidence, side="right")
    used, place = np.unique(place, return_inverse=True)
    return place.reshape(-1).astype(np.int64), len(used)


def _pair(confidence: Any, right: Any) -> tuple[Floats, Floats]:
    c, y = finite(confidence, "confidence", 0), np.asarray(right, np.float64)
    if c.ndim != 1 or y.shape != c.shape or len(c) == 0:
        raise UsageError(f"confidence {c.shape}, right {y.shape}: one of each for a row (n,) was expected.")
    outside = (c < -BELOW_ZERO) | (c > 1.0 + SUM_SLACK)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"confidence, row {row}: {c[row]}, expected a probability.")
    neither = (y != 0.0) & (y != 1.0)
    if neither.any():
        row = int(np.argmax(neither))
        raise DataError(
            f"right, row {row}: {y[row]}, expected 1 (or true) where the prediction is right, else 0."
        )
    return c, y
