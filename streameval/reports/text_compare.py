"""Mini-batches against the full loss, as text: what a batch is worth, which interval to trust, what precision costs.

Knows what a reader looks for. Does not know how anything was computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streameval.reports.figures.batches import falls_short
from streameval.reports.numbers import bytes_, count, nats, percent, rate, seconds
from streameval.reports.terminal import INDENT, TextStyle, fields, paragraph, table
from streameval.reports.words import called, in_unit, subject

if TYPE_CHECKING:
    from streameval.statistics.budget import Budget
    from streameval.studies.comparison import Comparison


def comparison(result: Comparison, style: TextStyle) -> str:
    """A finished comparison."""
    full, draws = result.full, result.draws
    how = "with" if draws.replace else "without"
    lines = [
        style.bold(f"{subject(full.model, full.data)}: mini-batches against the full loss"),
        "",
        *fields(_full(result), style),
        "",
        style.dim(f"{INDENT}batches, {count(draws.batches[0].trials)} of each size, drawn {how} replacement"),
        *_batches(result, style),
        "",
        style.dim(
            f"{INDENT}how often the {percent(draws.level, 0)} interval held the full loss, ± its half-width"
        ),
        *_coverage(result, style),
        *_short(result, style),
        "",
        style.dim(f"{INDENT}rows for a wanted precision (share to time: betting)"),
        *_precision(result, style),
        "",
        *fields([("order", draws.order.message), *budget(result.budget)], style),
    ]
    return style.finish(lines)


def budget(parts: Budget) -> list[tuple[str, str]]:
    """The error budget as names and values."""
    said = []
    if parts.rounding is not None:
        error = parts.rounding
        said.append(
            (
                "rounding",
                f"{signed(error.mean)} ± {error.interval.half_width:.1e} nats on the loss, at most {error.largest:.1e} "
                f"on a row ({count(error.rows)} random rows computed again in float64)",
            )
        )
    if parts.clipping is not None:
        cut = parts.clipping
        lost = f"; {count(cut.infinite)} rows have y = 0" if cut.infinite else ""
        said.append(
            (
                "clipping",
                f"eps takes {cut.mean:.1e} nats off the loss, {percent(cut.share, 4)} of it; {count(cut.rows)} rows "
                f"lose more than a thousandth{lost}",
            )
        )
    return [
        *said,
        ("sampling", "none: every row was read" if parts.sampling == 0 else f"± {nats(parts.sampling)}"),
    ]


def signed(value: float) -> str:
    """A small number with its sign."""
    return f"{value:+.1e}"


def _full(result: Comparison) -> list[tuple[str, str]]:
    full, whole = result.full, result.draws.population
    used = full.resources
    return [
        (
            f"full {called(full.loss_function)}",
            f"{in_unit(nats(full.loss, 10), full.loss_function)}, exact over {count(full.rows)} rows",
        ),
        (
            "spread",
            f"standard deviation {nats(whole.sd)}, skewness {whole.skewness:.1f}, largest {nats(whole.largest)}",
        ),
        ("cost", f"{seconds(used.seconds)} for all rows, {rate(used.rows_per_second)}"),
    ]


def _batches(result: Comparison, style: TextStyle) -> list[str]:
    loss = result.draws.population.mean
    rows = []
    for one in result.batches:
        off = percent(one.predicted_sd / loss, 1) if loss > 0 else "–"
        rows.append(
            (
                count(one.size),
                nats(one.mean),
                nats(one.sd),
                nats(one.predicted_sd),
                off,
                f"{nats(one.quantiles['0.025'])} … {nats(one.quantiles['0.975'])}",
            )
        )
    return table(("size", "mean", "sd", "predicted", "of the loss", "central 95 %"), rows, style)


def _coverage(result: Comparison, style: TextStyle) -> list[str]:
    names = list(result.batches[0].coverage)
    head = ["", *(f"n = {count(one.size)}" for one in result.batches)]
    rows = []
    for name in names:
        cells = [one.coverage[name] for one in result.batches]
        rows.append([name, *(f"{percent(cell.covered, 1)} {_half(cell.half_width)}" for cell in cells)])
    return table(head, rows, style, left=1)


def _half(value: float) -> str:
    return f"± {value:.3f}" if math.isfinite(value) else "no ends"


def _short(result: Comparison, style: TextStyle) -> list[str]:
    """Say which intervals promise more than they hold, and on which side."""
    said = []
    for one in result.batches:
        for name, cell in one.coverage.items():
            if falls_short(cell.covered, result.draws.level, one.trials):
                said.append(
                    f"{name} at {count(one.size)} (wholly below {percent(cell.miss_low, 1)}, above "
                    f"{percent(cell.miss_high, 1)})"
                )
    if not said:
        return []
    return [
        f"{INDENT}{line}" for line in paragraph(f"Promises more than it holds: {', '.join(said)}.", style)
    ]


def _precision(result: Comparison, style: TextStyle) -> list[str]:
    needed = {(row.population, row.half_width, row.method): row for row in result.precision}
    here = result.draws.population.rows
    larger = sorted({size for size, _, _ in needed} - {here})
    rows = []
    for half_width in sorted({width for _, width, _ in needed}, reverse=True):
        normal, betting = (needed[here, half_width, method] for method in ("normal", "betting"))
        far = [needed[size, half_width, "betting"] for size in larger]
        rows.append(
            (
                f"±{half_width:g}",
                count(normal.rows),
                count(betting.rows),
                percent(betting.fraction, 1),
                "–" if betting.bytes is None else bytes_(betting.bytes),
                "–" if betting.seconds is None else seconds(betting.seconds),
                *(count(row.rows) for row in far),
            )
        )
    head = ("", "normal", "betting", "share", "bytes", "time", *(f"of {_power(size)}" for size in larger))
    return table(head, rows, style)


def _power(size: int) -> str:
    """10^7 as such."""
    digits = len(str(size)) - 1
    return f"10^{digits}" if size == 10**digits else count(size)
