"""The empirical Bernstein bound. Knows spread, size and the bounds of the losses.

A. Maurer, M. Pontil (2009), "Empirical Bernstein bounds and sample variance penalization".
"""

from __future__ import annotations

import math

import numpy as np

from streameval.elementary import log
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.method import Method


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean -+ (sqrt(2 s^2 ln(4/a) / n) + 7 R ln(4/a) / (3 (n - 1))), with a = 1 - level."""
    low, high = needed(bounds, "bernstein")
    if batch.n == 1:
        return np.full(len(batch.values), low), np.full(len(batch.values), high)
    cost = log(4.0 / (1.0 - level))
    half = batch.sd * math.sqrt(2.0 * cost / batch.n) + 7.0 * (high - low) * cost / (3.0 * (batch.n - 1))
    return batch.mean - half, batch.mean + half


def warn(batch: Batch) -> str | None:
    """Warn when the rows were drawn without replacement: the bound was proved for draws with."""
    if batch.population is not None:
        return "Proved for draws with replacement; 'serfling' is its form for draws without."
    return None


BERNSTEIN = Method(
    name="bernstein",
    limits=limits,
    assumes="The rows were drawn at random with replacement, and no loss lies outside the bounds.",
    warn=warn,
    bounded=True,
    anytime=False,
)
