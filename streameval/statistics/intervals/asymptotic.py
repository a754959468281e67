"""The asymptotic confidence sequence: the central limit theorem at all times. Knows mean, spread and size.

I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2021), "Time-uniform central limit theory
and asymptotic confidence sequences".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streameval.elementary import log
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.method import Method
from streameval.statistics.intervals.normal import warn

TUNED_FOR = (
    500.0  # draws at which the sequence is narrowest; fixed, or looking at many n would not be allowed
)


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean -+ s sqrt(2 (t r^2 + 1) / (t^2 r^2) ln(sqrt(t r^2 + 1) / a)), with t = n / (1 - n/N).

    a = 1 - level. Without replacement, t (mean_n - mean) is a martingale of variance t s^2: t is its clock.
    r^2 = (2 ln(1/a) + ln(2 ln(1/a) + 1)) / 500 makes it narrowest at t = 500.
    """
    half = batch.sd * margin(batch.effective, level)
    return np.asarray(batch.mean - half), np.asarray(batch.mean + half)


def margin(t: Any, level: float) -> Any:
    """Return the half-width for a spread of 1 at the clock's time t, a number or an array."""
    miss = 1.0 - level
    tuned = -2.0 * log(miss) + log(-2.0 * log(miss) + 1.0)
    grown = t * tuned / TUNED_FOR
    return np.sqrt(2.0 * (grown + 1.0) / (t * grown) * log(np.sqrt(grown + 1.0) / miss))


ASSUMES = (
    "The rows were drawn at random, and looking began only after enough rows for means to be nearly normal."
)

ASYMPTOTIC = Method(
    name="asymptotic",
    limits=limits,
    assumes=ASSUMES,
    warn=warn,
    bounded=False,
    anytime=True,
)
