"""Which facts and figures the report on each kind of result is made of. Does not know how a page is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports import about
from streameval.reports.figures import batches, classes, histogram, order, pairs, running, worst
from streameval.reports.figures.plot import Figure
from streameval.reports.numbers import assumed, count, nats, percent
from streameval.reports.page import Page
from streameval.reports.text_compare import budget
from streameval.reports.text_paired import small, verdict
from streameval.reports.text_until import promise

if TYPE_CHECKING:
    from streameval.evaluation.report import DataName, Report
    from streameval.models.model import Model
    from streameval.storage.source import Source
    from streameval.studies.comparison import Comparison
    from streameval.studies.paired import Paired
    from streameval.studies.paired_result import PairedResult
    from streameval.studies.until import Until


def report(result: Report) -> Page:
    """An evaluation."""
    return Page(
        f"Loss of {_model(result.model)} on {_data(result.data)}",
        f"{nats(result.loss, 10)} nats over {count(result.rows)} rows, {percent(result.accuracy)} right.",
        (_loss(result), *_costs(result), *_what(result.model, result.data), ("digest", result.digest)),
        _there(classes.losses(result), classes.confusion(result), worst.worst(result)),
    )


def comparison(result: Comparison) -> Page:
    """Mini-batches against the full loss."""
    full, draws = result.full, result.draws
    how = "with" if draws.replace else "without"
    return Page(
        f"Mini-batches against the full loss: {_model(full.model)} on {_data(full.data)}",
        f"The full loss is {nats(full.loss, 10)} nats over {count(full.rows)} rows, {percent(full.accuracy)} right.",
        (
            _loss(full),
            *_costs(full),
            (
                "draws",
                f"{count(draws.batches[0].trials)} batches of each size, {how} replacement, seed {draws.seed}",
            ),
            *budget(result.budget),
            *_what(full.model, full.data),
            ("digest", full.digest),
        ),
        _there(
            batches.spread(draws),
            batches.coverage(draws),
            batches.precision(draws),
            order.order(draws.order),
            histogram.rows(result.histogram),
            histogram.share(result.histogram),
            classes.losses(full),
            classes.confusion(full),
            worst.worst(full),
        ),
    )


def until(result: Until) -> Page:
    """A loss known well enough."""
    loss = result.found
    return Page(
        f"Loss of {_model(result.model)} on {result.data.name}, to ± {result.half_width:g}",
        f"{nats(loss.loss)} nats, between {nats(loss.low)} and {nats(loss.high)} at {percent(loss.level, 0)}, "
        f"from {count(loss.rows_read)} of {count(result.data.rows)} rows.",
        (
            ("stopped", "at the wanted precision" if loss.stopped == "precision" else "all rows were read"),
            ("method", loss.method),
            ("seed", str(loss.seed)),
            *_what(result.model, result.data),
        ),
        _there(
            running.running(
                result.steps, what="loss", level=loss.level, wanted=result.half_width, method=loss.method
            ),
            running.narrowing(result.steps, wanted=result.half_width),
        ),
        (promise(result), assumed(loss.assumes)),
    )


def paired(result: Paired) -> Page:
    """Models on the same rows."""
    first = result.results[0]
    figures: list[Figure | None] = []
    for k, contest in enumerate(result.results):
        figures += _contest(result, contest, "" if len(result.results) == 1 else f"-{k + 2}")
    return Page(
        f"{len(result.names)} models on the same rows of {result.data.name}",
        f"{first.pair.second} - {first.pair.first}: {small(first.pair.difference)}, {verdict(first.difference)}, "
        f"on {first.estimates}.",
        (
            *((f"model {k}", name) for k, name in enumerate(result.names, start=1)),
            ("rows read", f"{count(result.rows_read)} of {count(result.data.rows)}"),
            *_figures_of(result),
            *about.notes(*result.models),
            ("data", result.data.fingerprint),
        ),
        _there(*figures),
        (first.difference.assumes,),
    )


def _contest(result: Paired, contest: PairedResult, name: str) -> list[Figure | None]:
    drawn: list[Figure | None] = [pairs.gain(contest, name), pairs.classes(contest, name)]
    if contest.steps and result.half_width is not None:
        what = "difference" if contest.loss is None else "loss"
        drawn.append(
            running.running(
                contest.steps, what=what, level=result.level, wanted=result.half_width, name=f"running{name}"
            )
        )
    return drawn


def _figures_of(result: Paired) -> list[tuple[str, str]]:
    said = []
    for contest in result.results:
        pair = contest.pair
        correlation = "–" if pair.correlation is None else f"{pair.correlation:.6f}"
        said.append(
            (
                f"{pair.second} against {pair.first}",
                f"{small(pair.difference)}, {percent(contest.difference.level, 0)} interval "
                f"{small(contest.difference.low)} … {small(contest.difference.high)}; correlation {correlation}; "
                f"for {contest.estimates}; better on {percent(pair.win_rate, 1)} of rows",
            )
        )
    return said


def _loss(result: Report) -> tuple[str, str]:
    return ("loss", result.loss_function.detail)


def _costs(result: Report) -> list[tuple[str, str]]:
    return [("time", about.time(result))]


def _what(model: Model, data: Source | DataName) -> list[tuple[str, str]]:
    return [
        ("model", model.summary),
        *about.notes(model),
        ("data", data.fingerprint),
    ]


def _model(model: Model) -> str:
    return model.path or "the model"


def _data(data: Source | DataName) -> str:
    return data.path or "arrays in memory"


def _there(*figures: Figure | None) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)
