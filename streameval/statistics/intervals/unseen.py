"""The rule of three: what a sample cannot know of rows of which it has none. Knows extremes and sizes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from streameval.elementary import log, log1p
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.batch import Batch


def rough_percent(share: float) -> str:
    """A share as percent with two digits that mean something: 0.3 %, 12 %, 100 %."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


class Seen(NamedTuple):
    """What was drawn: how many of how many (None: with replacement), their mean, the smallest and the largest.

    what: "rows", or what else was drawn independently
    """

    draws: int
    population: int | None
    mean: float
    smallest: float
    largest: float
    what: str = "rows"

    @classmethod
    def of(cls, batch: Batch) -> Seen:
        """What a batch of one trial has seen."""
        moments = batch.moments[0]
        return cls(batch.n, batch.population, moments.mean, moments.least, moments.largest)

    def share(self, level: float) -> float:
        """Return the share of all draws that stays out of the sample with a probability of 1 - level = a.

        ln(1/a) / n, "three over n" at 95 %; without replacement ln(1/a) / (-N ln(1 - n/N)), a little less.
        """
        return _unseen_share(self.draws, self.population, level)

    def warning(self, level: float, bounds: Bounds | None, half_width: float) -> str | None:
        """Return a warning if the unseen share could move the mean by more than the half-width, else None.

        At the worst loss there can be, that is; where there is no bound, at the worst one seen. An interval made of
        the sample's own spread knows nothing of either.
        """
        if not math.isfinite(half_width) or self.draws < 2:
            return None
        low, high = (-math.inf, math.inf) if bounds is None else bounds
        below, above = math.isfinite(low), math.isfinite(high)
        down = self.mean - (low if below else self.smallest)
        up = (high if above else self.largest) - self.mean
        share = self.share(level)
        reach = share * max(up, down)
        if reach <= half_width:
            return None
        bounded = below and above
        worst = self.mean + up if up >= down else self.mean - down
        known = "the worst there can be" if bounded else "the worst one drawn, and no bound is known"
        cure = "'betting' is guaranteed" if bounded else "with a bound (eps > 0) 'betting' is guaranteed"
        return (
            f"{self.draws} {self.what} can miss a kind that makes up {rough_percent(share)} of all {self.what}; at "
            f"{worst:.3g}, {known}, it would move the mean by {reach:.2g}, more than the half-width of "
            f"{half_width:.2g}. If there may be such {self.what}, {cure}."
        )


@lru_cache(maxsize=1024)
def _unseen_share(draws: int, population: int | None, level: float) -> float:
    if draws == population:
        return 0.0
    independent = float(draws) if population is None else -population * log1p(-draws / population)
    return min(1.0, -log(1.0 - level) / independent)
