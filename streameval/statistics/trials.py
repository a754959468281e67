"""Mini-batches against the full loss: draw many of each size and see what they would have told.

Knows the losses of all rows, as an array that may be a mapped file. Does not know where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import LEVEL, SIZES, TRIALS
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds, limited
from streameval.statistics.intervals import INTERVALS, Batch, lookup
from streameval.statistics.intervals.batch import Floats
from streameval.statistics.intervals.betting import limits as betting_limits
from streameval.statistics.intervals.betting import threshold
from streameval.statistics.order import Order, audit_order
from streameval.statistics.population import Population
from streameval.statistics.precision import Precision, as_list, precision_table
from streameval.statistics.samples import rectangle, rounds
from streameval.statistics.seeds import number, spawn_stream

DRAWS_AT_ONCE = 1 << 20  # rows gathered before they are summed up: 8 MB of losses, 8 MB of row numbers
WIDTH_TRIALS = 100  # trials from which the half-width of an interval that has to be searched for is taken
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


@frozen
class Coverage:
    """How one interval did over the trials, as shares: `covered` held the full loss, `miss_low` lay wholly
    below it, `miss_high` wholly above. half_width: the mean, in nats, infinite if some had no ends.
    stderr: what counting so many trials leaves open of `covered`, see `share_stderr`."""

    covered: float
    miss_low: float
    miss_high: float
    half_width: float
    stderr: float


@frozen
class Trials:
    """What `trials` mini-batches of `size` rows said: their means' mean, bias, sd (ddof 1) and quantiles.

    anytime: the mean half-width, after `size` rows, of a betting sequence that may be looked at after every row,
    aimed at what the largest size allows; in nats, None where losses have no bounds.
    """

    size: int
    trials: int
    mean: float
    bias: float
    sd: float
    predicted_sd: float
    quantiles: Mapping[str, float]
    coverage: Mapping[str, Coverage]
    anytime: float | None


@frozen
class Comparison:
    """The full loss, the mini-batches of each size, the table of precision and the audit of the order."""

    population: Population
    batches: tuple[Trials, ...]
    precision: tuple[Precision, ...]
    order: Order
    level: float
    replace: bool
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers that are not finite become None."""
        batches = []
        for trials in self.batches:
            plain = {one.name: getattr(trials, one.name) for one in fields(trials)}
            plain["sd"] = _plain(trials.sd)
            plain["mean_stderr"] = trials.predicted_sd / math.sqrt(trials.trials)
            plain["quantiles"] = dict(trials.quantiles)
            plain["coverage"] = {
                name: {key: _plain(value) for key, value in asdict(row).items()}
                for name, row in trials.coverage.items()
            }
            batches.append(plain)
        return {
            "population": asdict(self.population),
            "batches": batches,
            "precision": as_list(self.precision),
            "order": self.order.to_dict(),
            "level": self.level,
            "replace": self.replace,
            "seed": self.seed,
        }


def compare_losses(
    losses: Any,
    *,
    sizes: Sequence[int] = SIZES,
    trials: int = TRIALS,
    seed: int | np.random.Generator = 0,
    level: float = LEVEL,
    bounds: Bounds | None,
    intervals: Sequence[str] | None = None,
    replace: bool = True,
    bytes_per_row: float | None = None,
    seconds_per_row: float | None = None,
) -> Comparison:
    """Draw `trials` mini-batches of each size and compare them with the mean of all losses.

    losses     (N,) float64, an array or a mapped file: read in pieces, gathered from, never copied whole
    bounds     that no loss can pass, None for unbounded losses, which leaves the bounded intervals out
    intervals  rows of `INTERVALS`, None for all that the losses allow
    replace    draw as the article does, with replacement; False for a keyed permutation for each trial

    A size's draws depend on the seed and that size alone. Raises UsageError, DataError.
    """
    _check(sizes, trials, len(losses), replace)
    names = tuple(intervals) if intervals is not None else _possible(bounds)
    population = Population.of(losses)
    root = number(seed)
    plan = _Plan(losses, population, trials, names, level, bounds, replace, root, max(sizes))
    rounds_of_trials = [_trials(plan, size) for size in sizes]
    table = precision_table(
        population.sd,
        population.rows,
        level=level,
        bytes_per_row=bytes_per_row,
        seconds_per_row=seconds_per_row,
        reach=bounds[1] - bounds[0] if bounds is not None and limited(bounds) else None,
    )
    order = audit_order(losses, population)
    return Comparison(population, tuple(rounds_of_trials), table, order, level, replace, root)


def draws(
    population: int, size: int, trials: int, *, seed: int, replace: bool
) -> Iterator[NDArray[np.int64]]:
    """Yield the row numbers of `trials` samples, (some, size) int64 at a time, the same however cut."""
    stream = np.random.Generator(np.random.PCG64(spawn_stream(seed, size)))
    if not replace:
        yield from orders(population, size, trials, stream=stream)
        return
    for count in _at_once(size, trials):
        yield stream.integers(0, population, (count, size), dtype=np.int64)


def orders(
    population: int, size: int, trials: int, *, stream: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield the first `size` rows of `trials` random orders, (some, size) int64 at a time, the same however cut."""
    from streameval.kernels.permute import permuted_trials

    for count in _at_once(size, trials):
        out = np.empty((count, size), np.int64)
        keys = stream.integers(0, 2**64, (count, rounds(population)), dtype=np.uint64)
        permuted_trials(keys, *rectangle(population), population, out)
        yield out


def _at_once(size: int, trials: int) -> Iterator[int]:
    """Yield how many samples to draw next, until all are."""
    most = max(1, DRAWS_AT_ONCE // size)
    for start in range(0, trials, most):
        yield min(most, trials - start)


class _Tally:
    """Misses and half-widths of one interval, added up batch by batch."""

    def __init__(self, name: str) -> None:
        self.method = lookup(name)
        self.low = self.high = self.seen = self.measured = 0
        self.width = 0.0

    def add(self, batch: Batch, level: float, truth: float, bounds: Bounds | None) -> None:
        low, high = self.method.missed(batch, level, truth, bounds)
        self.low += int(low.sum())
        self.high += int(high.sum())
        self.seen += len(low)
        if self.method.misses is not None:
            batch = Batch(batch.values[: max(0, WIDTH_TRIALS - self.measured)], batch.population)
        if len(batch.values):
            least, most = self.method.ends(batch, level, bounds)
            self.width += 0.5 * float(np.sum(most - least))
            self.measured += len(batch.values)

    def coverage(self) -> Coverage:
        below, above = self.low / self.seen, self.high / self.seen
        covered = 1.0 - (self.low + self.high) / self.seen
        return Coverage(
            covered, below, above, self.width / self.measured, share_stderr(self.low + self.high, self.seen)
        )


def share_stderr(count: int, trials: int) -> float:
    """Return the standard error of a share, sqrt(p (1 - p) / T), p = (count + 1) / (T + 2): never 0."""
    p = (count + 1.0) / (trials + 2.0)
    return math.sqrt(p * (1.0 - p) / trials)


@frozen(eq=False)
class _Plan:
    """What the rounds of trials share; farthest: the largest of their sizes."""

    losses: Any
    population: Population
    trials: int
    names: Sequence[str]
    level: float
    bounds: Bounds | None
    replace: bool
    seed: int
    farthest: int

    def aim(self) -> float:
        """Return the half-width that a betting sequence can hope for at the farthest size, in nats, above 0."""
        draws = Batch(np.zeros((1, self.farthest)), None if self.replace else self.population.rows).effective
        return max(math.sqrt(2.0 * threshold(self.level) / draws) * self.population.sd, 1e-9)


def _trials(plan: _Plan, size: int) -> Trials:
    population, trials, replace = plan.population, plan.trials, plan.replace
    tallies = {name: _Tally(name) for name in plan.names}
    means, widths = [], [np.empty(0)]
    for rows in draws(population.rows, size, trials, seed=plan.seed, replace=replace):
        batch = Batch(np.asarray(plan.losses[rows], np.float64), None if replace else population.rows)
        means.append(batch.mean)
        for tally in tallies.values():
            tally.add(batch, plan.level, population.mean, plan.bounds)
        widths.append(_anytime(batch, plan, WIDTH_TRIALS - sum(map(len, widths))))
    batch_means = np.concatenate(means)
    mean = math.fsum(batch_means) / trials
    return Trials(
        size,
        trials,
        mean,
        mean - population.mean,
        float(batch_means.std(ddof=1)) if trials > 1 else math.nan,
        _predicted_sd(population, size, replace),
        dict(zip(map(str, QUANTILES), np.quantile(batch_means, QUANTILES).tolist(), strict=True)),
        {name: tally.coverage() for name, tally in tallies.items()},
        float(np.concatenate(widths).mean()) if limited(plan.bounds) else None,
    )


def _anytime(batch: Batch, plan: _Plan, most: int) -> Floats:
    """Return half-widths of the betting sequence in the first trials of a batch, at most so many, (some,)."""
    first = Batch(batch.values[: most if limited(plan.bounds) else 0], batch.population)
    if first.exhausted or len(first.values) == 0:
        return np.zeros(len(first.values))
    low, high = betting_limits(first, plan.level, plan.bounds, half_width=plan.aim())
    return np.asarray(0.5 * (high - low))


def _predicted_sd(population: Population, size: int, replace: bool) -> float:
    """sigma / sqrt(n) with replacement (sigma divides by N), S sqrt((1 - n/N) / n) without (S by N - 1)."""
    share = 1.0 / population.rows if replace else size / population.rows
    return population.sd * math.sqrt((1.0 - share) / size)


def _possible(bounds: Bounds | None) -> tuple[str, ...]:
    return tuple(name for name, method in INTERVALS.items() if limited(bounds) or not method.bounded)


def _check(sizes: Sequence[int], trials: int, population: int, replace: bool) -> None:
    if trials < 1:
        raise UsageError(f"trials {trials}: at least one was expected.")
    if not sizes or min(sizes) < 1:
        raise UsageError(
            f"sizes {list(sizes)}: batch sizes of one row or more were expected, such as 10, 100, 1000."
        )
    if not replace and max(sizes) > population:
        raise UsageError(
            f"size {max(sizes)}: only {population} different rows exist. Draw fewer, or with replacement."
        )


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
