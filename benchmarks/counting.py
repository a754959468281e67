"""How often intervals held the mean of a population, drawn again and again, and at how many of many looks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.populations import Population

if TYPE_CHECKING:
    from streameval.statistics.intervals import Batch

LEVEL: Final = 0.95
SIZES: Final = (30, 100, 1000)
FARTHEST: Final = 10_000  # rows to which an order is followed
FIRST_LOOK: Final = 30
LOOKS: Final = 40  # at numbers of rows from FIRST_LOOK to FARTHEST, each the same factor after the last
TRIALS: Final = 4_000
SEED: Final = 20_260

# Those that promise to hold at every look, as `until` uses them.
SEQUENCES: Final = {
    "until betting": "betting",
    "until predictable": "predictable",
    "until asymptotic": "asymptotic",
}

Missed = NDArray[np.bool_]


@dataclass
class Count:
    """What one way of making intervals did, in numbers of trials.

    missed, silent  rows -> trials whose interval of that many rows missed; those of them without a warning
    ever            trials in which some look missed; None if not asked
    """

    trials: int
    missed: dict[int, int] = field(default_factory=dict)
    silent: dict[int, int] = field(default_factory=dict)
    ever: int = 0

    def covered(self, rows: int) -> float:
        """Share of trials in which the interval of so many rows held the mean."""
        return 1.0 - self.missed[rows] / self.trials


def count(
    population: Population,
    *,
    replace: bool,
    trials: int = TRIALS,
    seed: int = SEED,
    farthest: int = FARTHEST,
    sizes: tuple[int, ...] = SIZES,
) -> dict[str, Count]:
    """Draw `trials` orders of rows and follow every interval along each, at `sizes` and at LOOKS looks."""
    from streameval.statistics.intervals import INTERVALS

    looks = _looks(population, replace, farthest, sizes)
    found = {name: Count(trials, dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0)) for name in INTERVALS}
    found |= {name: Count(trials) for name in SEQUENCES}
    for values in _orders(population, looks[-1], trials, seed, replace):
        _fixed(found, values, population, replace, looks)
        for name, method in SEQUENCES.items():
            ever = _SEQUENCES[method](values, population, None if replace else len(population.losses), looks)
            found[name].ever += int(np.count_nonzero(ever))
    return found


def _looks(population: Population, replace: bool, farthest: int, sizes: tuple[int, ...]) -> list[int]:
    last = farthest if replace else min(farthest, len(population.losses) - 1)
    spread = np.geomspace(FIRST_LOOK, last, LOOKS).astype(int).tolist()
    return sorted({*spread, *sizes})


def _orders(
    population: Population, rows: int, trials: int, seed: int, replace: bool
) -> Iterator[NDArray[np.float64]]:
    """Yield losses in random order, (some, rows) at a time."""
    from streameval.statistics.trials import draws

    for drawn in draws(len(population.losses), rows, trials, seed=seed, replace=replace):
        yield population.losses[drawn]


def _fixed(
    found: dict[str, Count],
    values: NDArray[np.float64],
    population: Population,
    replace: bool,
    looks: list[int],
) -> None:
    """Intervals of a fixed number of rows: at their sizes alone, and at all looks, for which they are not made."""
    from streameval.statistics.intervals import INTERVALS, Batch

    truth = float(np.mean(population.losses))
    ever = {name: np.zeros(len(values), np.bool_) for name in INTERVALS}
    for rows in looks:
        batch = Batch(np.ascontiguousarray(values[:, :rows]), None if replace else len(population.losses))
        for name, method in INTERVALS.items():
            below, above = method.missed(batch, LEVEL, truth, population.bounds)
            missed, into = below | above, found[name]
            ever[name] |= missed
            if rows in into.missed:
                into.missed[rows] += int(np.count_nonzero(missed))
                into.silent[rows] += _silent(name, batch, missed, population.bounds)
    for name, some in ever.items():
        found[name].ever += int(np.count_nonzero(some))


def _silent(name: str, batch: Batch, missed: Missed, bounds: tuple[float, float]) -> int:
    """How many of the intervals that missed came without a warning."""
    from streameval.statistics.intervals import INTERVALS, Batch

    if not missed.any():
        return 0
    wrong = Batch(batch.values[missed], batch.population)
    return sum(one.warning is None for one in INTERVALS[name].intervals(wrong, LEVEL, bounds))


def _aim(population: Population, rows: int, size: int | None) -> float:
    """The half-width that a betting sequence can hope for after half of the rows that are followed."""
    half = max(1.0, rows / 2.0)
    draws = half if size is None else half / (1.0 - half / size)
    return math.sqrt(2.0 * math.log(2.0 / (1.0 - LEVEL)) / draws) * float(population.losses.std(ddof=1))


def _prior(population: Population) -> float:
    from streameval.statistics.intervals.betting import PRIOR
    from streameval.statistics.paired import DIFFERENCE_PRIOR

    return DIFFERENCE_PRIOR if population.differences else PRIOR


def _betting(
    values: NDArray[np.float64], population: Population, size: int | None, looks: list[int]
) -> Missed:
    """After every row: the truth is missed where the capital against it ever passes the threshold."""
    from streameval.statistics.intervals import Batch
    from streameval.statistics.intervals.betting import log_capital, threshold

    capital = log_capital(
        Batch(values, size),
        LEVEL,
        float(np.mean(population.losses)),
        population.bounds,
        ever=True,
        half_width=_aim(population, looks[-1], size),
        prior=_prior(population),
    )
    return np.asarray(capital.max(axis=1) >= threshold(LEVEL))


def _predictable(
    values: NDArray[np.float64], population: Population, size: int | None, looks: list[int]
) -> Missed:
    """After every row."""
    from streameval.kernels.statistics_predictable import predictable_onward
    from streameval.statistics.intervals.betting import threshold

    low, high = population.bounds
    truth = (float(np.mean(population.losses)) - low) / (high - low)
    aim = _aim(population, looks[-1], size) / (high - low)
    missed, ends = np.zeros(len(values), np.bool_), np.empty((values.shape[1], 2))
    for k, row in enumerate((values - low) / (high - low)):
        predictable_onward(row, size or 0, aim, True, _prior(population), threshold(LEVEL), np.zeros(7), ends)
        # What the rows force is exact, and so is the truth: leave room for rounding.
        missed[k] = ((ends[:, 0] > truth + 1e-12) | (ends[:, 1] < truth - 1e-12)).any()
    return missed


def _asymptotic(
    values: NDArray[np.float64], population: Population, size: int | None, looks: list[int]
) -> Missed:
    """At the looks at which it shows anything."""
    from streameval.statistics.sequences import sequence

    truth, aim = float(np.mean(population.losses)), _aim(population, looks[-1], size)
    missed = np.zeros(len(values), np.bool_)
    for k, row in enumerate(values):
        known = sequence("asymptotic", size, half_width=aim, level=LEVEL, bounds=None)
        known.feed(row)
        for rows in looks:
            if not missed[k] and known.shown(rows):
                _, low, high = known.at(rows)
                missed[k] = not low <= truth <= high
    return missed


_SEQUENCES: Final = {"betting": _betting, "predictable": _predictable, "asymptotic": _asymptotic}
