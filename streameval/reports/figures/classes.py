"""Losses and mistakes by class. Knows a finished evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Bars, Cells, Dots, Figure, Plot, Rule, Table, categories, linear
from streameval.reports.numbers import count, nats, percent

if TYPE_CHECKING:
    from streameval.evaluation.report import Report
    from streameval.statistics.calibration import ShareBand

MOST_BARS = 40
MOST_CELLS = 40


def losses(report: Report) -> Figure | None:
    """The mean loss of each class; None if there are no rows."""
    present = [(k, one) for k, one in enumerate(report.state.classes) if one.rows]
    if not present or report.loss is None:
        return None
    shown = present
    if len(present) > MOST_BARS:
        shown = sorted(present, key=lambda pair: -(pair[1].loss or 0.0))[:MOST_BARS]
    values = [one.loss or 0.0 for _, one in shown]
    boxes = tuple((k + 0.14, k + 0.86, 0.0, max(0.0, value)) for k, value in enumerate(values))
    worst, best = max(present, key=_loss), min(present, key=_loss)
    said = (
        f"Class {worst[0]} has the largest mean loss, {nats(worst[1].loss)} ({percent(worst[1].accuracy, 1)} right); "
        f"class {best[0]} the smallest, {nats(best[1].loss)} ({percent(best[1].accuracy, 1)} right)."
    )
    rows = tuple((str(k), count(one.rows), nats(one.loss), percent(one.accuracy, 2)) for k, one in present)
    return Figure(
        "classes",
        "Loss by class",
        said,
        said,
        Plot(
            categories("true class", [str(k) for k, _ in shown]),
            linear("mean loss, nats", 0.0, max([*values, report.loss, 1e-9])),
            (
                Bars(boxes, "mean loss of the class", "blue"),
                Rule(report.loss, f"of all rows, {nats(report.loss)}"),
            ),
            height=260,
        ),
        Table(("class", "rows", "loss", "accuracy"), rows),
    )


def accuracies(bands: Sequence[ShareBand]) -> Figure:
    """The accuracy of each class, with intervals for further data that hold for all of them together."""
    shown = sorted(sorted(bands, key=lambda one: one.right / one.rows)[:MOST_BARS], key=lambda one: one.label)
    points = tuple((k + 0.5, one.right / one.rows) for k, one in enumerate(shown))
    reach = tuple((one.interval.low, one.interval.high) for one in shown)
    worst = min(bands, key=lambda one: one.right / one.rows)
    said = f"Class {worst.label} is right least often: {percent(worst.right / worst.rows, 1)} of {count(worst.rows)}."
    rows = tuple(
        (
            str(one.label),
            count(one.rows),
            percent(one.right / one.rows),
            f"{percent(one.interval.low, 1)} … {percent(one.interval.high, 1)}",
        )
        for one in bands
    )
    return Figure(
        "accuracies",
        "Accuracy by class",
        said,
        said + " Intervals are for further data, and hold for all classes together.",
        Plot(
            categories("true class", [str(one.label) for one in shown]),
            linear("accuracy", min(low for low, _ in reach), 1.0, percent=True),
            (Dots(points, "accuracy of the class, with interval", "blue", reach=reach),),
            height=260,
        ),
        Table(("class", "rows", "accuracy", "interval"), rows),
    )


def confusion(report: Report) -> Figure | None:
    """Rows by true and predicted class; None where they are not kept, or too many to show."""
    matrix = report.state.confusion
    if not report.rows or not matrix or report.correct is None or len(matrix) > MOST_CELLS:
        return None
    wrong = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j]
    most = max((n for n, _, _ in wrong), default=0)
    shade = tuple(
        tuple(_shade(n, max(row) if i == j else most) for j, n in enumerate(row))
        for i, row in enumerate(matrix)
    )
    said = f"{count(report.correct)} of {count(report.rows)} rows are right ({percent(report.accuracy)})."
    if most:
        n, i, j = max(wrong, key=lambda one: (one[0], -one[1], -one[2]))
        said += f" The most frequent mistake: {count(n)} rows of class {i} taken for {j}."
    labels = tuple(map(str, range(len(matrix))))
    return Figure(
        "confusion",
        "True against predicted class",
        said,
        said + " Mistakes are shaded by their square root.",
        Cells(
            labels,
            shade,
            tuple(tuple(str(n) if n else "" for n in row) for row in matrix),
            "true class",
            "predicted class",
        ),
        Table(("true", *labels), tuple((str(i), *map(str, row)) for i, row in enumerate(matrix))),
    )


def _loss(pair: tuple[int, object]) -> float:
    return getattr(pair[1], "loss", None) or 0.0


def _shade(rows: int, most: int) -> float:
    return math.sqrt(rows / most) if most else 0.0
