"""The asymptotic confidence sequence: the central limit theorem at all times. Knows mean, spread and size.

I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas (2021), "Time-uniform central limit theory
and asymptotic confidence sequences".
"""

from __future__ import annotations

import math

import numpy as np

from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.interval import Method
from streameval.statistics.intervals.normal import warn

TUNED_FOR = 500.0  # draws at which the sequence is narrowest; fixed, or looking at many n would not be allowed


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean -+ s sqrt(2 (t r^2 + 1) / (t^2 r^2) ln(sqrt(t r^2 + 1) / a)), a = 1 - level, t = n / (1 - n/N).

    Without replacement, t (mean_n - mean) is a martingale of variance t s^2, so t is the clock to use.
    r^2 = (2 ln(1/a) + ln(2 ln(1/a) + 1)) / 500 makes it narrowest at t = 500.
    """
    miss = 1.0 - level
    t = batch.effective
    tuned = -2.0 * math.log(miss) + math.log(-2.0 * math.log(miss) + 1.0)
    grown = t * tuned / TUNED_FOR
    half = batch.sd * math.sqrt(2.0 * (grown + 1.0) / (t * grown) * math.log(math.sqrt(grown + 1.0) / miss))
    return np.asarray(batch.mean - half), np.asarray(batch.mean + half)


ASYMPTOTIC = Method(
    name="asymptotic",
    limits=limits,
    assumes="The rows were drawn at random, and looking began only after enough rows for means to be nearly normal.",
    warn=warn,
    bounded=False,
    anytime=True,
)
