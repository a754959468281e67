"""Mini-batch losses against batch size, how often each interval held, and the rows that precision takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streameval.reports.figures.plot import (
    MARKERS,
    Band,
    Dots,
    Figure,
    Line,
    Mark,
    Plot,
    Rule,
    Table,
    categories,
    linear,
    logarithmic,
)
from streameval.reports.numbers import confidence, count, nats, percent
from streameval.statistics.intervals.method import quantile

if TYPE_CHECKING:
    from streameval.statistics.trials import Comparison
    from streameval.studies.sampler import MiniBatch

STEPS = 60  # points of a curve
SHORT = 0.01  # an interval that covers less than its level by no more than this is not named
CHANCE = 1e-3  # nor one that luck would bring so low as often as this
MOST_BATCHES = 60  # that are drawn; the table has all
SIZE_COLOURS = ("sky", "blue", "orange", "vermillion", "green", "purple")


def spread(draws: Comparison) -> Figure:
    """Loss against batch size, with what was drawn, the normal band, the anytime band, and the full loss."""
    full, level = draws.population.mean, confidence(draws.level)
    sizes = [one.size for one in draws.batches]
    x = logarithmic("rows in a batch", min(sizes) * 0.6, max(sizes) * 1.7)
    z = quantile(draws.level)
    grid = [x.low * (x.high / x.low) ** (k / STEPS) for k in range(STEPS + 1)]
    normal = [(n, *_around(full, z * _sd(draws, n))) for n in grid]
    ends = [(one.quantiles["0.025"], one.quantiles["0.975"]) for one in draws.batches]
    top = 1.1 * max([high for _, high in ends] + [full + z * _sd(draws, min(sizes)), full])
    bottom = min([0.0, *(low for low, _ in ends)])
    y = linear("loss, nats", bottom, top)
    marks: list[Mark] = []
    widths = [(one.size, one.anytime) for one in draws.batches if one.anytime is not None]
    if widths:
        wide = [
            (n, *_around(full, _between(widths, n)))
            for n in grid
            if sizes[0] <= n <= max(sizes) or len(sizes) > 1
        ]
        marks.append(Band(tuple(wide), f"{level} by a betting sequence, at every size at once", "sky"))
    marks += [
        Band(tuple(normal), f"{level} by the normal formula, each size alone", "blue"),
        Rule(full, f"full loss, {nats(full)}", "ink", dashed=False),
        Dots(
            tuple((one.size, one.quantiles["0.5"]) for one in draws.batches),
            "drawn batches: median, and where the central 95 % lie",
            "vermillion",
            reach=tuple(ends),
        ),
    ]
    first = draws.batches[min(len(sizes) - 1, 1)]
    said = (
        f"Batches of {count(first.size)} rows have a standard deviation of {nats(first.sd)}, "
        f"{percent(first.predicted_sd / full if full > 0 else None, 0)} of the full loss {nats(full)}; the central "
        f"95 % of them lie between {nats(first.quantiles['0.025'])} and {nats(first.quantiles['0.975'])}."
    )
    return Figure(
        "spread",
        "What a mini-batch says of the full loss",
        said,
        said + " Bands are cut where they leave the picture.",
        Plot(x, y, tuple(marks), height=310),
        _spread_table(draws),
    )


def drawn(batches: Sequence[MiniBatch]) -> Figure:
    """The loss of each mini-batch that was drawn, with its interval for the loss of all rows."""
    shown = batches[:MOST_BATCHES]
    reach = tuple((one.interval.low, one.interval.high) for one in shown)
    finite = [end for pair in reach for end in pair if math.isfinite(end)]
    values = [one.loss for one in shown]
    low, high = min([0.0, *finite, *values]), max([*finite, *values])
    cut = tuple((max(low, a), min(high, b)) for a, b in reach)
    losses = [one.loss for one in batches]
    said = (
        f"The {count(len(batches))} batches have losses from {nats(min(losses))} to {nats(max(losses))}."
        if len(batches) > 1
        else f"The batch has a loss of {nats(losses[0])}."
    )
    rows = tuple(
        (str(k), nats(one.loss), nats(one.interval.low), nats(one.interval.high), percent(one.accuracy, 1))
        for k, one in enumerate(batches, 1)
    )
    return Figure(
        "drawn",
        "Mini-batches, and what they say of all rows",
        said,
        said
        + f" Lines: {confidence(batches[0].interval.level)} intervals for the loss of all rows, each for itself.",
        Plot(
            categories("batch", [str(k) for k in range(1, len(shown) + 1)]),
            linear("loss, nats", low, high),
            (
                Dots(
                    tuple((k + 0.5, one.loss) for k, one in enumerate(shown)),
                    "loss of a batch",
                    "blue",
                    reach=cut,
                ),
            ),
        ),
        Table(("batch", "loss", "from", "to", "accuracy"), rows),
    )


def falls_short(covered: float, level: float, trials: int) -> bool:
    """True if an interval held the full loss in clearly fewer of its trials than its level promises.

    The chance that an interval which keeps its promise is seen to cover a share of `covered` or less is at most
    exp(-trials * kl), kl = covered log(covered / level) + (1 - covered) log((1 - covered) / (1 - level)): Chernoff.
    """
    if covered >= level - SHORT:
        return False
    missed = 1.0 - covered
    kl = missed * math.log(missed / (1.0 - level))
    if covered > 0:
        kl += covered * math.log(covered / level)
    return math.exp(-trials * kl) < CHANCE


def coverage(draws: Comparison) -> Figure:
    """How often each interval held the full loss."""
    names = list(draws.batches[0].coverage)
    low = min((cell.covered for one in draws.batches for cell in one.coverage.values()), default=0.9)
    x = linear("share of batches", min(low, draws.level - 0.02), 1.0, percent=True)
    marks: list[Mark] = [Rule(draws.level, f"promised: {confidence(draws.level)}", "ink", upright=True)]
    step = 0.8 / max(1, len(draws.batches))
    for k, one in enumerate(draws.batches):
        shift = 0.9 - step * (k + 0.5)
        places = tuple(
            (one.coverage[name].covered, len(names) - 1 - row + shift) for row, name in enumerate(names)
        )
        marks.append(
            Dots(
                places,
                f"n = {count(one.size)}",
                SIZE_COLOURS[k % len(SIZE_COLOURS)],
                MARKERS[k % len(MARKERS)],
            )
        )
    short = [
        f"{name} at n = {count(one.size)} ({percent(one.coverage[name].covered, 1)})"
        for one in draws.batches
        for name in names
        if falls_short(one.coverage[name].covered, draws.level, one.trials)
    ]
    said = (
        f"Short of {confidence(draws.level)}: {', '.join(short)}."
        if short
        else f"None fell short of {confidence(draws.level)} by more than chance explains."
    )
    said += (
        f" Counted over {count(draws.batches[0].trials)} batches, each looked at once; after the sign ±: the standard "
        "error of counting."
    )
    rows = tuple(
        (
            name,
            count(one.size),
            f"{percent(one.coverage[name].covered, 2)} ± {100 * one.coverage[name].stderr:.2f}",
            percent(one.coverage[name].miss_low, 2),
            percent(one.coverage[name].miss_high, 2),
            nats(one.coverage[name].half_width)
            if math.isfinite(one.coverage[name].half_width)
            else "no ends",
        )
        for name in names
        for one in draws.batches
    )
    return Figure(
        "coverage",
        f"How often a {confidence(draws.level)} interval held the full loss",
        said,
        said,
        Plot(x, categories("", list(reversed(names))), tuple(marks), height=90 + 34 * len(names)),
        Table(("interval", "size", "held", "wholly below", "wholly above", "half-width"), rows, left=1),
    )


def precision(draws: Comparison) -> Figure:
    """Rows for a wanted half-width, here and in larger data sets."""
    sizes = sorted({row.population for row in draws.precision})
    here = draws.population.rows
    methods = ("normal", draws.precision[-1].method)
    marks: list[Mark] = []
    for size, colour in zip(
        [here, *(s for s in sizes if s != here)], ("blue", "green", "vermillion"), strict=False
    ):
        for method in methods:
            points = tuple(
                (row.half_width, float(row.rows))
                for row in draws.precision
                if row.population == size and row.method == method
            )
            whole = "these" if size == here else "of"
            marks.append(
                Line(points, f"{whole} {count(size)} rows, {method}", colour, dashed=method == "normal")
            )
    widths = [row.half_width for row in draws.precision]
    rows = [row.rows for row in draws.precision]
    one = next(
        (
            r
            for r in draws.precision
            if r.population == here and r.half_width == 0.01 and r.method == methods[1]
        ),
        None,
    )
    said = "" if one is None else (
        f"Knowing the loss of these {count(here)} rows to ±0.01 at {confidence(draws.level)} by {one.method} takes "
        f"about {count(one.rows)} of them, {percent(one.fraction, 1)}."
    )  # fmt: skip
    table = tuple(
        (count(r.population), r.method, f"±{r.half_width:g}", count(r.rows), percent(r.fraction, 2))
        for r in draws.precision
    )
    return Figure(
        "precision",
        "Rows that a precision takes",
        f"{said} The needed rows grow with the square of the precision until they near all rows there are.",
        said,
        Plot(
            logarithmic("wanted half-width, nats", min(widths), max(widths)),
            logarithmic("rows to read", 0.7 * min(rows), 1.5 * max(rows)),
            tuple(marks),
        ),
        Table(("of rows", "method", "half-width", "rows", "share"), table, left=0),
    )


def _sd(draws: Comparison, size: float) -> float:
    rows = draws.population.rows
    share = 1.0 / rows if draws.replace else min(1.0, size / rows)
    return draws.population.sd * math.sqrt((1.0 - share) / size)


def _around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


def _between(widths: list[tuple[int, float]], size: float) -> float:
    """A half-width at a size between those that were tried, along straight lines in both logarithms."""
    known = sorted((n, w) for n, w in widths if w > 0 and math.isfinite(w))
    if not known:
        return 0.0
    if len(known) == 1:
        return known[0][1] * math.sqrt(known[0][0] / size)
    k = min(max(sum(n <= size for n, _ in known) - 1, 0), len(known) - 2)
    (n0, w0), (n1, w1) = known[k], known[k + 1]
    slope = math.log(w1 / w0) / math.log(n1 / n0)
    return float(w0 * (size / n0) ** slope)


def _spread_table(draws: Comparison) -> Table:
    rows = tuple(
        (
            count(one.size),
            nats(one.mean),
            nats(one.sd),
            nats(one.predicted_sd),
            *(nats(value) for value in one.quantiles.values()),
        )
        for one in draws.batches
    )
    quantiles = tuple(f"{100 * float(q):g} %" for q in draws.batches[0].quantiles)
    return Table(("size", "mean", "sd", "predicted sd", *quantiles), rows)
