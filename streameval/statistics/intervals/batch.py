"""Many samples of one size at once, and their moments. Knows losses, not what any interval does with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.statistics.bounds import Bounds

Floats = NDArray[np.float64]


class Moments(NamedTuple):
    """Of one sample: mean, standard deviation (ddof 1), skewness, smallest and largest value; see `Batch`."""

    mean: float
    sd: float
    skewness: float
    least: float
    largest: float


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of equal size from one population; a single interval is the case of one trial.

    values (trials, n) float64, in the order drawn · population: N if drawn without replacement, else None
    """

    values: Floats
    population: int | None = None

    @classmethod
    def of(cls, losses: Any, population: int | None = None) -> Batch:
        """Return one sample as a batch. Raises UsageError if it is empty, not flat, or larger than N."""
        values = np.asarray(losses, np.float64)
        if values.ndim != 1 or len(values) == 0:
            raise UsageError(
                f"losses: found shape {values.shape}, a flat list of at least one loss was expected."
            )
        if population is not None and len(values) > population:
            raise UsageError(
                f"losses: {len(values)} of them, drawn without replacement from {population} rows. "
                "Leave population out for draws with replacement."
            )
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataError(
                f"losses, entry {row}: {values[row]}, a finite loss was expected. Evaluate with eps > 0."
            )
        return cls(values[None, :], population)

    @classmethod
    def known(cls, values: Floats, moments: list[Moments], population: int | None = None) -> Batch:
        """A batch whose moments were computed before."""
        batch = cls(values, population)
        batch.__dict__["moments"] = moments
        return batch

    @property
    def n(self) -> int:
        """Rows in each sample."""
        return int(self.values.shape[1])

    @property
    def exhausted(self) -> bool:
        """True when each sample is the whole population: nothing is left to be uncertain about."""
        return self.population is not None and self.n == self.population

    @property
    def effective(self) -> float:
        """n / (1 - n/N): the draws with replacement that would say as much. Infinite at n = N."""
        if self.population is None:
            return float(self.n)
        if self.n == self.population:
            return math.inf
        return self.n / (1.0 - self.n / self.population)

    @property
    def share(self) -> float:
        """n / N without replacement, 0 with."""
        return 0.0 if self.population is None else self.n / self.population

    def trials(self) -> Iterator[Batch]:
        """Yield each trial as a batch of its own; the moments are not computed again."""
        if len(self.values) == 1:
            yield self
            return
        for i in range(len(self.values)):
            yield Batch.known(self.values[i : i + 1], self.moments[i : i + 1], self.population)

    @property
    def mean(self) -> Floats:
        """(trials,) means."""
        return self._moments[:, 0]

    @property
    def sd(self) -> Floats:
        """(trials,) standard deviations, ddof 1; infinite for one row, which says nothing of the spread."""
        return self._moments[:, 1]

    @property
    def skewness(self) -> Floats:
        """(trials,) third central moment over sd^3 (both divided by n); 0 where all losses are equal."""
        return self._moments[:, 2]

    @cached_property
    def moments(self) -> list[Moments]:
        """The moments of each trial as plain numbers: a mini-batch's few take longer as arrays than its losses do."""
        return [Moments(*one) for one in self._moments.tolist()]

    @cached_property
    def _moments(self) -> Floats:
        if "moments" in self.__dict__:
            return np.array(self.moments)
        # One kernel call instead of a dozen of NumPy's.
        from streameval.kernels.moments import COLUMNS, sample_moments

        out = np.empty((len(self.values), COLUMNS))
        sample_moments(np.ascontiguousarray(self.values), out)
        return out

    def scaled(self, bounds: Bounds) -> Floats:
        """Return the values as (v - low) / (high - low), in [0, 1]; rounding outside is moved in."""
        low, high = bounds
        scaled = (self.values - low) / (high - low)
        return np.asarray(np.clip(scaled, 0.0, 1.0, out=scaled))

    def check(self, bounds: Bounds) -> None:
        """Raise DataError for a loss outside the bounds by more than rounding (1e-6 of the range)."""
        low, high = bounds
        least, most = min(one.least for one in self.moments), max(one.largest for one in self.moments)
        slack = 1e-6 * (high - low)
        if least < low - slack or most > high + slack:
            worst = least if least < low - slack else most
            raise DataError(
                f"losses: {worst} lies outside the bounds {low} to {high}, so that no guarantee would hold. "
                "Give the bounds of the eps that the losses were computed with."
            )
