"""Two or more models on the same rows, each row read once: their difference is known far better than either loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from streameval.arguments import describe_value
from streameval.defaults import DRAWS, LEVEL, OF, SEED
from streameval.errors import UsageError
from streameval.evaluation.carried import Carried
from streameval.evaluation.memory import parse_size
from streameval.evaluation.names import data_dict, model_dict
from streameval.evaluation.opening import groups_of, subjects
from streameval.evaluation.report import Report
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import check_model, make_scorer
from streameval.scoring.scorer import Budget
from streameval.showing import with_progress
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.seeds import number
from streameval.statistics.until import Step
from streameval.storage.source import Source
from streameval.studies.paired_result import PairedResult, together
from streameval.studies.pairing import Study
from streameval.studies.quantity import checked_quantity
from streameval.studies.stored import stored_losses

SCHEMA = "streameval/paired/2"
DECIDED = "decided"


@frozen(eq=False, repr=False)
class Paired(Carried):
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
    of: str = OF[0]

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
        """Share of rows on which the second model is better: its loss smaller, or its score larger."""
        return self.results[0].pair.win_rate

    @property
    def rows_read(self) -> int:
        """Rows in the comparison."""
        return self.results[0].pair.rows

    def __repr__(self) -> str:
        first, low, high = self.results[0].pair, self.difference.low, self.difference.high
        more = f", and {len(self.results) - 1} more pairs" if len(self.results) > 1 else ""
        return (
            f"<Paired: {first.second} - {first.first} {self.mean:.6g}, {low:.6g} to {high:.6g}, {self.rows_read} "
            f"rows{more}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the first result at the top, all of them in `pairs`."""
        pairs = [result.to_dict() for result in self.results]
        return {
            "schema": SCHEMA,
            **pairs[0],
            "pairs": pairs,
            "level": self.level,
            "half_width": self.half_width,
            "of": self.of,
            "seed": self.seed,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            **self.loss_function.options,
            "models": [model_dict(model) for model in self.models],
            "data": data_dict(self.data, self.models[0].outputs),
            "higher_is_better": getattr(self.loss_function, "higher_is_better", False),
            "joined": getattr(self.data, "joined", None),
        }


@with_progress("comparing")
def paired(
    models: Sequence[Model | Outputs] | Outputs,
    data: Any = None,
    *,
    half_width: float | None = None,
    until: str | None = None,
    draw: str = DRAWS[0],
    of: str = OF[0],
    groups: Any = None,
    level: float = LEVEL,
    seed: int | np.random.Generator = SEED,
    losses: str | os.PathLike[str] | None = None,
    loss: Loss | None = None,
    eps: float | None = None,
    threads: int | None = None,
    max_memory: int | str | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Paired:
    """Compare every further model with the first, row by row, each row read once.

    models      networks, or runs of saved outputs (`open_outputs`; `join_outputs` of them), which need no data
    half_width  None: all rows, in one pass. Else random rows are read until the mean difference is known to
                +- half_width nats, with a guarantee that holds however often one looks (`evaluate_until`)
    until       "decided": random rows are read until it is known which model is better on all rows, in place of a
                half-width; wrong with a chance of at most 1 - level, however often one looks
    draw        with `losses` and a way to stop: "weighted" draws rows more often where stored losses are high, which
                finds a worse model, or a full loss, from fewer rows (`statistics.weighted`); "uniform": all alike
    of          "loss", or "accuracy": the share of rows that are wrong, which is smaller for the better model
    groups      as for `evaluate`, for a pass over all rows: claims on further data take groups as independent
    losses      losses of an earlier model, as `evaluate --losses` writes them: they take the place of the first
                model, which is then not computed, so that one model in `models` is enough; its full loss is
                estimated as mean(earlier) + mean(difference)
    level       of each interval by itself; `simultaneous` ones hold together
    loss, eps   as for `evaluate` · max_memory: bytes, or "256M", that reading may hold beyond imports and kernels
    progress    called with (rows done, rows in all) of a pass over all rows; True: a bar
    on_step     called at every look of the sequential form

    Raises:
        UsageError: fewer than two models (with `losses`: none), or arguments that cannot mean anything.
        DataError: a data set without rows, or losses of another one; and the errors of `evaluate`.
    """
    checked_level(level)
    models, source, loss = subjects(_models(models), data, loss, eps)
    _check(models, losses)
    _check_forms(half_width, until, of, groups, losses)
    if until is None and half_width is None:
        groups = groups_of(source, groups)
    _check_draw(draw, losses, stops=until is not None or half_width is not None)
    budget = Budget(threads, None if max_memory is None else parse_size(max_memory))
    checked_quantity(of, *(make_scorer(model, source, loss, budget) for model in models if of == "accuracy"))
    known = () if losses is None else (os.fspath(losses),)
    names = _names((*known, *(model.path for model in models)))
    study = Study(
        tuple(models),
        source,
        names,
        level,
        number(seed),
        loss,
        budget,
        half_width,
        until == DECIDED,
        draw,
        of,
        groups,
    )
    told = progress if callable(progress) else None
    if losses is None:
        results, reports = study.run(None, told, on_step)
    else:
        with stored_losses(losses, source, loss) as old:
            results, reports = study.run(old, told, on_step)
    source.check_unchanged()
    return Paired(
        together(results, level),
        names,
        reports,
        level,
        half_width,
        study.seed,
        loss,
        study.models,
        source,
        of,
    )


def _check_forms(
    half_width: float | None,
    until: str | None,
    of: str,
    groups: Any,
    losses: str | os.PathLike[str] | None,
) -> None:
    if until not in (None, DECIDED):
        raise UsageError(f"until (--until): {until!r} is not known. Expected {DECIDED!r}, or nothing.")
    if until is not None and half_width is not None:
        raise UsageError(
            "until (--until) and half_width (--half-width): one way to stop was expected. Leave one out."
        )
    if of == "accuracy" and losses is not None:
        raise UsageError(
            "of (--of) accuracy with stored losses: which rows were right is not stored. Give both models instead."
        )
    if groups is not None and (until is not None or half_width is not None):
        raise UsageError(
            "groups (--group) with --until or --half-width: what random rows tell is about these rows, and needs no "
            "independent ones. Leave out --group, or read all rows for a claim about further data."
        )


def _check_draw(draw: str, losses: str | os.PathLike[str] | None, *, stops: bool) -> None:
    if draw not in DRAWS:
        raise UsageError(f"draw (--draw): {draw!r} is not known. Expected {' or '.join(DRAWS)}.")
    if draw == "weighted" and (losses is None or not stops):
        raise UsageError(
            "draw (--draw) weighted: rows are drawn by stored losses until enough is known. Add --losses OLD.arrow, "
            "and --half-width H or --until decided."
        )


def _names(paths: Sequence[str | None]) -> tuple[str, ...]:
    """The models' paths, told apart where two are alike."""
    names = [path if path is not None else f"model {k}" for k, path in enumerate(paths, start=1)]
    return tuple(name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names, start=1))


def _models(models: Sequence[Model | Outputs] | Outputs) -> list[Model | Outputs] | Outputs:
    """The models, or runs; raise UsageError if they are none, or a single one that is not in a list."""
    if isinstance(models, Outputs) and models.joined is not None:
        return models
    if not isinstance(models, Iterable) or isinstance(models, str | os.PathLike):
        raise UsageError(
            f"models: {describe_value(models)}, expected a list of networks, such as [first, second]."
        )
    return [model if isinstance(model, Outputs) else check_model(model) for model in models]


def _check(models: Sequence[Model], losses: str | os.PathLike[str] | None) -> None:
    wanted = 2 if losses is None else 1
    if len(models) < wanted:
        given = "1 model" if len(models) == 1 else f"{len(models)} models"
        raise UsageError(
            f"{given}: at least {wanted} were expected. Give another one, or the stored losses of an "
            "earlier one: --losses OLD.arrow"
        )
    if len({model.outputs for model in models}) > 1:
        raise UsageError(
            f"models with {', '.join(str(model.outputs) for model in models)} classes: their losses cannot be "
            "compared. Expected the same classes."
        )
