"""Which facts and figures the report on each kind of result is made of. Does not know how a page is rendered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streameval.reports import about, text, text_paired
from streameval.reports.figures import anatomy, batches, classes, histogram, order, pairs, running, worst
from streameval.reports.figures.plot import Figure
from streameval.reports.numbers import assumed, confidence, count, nats, percent
from streameval.reports.page import Page
from streameval.reports.text_compare import budget
from streameval.reports.text_paired import small, span, sure, title, verdict
from streameval.reports.text_until import promise
from streameval.reports.words import called, in_unit, in_words_of, more_is_better, subject

if TYPE_CHECKING:
    from streameval.evaluation.names import DataName
    from streameval.evaluation.report import Report
    from streameval.models.model import Model
    from streameval.storage.source import Source
    from streameval.studies.calibration import Calibration
    from streameval.studies.comparison import Comparison
    from streameval.studies.minibatch import MiniBatches
    from streameval.studies.paired import Paired
    from streameval.studies.paired_result import PairedResult
    from streameval.studies.until import Until


def _worded(page: Callable[[Any], Page]) -> Callable[[Any], Page]:
    """A page in the words of its result's loss."""

    @functools.wraps(page)
    def worded(result: Any) -> Page:
        return in_words_of(getattr(result, "full", result).loss_function, page(result))

    return worded


@_worded
def report(result: Report) -> Page:
    """An evaluation."""
    return Page(
        f"{_called(result)} of {subject(result.model, result.data)}",
        f"{in_unit(nats(result.loss, 10), result.loss_function)} over {count(result.rows)} rows{_right(result)}.",
        (
            _loss(result),
            *text.worse_than_equal(result),
            *text.errors(result),
            *text.left_out(result),
            *_costs(result),
            *_what(result.model, result.data),
            *text.content(result),
            ("digest", result.digest),
        ),
        _there(
            classes.losses(result),
            *anatomy.figures(result),
            worst.worst(result),
            classes.confusion(result),
        ),
    )


@_worded
def comparison(result: Comparison) -> Page:
    """Mini-batches against the full loss."""
    full, draws = result.full, result.draws
    how = "with" if draws.replace else "without"
    return Page(
        f"Mini-batches against the full {called(full.loss_function)}: {subject(full.model, full.data)}",
        f"The full {called(full.loss_function)} is {in_unit(nats(full.loss, 10), full.loss_function)} over "
        f"{count(full.rows)} rows{_right(full)}.",
        (
            _loss(full),
            *_costs(full),
            (
                "draws",
                f"{count(draws.batches[0].trials)} batches of each size, {how} replacement, seed {draws.seed}",
            ),
            *budget(result.budget, full.loss_function),
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


@_worded
def until(result: Until) -> Page:
    """A loss known well enough."""
    loss = result.found
    return Page(
        f"{_called(result)} of {subject(result.model, result.data)}, to ± {result.half_width:g}",
        f"{in_unit(nats(loss.loss), result.loss_function)}, between {nats(loss.low)} and {nats(loss.high)} "
        f"at {confidence(loss.level)}, "
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


@_worded
def paired(result: Paired) -> Page:
    """Models on the same rows."""
    first = result.results[0]
    figures: list[Figure | None] = []
    for k, contest in enumerate(result.results):
        figures += _contest(result, contest, "" if len(result.results) == 1 else f"-{k + 2}")
    return Page(
        title(result),
        f"{first.pair.second} - {first.pair.first}: {in_unit(small(first.pair.difference), result.loss_function)}, "
        f"{verdict(first.difference, more_is_better(result.loss_function))}, on {first.estimates}{sure(first)}.",
        (
            *((f"model {k}", name) for k, name in enumerate(result.names, start=1)),
            *text_paired.joined(result),
            ("rows read", f"{count(result.rows_read)} of {count(result.data.rows)}"),
            *_figures_of(result),
            *about.notes(*result.models),
            ("data", result.data.fingerprint),
        ),
        _there(*figures),
        # Of several models most rest on the same: each is said once.
        tuple(dict.fromkeys(text_paired.basis(result, contest) for contest in result.results)),
    )


def _contest(result: Paired, contest: PairedResult, name: str) -> list[Figure | None]:
    more = more_is_better(result.loss_function) and result.of == "loss"
    drawn: list[Figure | None] = [pairs.gain(contest, name, more), pairs.classes(contest, name, more)]
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
                f"{small(pair.difference)}, {confidence(contest.difference.level)} interval "
                f"{span(contest.difference, contest.estimates)}; correlation {correlation}; the second better on "
                f"{percent(pair.win_rate, 1)} of the rows read",
            )
        )
    return said


@_worded
def minibatches(result: MiniBatches) -> Page:
    """Mini-batches, each with its interval."""
    first, drawn = result.batches[0], len(result.batches)
    name = called(result.loss_function)
    return Page(
        f"Mini-batches of {count(first.size)} rows: {subject(result.model, result.data)}",
        f"The first of {count(drawn)}: {in_unit(nats(first.loss), result.loss_function)}; by it the {name} of all "
        f"{count(result.data.rows)} rows lies within {text.span(first.interval)}.",
        (
            (name, result.loss_function.detail),
            (
                "draws",
                f"{count(drawn)} batches, {'with' if result.replace else 'without'} replacement, seed {result.seed}",
            ),
            ("interval", first.interval.method),
            *_what(result.model, result.data),
        ),
        (batches.drawn(result.batches),),
        (text.basis(result), *text.warned(result)),
    )


def calibration(result: Calibration) -> Page:
    """Whether probabilities mean what they say."""
    level = confidence(result.level)
    about_error = f"The calibration error is {nats(result.error.value)}, without its bias."
    bins = [
        anatomy.ReliableBin(one.confidence or 0.0, one.rows, one.right, one.interval) for one in result.bins
    ]
    return Page(
        f"Calibration of {subject(result.model, result.data)}",
        f"Error {nats(result.error.value)}, Brier score {nats(result.brier.value)} over {count(result.rows)} rows.",
        (
            ("error", f"{text.span(result.error.interval)} of further data at about {level}"),
            ("Brier", f"{text.span(result.brier.interval)} of further data at about {level}"),
            *_what(result.model, result.data),
        ),
        (anatomy.diagram(bins, about_error, result.level), classes.accuracies(result.classes)),
        (assumed(result.error.interval.assumes),),
    )


def _loss(result: Report) -> tuple[str, str]:
    return (called(result.loss_function), result.loss_function.detail)


def _costs(result: Report) -> list[tuple[str, str]]:
    return [("time", about.time(result))]


def _what(model: Model, data: Source | DataName) -> list[tuple[str, str]]:
    return [
        ("model", model.summary),
        *about.notes(model),
        ("data", data.fingerprint),
    ]


def _called(result: Report | Until) -> str:
    return called(result.loss_function).capitalize()


def _right(result: Report) -> str:
    return "" if result.accuracy is None else f", {percent(result.accuracy)} right"


def _there(*figures: Figure | None) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)
