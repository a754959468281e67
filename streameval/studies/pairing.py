"""Models against the first of them, in each form: all rows in one pass, or random ones until enough is known.

Knows readers of losses and what is claimed of pairs. Does not know how a comparison is asked for or told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from streameval.defaults import CHUNK_ROWS, FURTHER_DATA, THESE_ROWS
from streameval.evaluation.grouping import row_groups
from streameval.evaluation.memory import planned_scorers
from streameval.evaluation.report import Report
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring.scorer import Budget
from streameval.statistics.bounds import Bounds, difference_bounds, needed, signed
from streameval.statistics.clusters import clustered
from streameval.statistics.decided import Decision, Evidence, SignTest, decide, evidence
from streameval.statistics.difference import difference_until
from streameval.statistics.intervals.method import Interval, quantile
from streameval.statistics.mcnemar import mcnemar
from streameval.statistics.paired import DIFFERENCE_PRIOR, Difference, Pair, paired_until
from streameval.statistics.paired import paired as pairs_of
from streameval.statistics.population import Population
from streameval.statistics.power import power_of
from streameval.statistics.sequences import sequence
from streameval.statistics.until import Step, StoppingResult
from streameval.statistics.weighted import WeightedDraws, weighted_decide, weighted_until
from streameval.storage.source import Source
from streameval.studies.looks import recorder
from streameval.studies.paired_result import PairedResult, p_of
from streameval.studies.quantity import Wrong, bounds_of
from streameval.studies.reading import Floats, Integers, RowScores, SharedReader
from streameval.studies.spooled import Spooled, spooled_losses
from streameval.studies.stored import StoredLosses

FURTHER = (
    "The difference on these rows is exact. The interval is for further data of the same kind, of which these rows are "
    "a sample, looked at once. Assumed: {}"
)
OnStep = Callable[[Step], None] | None


@frozen(eq=False)
class Study:
    """One comparison, in each of its forms.

    half_width  None for all rows, or until the sign is known (`decided`) · draw: a row of `DRAWS`
    of          "loss" or "accuracy"
    groups      of rows, as `evaluate` takes them
    """

    models: tuple[Model, ...]
    source: Source
    names: tuple[str, ...]
    level: float
    seed: int
    loss: Loss
    budget: Budget
    half_width: float | None
    decided: bool
    draw: str
    of: str
    groups: Any

    def run(
        self, old: StoredLosses | None, progress: Callable[[int, int], None] | None, on_step: OnStep
    ) -> tuple[tuple[PairedResult, ...], tuple[Report, ...]]:
        """Each further model against the first, or against stored losses; and the reports of a pass over all rows."""
        if self.half_width is None and not self.decided:
            return self._whole(old, progress)
        scorers, chunk_rows = planned_scorers(self.models, self.source, self.loss, self.budget, CHUNK_ROWS)
        reader = SharedReader(scorers, self.source, None if old is None else old.losses, chunk_rows)
        if old is not None and self.draw == "weighted":
            draws = WeightedDraws.of(old.losses, bounds=self.loss.bounds, seed=self.seed)
            return tuple(self._weighted(reader, k, draws, on_step) for k in range(1, len(self.names))), ()
        form = self._until_decided if self.decided else self._until_narrow
        return tuple(form(reader, k, old, on_step) for k in range(1, len(self.names))), ()

    @property
    def shared_level(self) -> float:
        """The level of each interval at which all of them hold together at `level`, by Bonferroni."""
        return 1.0 - (1.0 - self.level) / (len(self.names) - 1)

    def _whole(
        self, old: StoredLosses | None, progress: Callable[[int, int], None] | None
    ) -> tuple[tuple[PairedResult, ...], tuple[Report, ...]]:
        """All rows, in one pass."""
        codes = None if self.groups is None else row_groups(self.groups, self.source)[0]
        with spooled_losses(
            self.models, self.source, self.loss, right=True, budget=self.budget, progress=progress
        ) as spooled:
            columns = dict(zip(self.names, self._columns(spooled, old), strict=True))
            pairs = map(self._directed, pairs_of(columns, level=self.level, labels=spooled.labels))
            first = columns[self.names[0]]
            results = tuple(
                self._further(pair, Difference(first, columns[pair.second]), codes) for pair in pairs
            )
            if old is not None:
                results = tuple(replace(one, first_full=one.pair.first_loss) for one in results)
            elif right := _right(spooled):
                one, *others = right
                results = tuple(
                    replace(result, mcnemar=mcnemar(one, other))
                    for result, other in zip(results, others, strict=True)
                )
            return results, spooled.reports

    def _columns(self, spooled: Spooled, old: StoredLosses | None) -> tuple[Any, ...]:
        """One array of values for each name."""
        if self.of == "accuracy":
            return tuple(map(Wrong, spooled.right))
        return spooled.losses if old is None else (old.losses, *spooled.losses)

    def _further(self, pair: Pair, gaps: Difference, codes: Any) -> PairedResult:
        """What all rows say of further data."""
        several, bounds = len(self.names) > 2, difference_bounds(bounds_of(self.of, self.loss))
        if codes is None:
            stderr, freedom, groups = pair.sd / math.sqrt(pair.rows), pair.rows - 1.0, None
            interval, wider = pair.interval, pair.interval_at(self.shared_level)
            assumes = "rows are independent of each other, and so many that their mean is nearly normally distributed."
        else:
            groups = clustered(gaps, codes)
            stderr, freedom = groups.stderr or 0.0, groups.groups - 1.0
            interval, wider = groups.interval(self.level), groups.interval(self.shared_level)
            assumes = "groups, not rows, are independent of each other, many and alike in size; it holds approximately."
        told = FURTHER.format(assumes)
        interval, wider = interval.within(bounds), wider.within(bounds)
        sure = None
        if bounds is not None and codes is None:
            sure = evidence(gaps, level=self.level, seed=self.seed, bounds=bounds)
        return PairedResult(
            pair,
            replace(interval, assumes=told),
            FURTHER_DATA,
            evidence=sure,
            p_approximate=p_of(pair.difference, stderr, freedom),
            clustered=groups,
            simultaneous=replace(wider, assumes=told) if several else None,
            power=power_of(pair.difference, stderr, pair.rows, level=self.level) if stderr else None,
        )

    def _until_narrow(
        self, reader: SharedReader, k: int, old: StoredLosses | None, on_step: OnStep
    ) -> PairedResult:
        """Random rows until the difference of model k from the first is known to +- half_width."""
        steps, record = recorder(on_step)
        base = None if old is None else Population.of(old.losses)
        stopped = self._narrowed(reader.comparison(k, self.of), old, record)
        pair, gaps = self._seen(reader, k, stopped.rows_read)
        limits, interval = self._limits(base), _interval(stopped)
        if base is not None:
            interval = replace(interval, low=stopped.low - base.mean, high=stopped.high - base.mean)
        test = SignTest(self.source.rows, level=self.level, bounds=limits)
        test.feed(gaps)
        result = PairedResult(
            pair, interval, THESE_ROWS, stopped, _raised(interval, base), tuple(steps),
            evidence=Evidence(test.e_value(), test.p_value()), first_full=None if base is None else base.mean,
        )  # fmt: skip
        if len(self.names) == 2:
            return result
        known = sequence(
            "betting", self.source.rows, half_width=self._width, level=self.shared_level, bounds=limits,
            prior=DIFFERENCE_PRIOR,
        )  # fmt: skip
        known.feed(gaps)
        _, low, high = known.at(len(gaps))
        return replace(result, simultaneous=replace(interval, low=low, high=high, level=self.shared_level))

    def _narrowed(self, read: Any, old: StoredLosses | None, record: Any) -> StoppingResult:
        settings: dict[str, Any] = {
            "half_width": self._width,
            "level": self.level,
            "seed": self.seed,
            # No form without bounds is offered here: nothing else is named where there are none.
            "bounds": needed(bounds_of(self.of, self.loss), "betting", instead=()),
            "on_step": record,
        }
        if old is None:
            return paired_until(read, self.source.rows, **settings)
        return difference_until(_second(read), old.losses, **settings)

    def _until_decided(
        self, reader: SharedReader, k: int, old: StoredLosses | None, on_step: OnStep
    ) -> PairedResult:
        """Random rows until it is known whether model k is better or worse than the first; of several, until all that
        is decided holds together."""
        steps, record = recorder(on_step)
        base = None if old is None else Population.of(old.losses)
        read = reader.comparison(k, self.of)
        stopped, test = decide(
            lambda rows: np.diff(read(rows), axis=0)[0], self.source.rows,
            level=self.shared_level, seed=self.seed, bounds=self._limits(base), on_step=record,
        )  # fmt: skip
        low, high = test.ends(stopped.rows_read, level=self.level)
        interval = replace(_interval(stopped), low=low, high=high, level=self.level)
        result = PairedResult(
            self._seen(reader, k, stopped.rows_read)[0], interval, THESE_ROWS, stopped, _raised(interval, base),
            tuple(steps), evidence=Evidence(stopped.e_value, stopped.p_value),
            first_full=None if base is None else base.mean,
        )  # fmt: skip
        return result if len(self.names) == 2 else replace(result, simultaneous=_interval(stopped))

    def _weighted(self, reader: SharedReader, k: int, draws: WeightedDraws, on_step: OnStep) -> PairedResult:
        """Rows drawn by the stored losses until enough is known of model k; of several, of all of them together."""
        steps, record = recorder(on_step)
        read, mean, level = _second(reader.comparison(k)), draws.whole.mean, self.shared_level
        stopped: StoppingResult | Decision
        if self.decided:
            stopped, _ = weighted_decide(read, draws, level=level, on_step=record)
            interval = _interval(stopped)
        else:
            stopped = weighted_until(read, draws, half_width=self._width, level=level, on_step=record)
            interval = replace(_interval(stopped), low=stopped.low - mean, high=stopped.high - mean)
        pair = self._pair_of_draws(reader.first(k, stopped.rows_read), k, draws, interval, stopped)
        sure = Evidence(stopped.e_value, stopped.p_value) if isinstance(stopped, Decision) else None
        return PairedResult(
            pair, interval, THESE_ROWS, stopped, replace(interval, low=mean + interval.low, high=mean + interval.high),
            tuple(steps), sure, simultaneous=interval if len(self.names) > 2 else None, first_full=mean,
            weighted=True,
        )  # fmt: skip

    def _pair_of_draws(
        self, seen: RowScores, k: int, draws: WeightedDraws, interval: Interval, stopped: Any
    ) -> Pair:
        """What weighted draws show: every number an estimate for all rows; classes and correlation are left out."""
        rows, (old, new) = draws.take(0, len(seen.losses[0])), seen.losses
        weights = draws.weights(rows)
        mean = stopped.loss if self.decided else stopped.loss - draws.whole.mean
        spread = float(((new - old) * weights).std(ddof=1))
        wins, ties = (float(np.average(one, weights=weights)) for one in (new < old, new == old))
        apart = quantile(self.level) * draws.whole.sd * math.sqrt(2.0 / len(rows))
        return Pair(
            self.names[0], self.names[k], len(rows), draws.whole.mean, draws.whole.mean + mean, mean, spread, interval,
            apart, None, wins, ties, (),
        )  # fmt: skip

    def _seen(self, reader: SharedReader, k: int, count: int) -> tuple[Pair, Floats]:
        """What the first `count` rows show of model k and the first, and second - first on each."""
        seen = reader.first(k, count)
        values = seen.losses if self.of == "loss" or seen.right is None else 1.0 - seen.right
        named = dict(zip((self.names[0], self.names[k]), values, strict=True))
        pair = pairs_of(named, level=self.level, population=self.source.rows, labels=seen.target)[0]
        return self._directed(pair), np.asarray(values[1] - values[0])

    def _directed(self, pair: Pair) -> Pair:
        """The pair with the wins of whoever is better: of scores, of which more is better, those that are larger."""
        if not getattr(self.loss, "higher_is_better", False) or self.of != "loss":
            return pair
        return replace(pair, win_rate=1.0 - pair.win_rate - pair.tie_rate)

    @property
    def _width(self) -> float:
        return 0.0 if self.half_width is None else self.half_width

    def _limits(self, old: Population | None) -> Bounds | None:
        """Bounds of a difference; where the first losses are all known, their extremes narrow them."""
        bounds = bounds_of(self.of, self.loss)
        if bounds is None or old is None:
            return difference_bounds(bounds)
        return signed((bounds[0] - old.largest, bounds[1] - old.smallest))


def _right(spooled: Spooled) -> tuple[Any, ...]:
    """Which rows each model has right, where rows have classes, or scores that are all 0 or 1; else ()."""
    if spooled.right or any(report.right_scores is None for report in spooled.reports):
        return spooled.right
    return spooled.losses


def _raised(interval: Interval, old: Population | None) -> Interval | None:
    """The interval of a difference as that of the second's full loss, where that of the first is known."""
    return (
        None if old is None else replace(interval, low=old.mean + interval.low, high=old.mean + interval.high)
    )


def _second(read: Callable[[Integers], Floats]) -> Callable[[Integers], Floats]:
    """A reader of two models' losses as one of the second model's."""
    return lambda rows: np.asarray(read(rows)[1])


def _interval(stopped: Any) -> Interval:
    return Interval(stopped.low, stopped.high, stopped.level, stopped.method, stopped.assumes)
