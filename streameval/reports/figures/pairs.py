"""Two models on the same rows: the difference by class, and what pairing gained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from streameval.reports.figures.plot import (
    Dots,
    Figure,
    Mark,
    Plot,
    Rule,
    Table,
    categories,
    linear,
    logarithmic,
)
from streameval.reports.numbers import confidence, count, percent
from streameval.reports.text_paired import method, reach, small, sure, verdict
from streameval.statistics.intervals.method import quantile

if TYPE_CHECKING:
    from streameval.studies.paired_result import PairedResult

MOST = 40


def classes(contest: PairedResult, name: str, more: bool = False) -> Figure | None:
    """The mean difference of each class with its standard interval; None without classes; `more`: more is better."""
    shown = list(contest.pair.per_class)
    if not shown:
        return None
    wins, of = sum(row.difference > 0 if more else row.difference < 0 for row in shown), len(shown)
    if len(shown) > MOST:
        shown = sorted(shown, key=lambda row: -abs(row.difference))[:MOST]
    z = quantile(contest.difference.level)
    ends = [
        (row.difference - z * (row.stderr or 0.0), row.difference + z * (row.stderr or 0.0)) for row in shown
    ]
    overall = contest.pair.difference
    low, high = min([a for a, _ in ends] + [0.0, overall]), max([b for _, b in ends] + [0.0, overall])
    worst = max(shown, key=lambda row: abs(row.difference))
    said = (
        f"On the rows read the second model is better on {wins} of {of} classes; the largest difference is "
        f"{small(worst.difference)} nats, on class {worst.label}."
    )
    rows = tuple(
        (
            str(row.label),
            count(row.rows),
            small(row.difference),
            "–" if row.stderr is None else f"{row.stderr:.2e}",
            percent(row.win_rate, 1),
        )
        for row in shown
    )
    marks: tuple[Mark, ...] = (
        Rule(0.0, "no difference", "ink", dashed=False),
        Rule(overall, f"all classes, {small(overall)}", "vermillion"),
        Dots(
            tuple((k + 0.5, row.difference) for k, row in enumerate(shown)),
            f"class, with its {confidence(contest.difference.level)} interval by the normal formula, each alone and at "
            f"one look, for {contest.estimates}",
            "blue",
            reach=tuple(ends),
        ),
    )
    return Figure(
        f"classes{name}",
        f"Difference by class{_of(contest, name)}",
        said,
        f"{said} {'Above' if more else 'Below'} 0 the second is better.",
        Plot(
            categories("true class", [str(row.label) for row in shown]),
            linear("difference, nats", low, high),
            marks,
            height=280,
        ),
        Table(("class", "rows", "second - first", "stderr", "second wins"), rows),
    )


def gain(contest: PairedResult, name: str, more: bool = False) -> Figure:
    """Half-widths of what the same rows say as pairs, and of two separate samples; `more`: more is better."""
    pair, half = contest.pair, contest.difference.half_width
    normal = quantile(contest.difference.level) * pair.sd / pair.rows**0.5
    wanted = [
        (f"pairs, {method(contest.difference)}", half),
        ("pairs, normal", normal),
        ("two samples", pair.unpaired_half_width),
    ]
    # Student's t tells the normal law's width with another quantile.
    kept = [wanted[0], wanted[2]] if contest.difference.method in ("normal", "student") else wanted
    shown = [(label, value) for label, value in kept if 0 < value < math.inf]
    values = [value for _, value in shown] or [1.0]
    x = logarithmic("half-width of the difference, nats", 0.5 * min(values), 1.5 * max(values))
    points = tuple((value, len(shown) - k - 0.5) for k, (_, value) in enumerate(shown))
    said = (
        f"Second - first is {small(pair.difference)} {reach(half, 2)}: {verdict(contest.difference, more)}, on "
        f"{contest.estimates}{sure(contest)}. "
        f"Two separate samples of as many rows would leave {reach(pair.unpaired_half_width, 2)}."
    )
    if math.isinf(half):
        said = f"Second - first is {small(pair.difference)}, with an error that is unknown from one row or group."
    dots = Dots(
        points, "half-width", "green", "square", tuple((x.low, value) for value in values), across=True
    )
    return Figure(
        f"gain{name}",
        f"What the same rows gain{_of(contest, name)}",
        said,
        said,
        Plot(
            x,
            categories("", [label for label, _ in reversed(shown)]),
            (dots,) if shown else (),
            height=80 + 30 * len(shown),
        ),
        Table(("how", "half-width"), tuple((label, f"{value:.3e}") for label, value in shown), left=1),
    )


def _of(contest: PairedResult, name: str) -> str:
    """What tells the figures of several contests apart."""
    return f": {Path(contest.pair.second).name}" if name else ""
