"""Two or more models on the same rows, each row read once: their difference is known far better than either loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streameval.arguments import found
from streameval.errors import DataError, UsageError
from streameval.evaluation.evaluate import EPS
from streameval.evaluation.report import Report, data_dict, model_dict
from streameval.evaluation.scoring import check_model
from streameval.models.mlp import Mlp
from streameval.statistics.bounds import loss_bounds
from streameval.statistics.difference import difference_until
from streameval.statistics.intervals.interval import Interval, checked_level
from streameval.statistics.paired import Pair, PairedClass, paired_until
from streameval.statistics.paired import paired as pairs_of
from streameval.statistics.population import Population
from streameval.statistics.seeds import number
from streameval.statistics.until import Step, Stopped
from streameval.storage.opening import open
from streameval.storage.source import Source
from streameval.studies.kept import kept_losses
from streameval.studies.looks import recorder
from streameval.studies.reading import RowsRead
from streameval.studies.stored import StoredLosses, stored_losses

SCHEMA = "streameval/paired/1"
ALL_ROWS = (
    "The difference on these rows is exact. The interval is for data of the same kind, of which they are a random "
    "sample."
)


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """One model against the first, on the same rows; every difference is second - first: below 0 the second is better.

    pair        means, correlation, win rate and classes on the rows read: see `streameval.statistics.paired.Pair`
    difference  interval of the mean difference, in nats
    stopped     how the sequential form ended, None after a pass over all rows
    loss        with stored losses: interval of the second model's full loss by the difference estimator, else None
    steps       what the sequential form knew at every look
    """

    pair: Pair
    difference: Interval
    stopped: Stopped | None = None
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
    """Every further model against the first. The properties are those of the first contest.

    contests  one for each model after the first
    names     of the models, as given: their paths, or "model 1", ...
    reports   evaluations of all rows, one for each model that was computed; () for the sequential form
    """

    contests: tuple[Contest, ...]
    names: tuple[str, ...]
    reports: tuple[Report, ...]
    level: float
    half_width: float | None
    seed: int | None
    eps: float
    models: tuple[Mlp, ...]
    data: Source

    @property
    def difference(self) -> Interval:
        """Interval of second - first, in nats."""
        return self.contests[0].difference

    @property
    def mean(self) -> float:
        """Mean of second - first over the rows read, in nats."""
        return self.contests[0].pair.difference

    @property
    def correlation(self) -> float | None:
        """Of the two models' losses."""
        return self.contests[0].pair.correlation

    @property
    def win_rate(self) -> float:
        """Share of rows on which the second model's loss is smaller."""
        return self.contests[0].pair.win_rate

    @property
    def rows_read(self) -> int:
        """Rows in the comparison."""
        return self.contests[0].pair.rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the first contest at the top, all of them in `pairs`."""
        pairs = [contest.to_dict() for contest in self.contests]
        return {
            "schema": SCHEMA,
            **pairs[0],
            "pairs": pairs,
            "level": self.level,
            "half_width": self.half_width,
            "seed": self.seed,
            "eps": self.eps,
            "models": [model_dict(model) for model in self.models],
            "data": data_dict(self.data, self.models[0].classes),
        }


def paired(
    models: Sequence[Mlp],
    data: Any,
    *,
    half_width: float | None = None,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    losses: str | os.PathLike[str] | None = None,
    eps: float = EPS,
    threads: int | None = None,
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
    progress    called with (rows done, rows in all) · on_step: called at every look of the sequential form

    Raises:
        UsageError: fewer than two models (with `losses`: none), or arguments that cannot mean anything.
        DataError: a data set without rows, or losses of another one; and the errors of `evaluate`.
    """
    models = _networks(models)
    checked_level(level)
    source = open(data)
    _check(models, source, losses)
    known = () if losses is None else (os.fspath(losses),)
    names = _names((*known, *(model.path for model in models)))
    study = _Study(tuple(models), source, names, level, number(seed), float(eps), threads)
    if losses is not None:
        with stored_losses(losses, source, eps=eps) as old:
            contests, reports = study.against(old, half_width, progress, on_step)
    elif half_width is None:
        contests, reports = study.whole(progress)
    else:
        contests, reports = study.sequential(half_width, on_step), ()
    source.check_unchanged()
    return Paired(contests, names, reports, level, half_width, study.seed, study.eps, study.models, source)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """One comparison, in each of its forms."""

    models: tuple[Mlp, ...]
    source: Source
    names: tuple[str, ...]
    level: float
    seed: int
    eps: float
    threads: int | None

    def whole(
        self, progress: Callable[[int, int], None] | None, old: StoredLosses | None = None
    ) -> tuple[tuple[Contest, ...], tuple[Report, ...]]:
        """All rows, in one pass."""
        with kept_losses(
            self.models, self.source, eps=self.eps, threads=self.threads, progress=progress
        ) as kept:
            columns = kept.losses if old is None else (old.losses, *kept.losses)
            named = dict(zip(self.names, columns, strict=True))
            found = pairs_of(named, level=self.level, labels=kept.labels)
            contests = tuple(Contest(pair, replace(pair.interval, assumes=ALL_ROWS)) for pair in found)
            return contests, kept.reports

    def sequential(self, half_width: float, on_step: Callable[[Step], None] | None) -> tuple[Contest, ...]:
        """Random rows, for each further model until its difference from the first is known."""
        contests = []
        for k in range(1, len(self.models)):
            models = self.models[0], self.models[k]
            rows = RowsRead(models, self.source, eps=self.eps, threads=self.threads)
            steps, told = recorder(on_step)
            stopped = paired_until(
                rows.both,
                self.source.rows,
                half_width=half_width,
                level=self.level,
                seed=self.seed,
                bounds=loss_bounds(self.eps),
                on_step=told,
            )
            pair = self._pair((self.names[0], self.names[k]), rows, stopped.rows_read)
            contests.append(Contest(pair, _interval(stopped), stopped, steps=tuple(steps)))
        return tuple(contests)

    def against(
        self,
        old: StoredLosses,
        half_width: float | None,
        progress: Callable[[int, int], None] | None,
        on_step: Callable[[Step], None] | None,
    ) -> tuple[tuple[Contest, ...], tuple[Report, ...]]:
        """Against stored losses: all rows, or random ones until each model's full loss is known."""
        if half_width is None:
            return self.whole(progress, old)
        base, contests = Population.of(old.losses).mean, []
        for k, model in enumerate(self.models, start=1):
            rows = RowsRead((model,), self.source, eps=self.eps, threads=self.threads)
            steps, told = recorder(on_step)
            stopped = difference_until(
                rows.one,
                old.losses,
                half_width=half_width,
                level=self.level,
                seed=self.seed,
                bounds=loss_bounds(self.eps),
                on_step=told,
            )
            rows.put_first(old.losses)
            pair = self._pair((self.names[0], self.names[k]), rows, stopped.rows_read)
            loss = _interval(stopped)
            difference = replace(loss, low=loss.low - base, high=loss.high - base)
            contests.append(Contest(pair, difference, stopped, loss, tuple(steps)))
        return tuple(contests), ()

    def _pair(self, names: tuple[str, str], rows: RowsRead, count: int) -> Pair:
        losses, labels = rows.first(count)
        named = dict(zip(names, losses, strict=True))
        return pairs_of(named, level=self.level, population=self.source.rows, labels=labels)[0]


def _class_dict(row: PairedClass) -> dict[str, Any]:
    return {
        "class": row.label,
        "rows": row.rows,
        "difference": row.difference,
        "stderr": row.stderr,
        "win_rate": row.win_rate,
    }


def _interval(stopped: Stopped) -> Interval:
    return Interval(stopped.low, stopped.high, stopped.level, stopped.method, stopped.assumes)


def _names(paths: Sequence[str | None]) -> tuple[str, ...]:
    """The models' paths, told apart where two are alike."""
    names = [path if path is not None else f"model {k}" for k, path in enumerate(paths, start=1)]
    return tuple(name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names, start=1))


def _networks(models: Sequence[Mlp]) -> tuple[Mlp, ...]:
    """The models; raise UsageError if they are none, or a single one that is not in a list."""
    if not isinstance(models, Iterable) or isinstance(models, str | os.PathLike):
        raise UsageError(f"models: {found(models)}, expected a list of networks, such as [first, second].")
    return tuple(check_model(model) for model in models)


def _check(models: Sequence[Mlp], source: Source, losses: str | os.PathLike[str] | None) -> None:
    wanted = 2 if losses is None else 1
    if len(models) < wanted:
        raise UsageError(
            f"{len(models)} models: at least {wanted} were expected. Give another one, or the stored losses of an "
            "earlier one: --losses OLD.arrow"
        )
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is nothing to compare.")
    if len({model.classes for model in models}) > 1:
        raise UsageError(
            f"models with {', '.join(str(model.classes) for model in models)} classes: their losses cannot be "
            "compared. Expected the same classes."
        )
