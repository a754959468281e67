"""Two or more models on the same rows, each row read once: their difference is known far better than either loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streameval.arguments import describe_value
from streameval.defaults import CHUNK_ROWS, LEVEL, SEED
from streameval.errors import UsageError
from streameval.evaluation.memory import parse_size, planned_scorers
from streameval.evaluation.opening import open_rows
from streameval.evaluation.report import Report, data_dict, model_dict
from streameval.losses import choose_loss
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring import check_model
from streameval.scoring.scorer import Budget
from streameval.statistics.difference import difference_until
from streameval.statistics.intervals.interval import Interval, checked_level
from streameval.statistics.paired import Pair, PairedClass, paired_until
from streameval.statistics.paired import paired as pairs_of
from streameval.statistics.population import Population
from streameval.statistics.seeds import number
from streameval.statistics.until import Step, StoppingResult
from streameval.storage.source import Source
from streameval.studies.looks import recorder
from streameval.studies.reading import Floats, Integers, SharedReader
from streameval.studies.spooled import spooled_losses
from streameval.studies.stored import StoredLosses, stored_losses

SCHEMA = "streameval/paired/1"
ALL_ROWS = (
    "The difference on these rows is exact. The interval is for data of the same kind, of which they are a random "
    "sample."
)


@dataclass(frozen=True, slots=True, eq=False)
class PairedResult:
    """One model against the first, on the same rows; every difference is second - first: below 0 the second is better.

    pair        means, correlation, win rate and classes on the rows read: see `streameval.statistics.paired.Pair`
    difference  interval of the mean difference, in nats
    stopped     how the sequential form ended, None after a pass over all rows
    loss        with stored losses: interval of the second model's full loss by the difference estimator, else None
    steps       what the sequential form knew at every look
    """

    pair: Pair
    difference: Interval
    stopped: StoppingResult | None = None
    loss: Interval | None = None
    steps: tuple[Step, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        pair, half = self.pair, self.pair.unpaired_half_width
        return {
            "first": pair.first,
            "second": pair.second,
            "rows_read": pair.rows,
            "first_loss": pair.first_loss,
            "second_loss": pair.second_loss,
            "difference": {"mean": pair.difference, **self.difference.to_dict()},
            "unpaired": {"low": pair.difference - half, "high": pair.difference + half, "half_width": half},
            "sd": pair.sd,
            "correlation": pair.correlation,
            "win_rate": pair.win_rate,
            "tie_rate": pair.tie_rate,
            "per_class": [_class_dict(row) for row in pair.per_class],
            "fraction": None if self.stopped is None else self.stopped.fraction,
            "stopped": None if self.stopped is None else self.stopped.stopped,
            "loss": self._loss(),
        }

    def _loss(self) -> dict[str, Any] | None:
        if self.loss is None or self.stopped is None:
            return None
        return {"mean": self.stopped.loss, **self.loss.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Every further model against the first. The properties are those of the first result.

    results  one for each model after the first
    names     of the models, as given: their paths, or "model 1", ...
    reports   evaluations of all rows, one for each model that was computed; () for the sequential form
    """

    results: tuple[PairedResult, ...]
    names: tuple[str, ...]
    reports: tuple[Report, ...]
    level: float
    half_width: float | None
    seed: int | None
    loss_function: Loss
    models: tuple[Model, ...]
    data: Source

    @property
    def difference(self) -> Interval:
        """Interval of second - first, in nats."""
        return self.results[0].difference

    @property
    def mean(self) -> float:
        """Mean of second - first over the rows read, in nats."""
        return self.results[0].pair.difference

    @property
    def correlation(self) -> float | None:
        """Of the two models' losses."""
        return self.results[0].pair.correlation

    @property
    def win_rate(self) -> float:
        """Share of rows on which the second model's loss is smaller."""
        return self.results[0].pair.win_rate

    @property
    def rows_read(self) -> int:
        """Rows in the comparison."""
        return self.results[0].pair.rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the first result at the top, all of them in `pairs`."""
        pairs = [result.to_dict() for result in self.results]
        return {
            "schema": SCHEMA,
            **pairs[0],
            "pairs": pairs,
            "level": self.level,
            "half_width": self.half_width,
            "seed": self.seed,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            "models": [model_dict(model) for model in self.models],
            "data": data_dict(self.data, self.models[0].outputs),
        }


def paired(
    models: Sequence[Model],
    data: Any,
    *,
    half_width: float | None = None,
    level: float = LEVEL,
    seed: int | np.random.Generator = SEED,
    losses: str | os.PathLike[str] | None = None,
    loss: Loss | None = None,
    eps: float | None = None,
    threads: int | None = None,
    max_memory: int | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Paired:
    """Compare every further model with the first, row by row, each row read once.

    half_width  None: all rows, in one pass. Else random rows are read until the mean difference is known to
                +- half_width nats, with a guarantee that holds however often one looks (`evaluate_until`)
    losses      losses of an earlier model, as `evaluate --losses` writes them: they take the place of the first
                model, which is then not computed, so that one model in `models` is enough; its full loss is
                estimated as mean(earlier) + mean(difference)
    level       of each interval by itself
    loss, eps   as for `evaluate` · max_memory: bytes, or "256M", that reading may hold beyond imports and kernels
    progress    called with (rows done, rows in all) · on_step: called at every look of the sequential form

    Raises:
        UsageError: fewer than two models (with `losses`: none), or arguments that cannot mean anything.
        DataError: a data set without rows, or losses of another one; and the errors of `evaluate`.
    """
    models = _models(models)
    checked_level(level)
    (source, models), loss = open_rows(data, *models), choose_loss(loss, eps)
    _check(models, losses)
    known = () if losses is None else (os.fspath(losses),)
    names = _names((*known, *(model.path for model in models)))
    budget = Budget(threads, None if max_memory is None else parse_size(max_memory))
    study = _Study(tuple(models), source, names, level, number(seed), loss, budget)
    if losses is not None:
        with stored_losses(losses, source, loss) as old:
            results, reports = study.against(old, half_width, progress, on_step)
    elif half_width is None:
        results, reports = study.whole(progress)
    else:
        results, reports = study.sequential(half_width, on_step), ()
    source.check_unchanged()
    return Paired(results, names, reports, level, half_width, study.seed, loss, study.models, source)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """One comparison, in each of its forms."""

    models: tuple[Model, ...]
    source: Source
    names: tuple[str, ...]
    level: float
    seed: int
    loss: Loss
    budget: Budget

    def whole(
        self, progress: Callable[[int, int], None] | None, old: StoredLosses | None = None
    ) -> tuple[tuple[PairedResult, ...], tuple[Report, ...]]:
        """All rows, in one pass."""
        with spooled_losses(
            self.models, self.source, self.loss, budget=self.budget, progress=progress
        ) as spooled:
            columns = spooled.losses if old is None else (old.losses, *spooled.losses)
            named = dict(zip(self.names, columns, strict=True))
            pairs = pairs_of(named, level=self.level, labels=spooled.labels)
            results = tuple(PairedResult(pair, replace(pair.interval, assumes=ALL_ROWS)) for pair in pairs)
            return results, spooled.reports

    def sequential(
        self, half_width: float, on_step: Callable[[Step], None] | None
    ) -> tuple[PairedResult, ...]:
        """Random rows, for each further model until its difference from the first is known."""
        reader, results = self._reader(), []
        for k in range(1, len(self.models)):
            steps, record = recorder(on_step)
            stopped = paired_until(
                reader.comparison(k),
                self.source.rows,
                half_width=half_width,
                level=self.level,
                seed=self.seed,
                bounds=self.loss.bounds,
                on_step=record,
            )
            pair = self._pair(reader, k, stopped.rows_read)
            results.append(PairedResult(pair, _interval(stopped), stopped, steps=tuple(steps)))
        return tuple(results)

    def against(
        self,
        old: StoredLosses,
        half_width: float | None,
        progress: Callable[[int, int], None] | None,
        on_step: Callable[[Step], None] | None,
    ) -> tuple[tuple[PairedResult, ...], tuple[Report, ...]]:
        """Against stored losses: all rows, or random ones until each model's full loss is known."""
        if half_width is None:
            return self.whole(progress, old)
        reader, base, results = self._reader(old), Population.of(old.losses).mean, []
        for k in range(1, len(self.models) + 1):
            steps, record = recorder(on_step)
            stopped = difference_until(
                _second(reader.comparison(k)),
                old.losses,
                half_width=half_width,
                level=self.level,
                seed=self.seed,
                bounds=self.loss.bounds,
                on_step=record,
            )
            pair = self._pair(reader, k, stopped.rows_read)
            loss = _interval(stopped)
            difference = replace(loss, low=loss.low - base, high=loss.high - base)
            results.append(PairedResult(pair, difference, stopped, loss, tuple(steps)))
        return tuple(results), ()

    def _reader(self, old: StoredLosses | None = None) -> SharedReader:
        scorers, chunk_rows = planned_scorers(self.models, self.source, self.loss, self.budget, CHUNK_ROWS)
        return SharedReader(scorers, self.source, None if old is None else old.losses, chunk_rows)

    def _pair(self, reader: SharedReader, number: int, count: int) -> Pair:
        read = reader.first(number, count)
        named = dict(zip((self.names[0], self.names[number]), read.losses, strict=True))
        return pairs_of(named, level=self.level, population=self.source.rows, labels=read.target)[0]


def _second(read: Callable[[Integers], Floats]) -> Callable[[Integers], Floats]:
    """A reader of two models' losses as one of the second model's."""
    return lambda rows: np.asarray(read(rows)[1])


def _class_dict(row: PairedClass) -> dict[str, Any]:
    return {
        "class": row.label,
        "rows": row.rows,
        "difference": row.difference,
        "stderr": row.stderr,
        "win_rate": row.win_rate,
    }


def _interval(stopped: StoppingResult) -> Interval:
    return Interval(stopped.low, stopped.high, stopped.level, stopped.method, stopped.assumes)


def _names(paths: Sequence[str | None]) -> tuple[str, ...]:
    """The models' paths, told apart where two are alike."""
    names = [path if path is not None else f"model {k}" for k, path in enumerate(paths, start=1)]
    return tuple(name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names, start=1))


def _models(models: Sequence[Model]) -> tuple[Model, ...]:
    """The models; raise UsageError if they are none, or a single one that is not in a list."""
    if not isinstance(models, Iterable) or isinstance(models, str | os.PathLike):
        raise UsageError(
            f"models: {describe_value(models)}, expected a list of networks, such as [first, second]."
        )
    return tuple(check_model(model) for model in models)


def _check(models: Sequence[Model], losses: str | os.PathLike[str] | None) -> None:
    wanted = 2 if losses is None else 1
    if len(models) < wanted:
        raise UsageError(
            f"{len(models)} models: at least {wanted} were expected. Give another one, or the stored losses of an "
            "earlier one: --losses OLD.arrow"
        )
    if len({model.outputs for model in models}) > 1:
        raise UsageError(
            f"models with {', '.join(str(model.outputs) for model in models)} classes: their losses cannot be "
            "compared. Expected the same classes."
        )
