"""How the losses of single rows are spread, and which of them the loss comes from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Bars, Figure, Line, Plot, Table, linear, logarithmic
from streameval.reports.numbers import count, nats, percent

if TYPE_CHECKING:
    from streameval.studies.histogram import Histogram


def rows(hist: Histogram) -> Figure:
    """Rows by loss, both on logarithmic scales, so that the tail is seen."""
    boxes = tuple(
        (low, high, 0.5, float(n))
        for low, high, n in zip(hist.edges, hist.edges[1:], hist.rows, strict=False)
        if n
    )
    most = max(hist.rows)
    mode = hist.rows.index(most)
    far = sum(n for low, n in zip(hist.edges, hist.rows, strict=False) if low >= 1.0)
    total = sum(hist.rows)
    said = (
        f"Most rows have a loss near {nats(math.sqrt(hist.edges[mode] * hist.edges[mode + 1]))}; "
        f"{count(far)} of {count(total)}, {percent(far / total, 1)}, have 1 nat or more."
    )
    return Figure(
        "histogram",
        "Losses of single rows",
        said,
        said + " Both scales are logarithmic; the first bar holds smaller losses too.",
        Plot(
            logarithmic("loss of a row, nats", hist.edges[0], hist.edges[-1]),
            logarithmic("rows", 0.5, 1.5 * max(most, 10)),
            (Bars(boxes, "rows", "blue"),),
            height=260,
        ),
        _table(hist),
    )


def share(hist: Histogram) -> Figure:
    """Which rows the loss comes from: shares of rows and of the summed loss with at least a given loss."""
    total, whole = sum(hist.rows), math.fsum(hist.loss)
    points, weights = [], []
    for k, edge in enumerate(hist.edges[:-1]):
        points.append((edge, sum(hist.rows[k:]) / total))
        weights.append((edge, math.fsum(hist.loss[k:]) / whole if whole > 0 else 0.0))
    points.append((hist.edges[-1], 0.0))
    weights.append((hist.edges[-1], 0.0))
    few, heavy = next(
        ((a[1], b[1]) for a, b in zip(points, weights, strict=True) if a[1] <= 0.05), (points[-1][1], 0.0)
    )
    said = f"The {percent(few, 1)} of rows with the largest losses carry {percent(heavy, 0)} of the loss."
    rows = tuple(
        (f"{edge:.3g}", percent(a, 2), percent(b, 2))
        for (edge, a), (_, b) in zip(points, weights, strict=True)
    )
    return Figure(
        "share",
        "Where the loss comes from",
        said,
        said + " This is why a batch of few rows tells so little.",
        Plot(
            logarithmic("rows with at least this loss, nats", hist.edges[0], hist.edges[-1]),
            linear("share", 0.0, 1.0, percent=True),
            (
                Line(tuple(weights), "of the loss", "vermillion"),
                Line(tuple(points), "of the rows", "blue", dashed=True),
            ),
            height=260,
        ),
        Table(("loss from", "of the rows", "of the loss"), rows),
    )


def _table(hist: Histogram) -> Table:
    return Table(
        ("from", "to", "rows", "summed loss"),
        tuple(
            (f"{low:.3g}", f"{high:.3g}", count(n), f"{total:.4g}")
            for low, high, n, total in zip(hist.edges, hist.edges[1:], hist.rows, hist.loss, strict=False)
        ),
    )
