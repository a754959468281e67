"""Pictures of what a loss is made of: reliability of probabilities, losses of rows, results by a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streameval.defaults import LEVEL
from streameval.frozen import frozen
from streameval.reports.figures import histogram
from streameval.reports.figures.plot import Bars, Dots, Figure, Line, Plot, Rule, Table, categories, linear
from streameval.reports.numbers import confidence, count, nats, percent

if TYPE_CHECKING:
    from streameval.evaluation.anatomy import Anatomy, Grid
    from streameval.evaluation.report import Report
    from streameval.statistics.intervals.method import Interval
    from streameval.studies.histogram import Histogram

MOST_VALUES = 40


def figures(report: Report) -> list[Figure]:
    """The pictures of a report's anatomy; none where it has none, or no rows."""
    if report.anatomy is None or not report.rows:
        return []
    drawn = [reliability(report.anatomy), confidences(report.anatomy), by_value(report)]
    spread = octaves(report.anatomy.grid)
    if spread is not None:
        drawn += [histogram.rows(spread), histogram.share(spread)]
    return [one for one in drawn if one is not None]


def reliability(found: Anatomy) -> Figure | None:
    """Accuracy by confidence against the diagonal; None without probabilities."""
    from streameval.evaluation.anatomy_report import bin_intervals

    chances = found.chances
    if chances is None:
        return None
    bins = [
        ReliableBin(one.confidence or 0.0, one.rows, one.right, band)
        for one, band in zip(chances.bins, bin_intervals(chances), strict=True)
        if band
    ]
    return diagram(
        bins,
        f"The calibration error is {nats(chances.calibration_error)}; chance alone makes about "
        f"{nats(chances.by_chance)}.",
        LEVEL,
    )


@frozen
class ReliableBin:
    """A bin of confidence: its mean, its rows, how many are right, where the accuracy lies on further data."""

    confidence: float
    rows: int
    right: int
    interval: Interval


def diagram(bins: Sequence[ReliableBin], about: str, level: float) -> Figure:
    """Accuracy by confidence against the diagonal, after a sentence about the error; `level` of all bins together."""
    points = tuple((one.confidence, one.right / one.rows) for one in bins)
    off = sum(one.confidence not in one.interval for one in bins)
    said = f"{about} {off} of {len(bins)} bins with rows lie off the diagonal by more than their intervals."
    rows = tuple(
        (
            percent(one.confidence),
            count(one.rows),
            percent(one.right / one.rows),
            f"{percent(one.interval.low, 1)} … {percent(one.interval.high, 1)}",
        )
        for one in bins
    )
    return Figure(
        "reliability",
        "Do probabilities mean what they say?",
        said,
        said
        + f" Below the diagonal a model is too sure. Intervals are for further data, {confidence(level)} for all bins "
        "together.",
        Plot(
            linear("confidence: probability of the predicted class", 0.0, 1.0, percent=True),
            linear("accuracy", 0.0, 1.0, percent=True),
            (
                Line(((0.0, 0.0), (1.0, 1.0)), "as sure as right", "ink", dashed=True),
                Dots(
                    points,
                    "rows of a bin, with interval",
                    "blue",
                    reach=tuple((one.interval.low, one.interval.high) for one in bins),
                ),
            ),
        ),
        Table(("confidence", "rows", "accuracy", "interval"), rows),
    )


def confidences(found: Anatomy) -> Figure | None:
    """How many rows are how sure; None without probabilities."""
    if found.chances is None:
        return None
    bins, total = found.chances.bins, found.chances.rows
    width = 1.0 / len(bins)
    boxes = tuple(
        (k * width, (k + 1) * width, 0.0, one.rows / total) for k, one in enumerate(bins) if one.rows
    )
    said = f"{percent(bins[-1].rows / total, 1)} of {count(total)} rows are more than {percent(1 - width, 0)} sure."
    rows = tuple(
        (
            f"{percent(k * width, 1)} … {percent((k + 1) * width, 1)}",
            count(one.rows),
            percent(one.rows / total),
        )
        for k, one in enumerate(bins)
    )
    return Figure(
        "confidence",
        "How sure the model is",
        said,
        said,
        Plot(
            linear("confidence: probability of the predicted class", 0.0, 1.0, percent=True),
            linear("share of rows", 0.0, max(box[3] for box in boxes), percent=True),
            (Bars(boxes, "rows", "green"),),
            height=220,
        ),
        Table(("confidence", "rows", "share"), rows),
    )


def by_value(report: Report) -> Figure | None:
    """The mean loss by value of the column that was asked for; None where none was."""
    from streameval.evaluation.anatomy_report import ordered, stderr

    found = report.anatomy
    if found is None or found.slices is None or report.loss is None:
        return None
    every = ordered(found.slices)
    shown = every
    if len(every) > MOST_VALUES:
        shown = sorted(every, key=lambda one: -(one[1].sums.mean or 0.0))[:MOST_VALUES]
    points = tuple((k + 0.5, one.sums.mean or 0.0) for k, (_, one) in enumerate(shown))
    reach = tuple(
        (y - 1.96 * (stderr(one.sums) or 0.0), y + 1.96 * (stderr(one.sums) or 0.0))
        for (_, y), (_, one) in zip(points, shown, strict=True)
    )
    worst = max(every, key=lambda one: one[1].sums.mean or 0.0)
    said = (
        f"By {found.column}: {worst[0]} has the largest mean loss, {nats(worst[1].sums.mean)} over "
        f"{count(worst[1].sums.rows)} rows."
    )
    right = report.correct is not None
    rows = tuple(
        (value, count(one.sums.rows), nats(one.sums.mean), nats(stderr(one.sums)),
         *((percent(one.correct / one.sums.rows),) if right else ()))
        for value, one in every
    )  # fmt: skip
    return Figure(
        "by",
        f"Loss by {found.column}",
        said,
        said + " Lines: 1.96 standard errors each way, for further data of independent rows.",
        Plot(
            categories(str(found.column), [value[:12] for value, _ in shown]),
            linear(
                "mean loss, nats",
                min(0.0, *(low for low, _ in reach)),
                max(high for _, high in reach),
            ),
            (
                Rule(report.loss, f"of all rows, {nats(report.loss)}"),
                Dots(points, "rows with this value", "blue", reach=reach),
            ),
            height=260,
        ),
        Table(("value", "rows", "loss", "standard error", *(("accuracy",) if right else ())), rows, left=1),
    )


def octaves(grid: Grid) -> Histogram | None:
    """The losses from one power of two to the next; None where the losses of a row are not spread above zero."""
    from streameval.evaluation.anatomy import CELLS
    from streameval.evaluation.state import UNITS
    from streameval.studies.histogram import Histogram

    rows: dict[int, list[int]] = {}
    for k, n, units in grid.ascending:
        octave = (k - 1) // CELLS - 40 if k > 0 else -40
        sums = rows.setdefault(octave, [0, 0])
        sums[0] += n
        sums[1] += units
    first, last = min(rows), max(rows)
    # Few rows below 1e-6 would make the picture wide: they are in the first bar.
    first = max(first, min(-20, last))
    if any(k < 0 and n > 0 and units < -UNITS * 1e-3 * n for k, n, units in grid.ascending):
        return None
    counts, loss = [0] * (last - first + 1), [0.0] * (last - first + 1)
    for octave, (n, units) in rows.items():
        counts[max(0, octave - first)] += n
        loss[max(0, octave - first)] += units / UNITS
    edges = tuple(2.0**octave for octave in range(first, last + 2))
    return Histogram(edges, tuple(counts), tuple(loss))
