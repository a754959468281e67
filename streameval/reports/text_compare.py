"""Mini-batches against the full loss, as text: what a batch is worth, which interval to trust, what precision costs.

Knows what a reader looks for. Does not know how anything was computed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from streameval.defaults import GUARANTEED
from streameval.reports import about
from streameval.reports.figures.batches import falls_short
from streameval.reports.numbers import bytes_, confidence, count, ends, nats, percent, rate, seconds
from streameval.reports.terminal import INDENT, TextStyle, fields, paragraph, table
from streameval.reports.words import called, in_unit, subject
from streameval.statistics.trials import share_stderr

if TYPE_CHECKING:
    from streameval.losses.loss import Loss
    from streameval.statistics.budget import Budget
    from streameval.studies.comparison import Comparison


def comparison(result: Comparison, style: TextStyle) -> str:
    """A finished comparison."""
    full, draws = result.full, result.draws
    how = "with" if draws.replace else "without"
    lines = [
        style.bold(
            f"{subject(full.model, full.data)}: mini-batches against the full {called(full.loss_function)}"
        ),
        "",
        *fields(_full(result), style),
        "",
        style.dim(f"{INDENT}batches, {count(draws.batches[0].trials)} of each size, drawn {how} replacement"),
        *_batches(result, style),
        "",
        style.dim(
            f"{INDENT}how often the {confidence(draws.level)} interval held the full {called(full.loss_function)}, "
            "± its mean half-width"
        ),
        *_coverage(result, style),
        *_counted(result, style),
        *_short(result, style),
        "",
        style.dim(f"{INDENT}about the rows for a wanted precision (share to time: {_until_method(result)})"),
        *_precision(result, style),
        *_looked(result, style),
        "",
        *fields(
            [
                *_tails(result),
                ("order", draws.order.message),
                *budget(result.budget, result.full.loss_function),
                *about.notes(full.model),
            ],
            style,
        ),
    ]
    return style.finish(lines)


def budget(parts: Budget, loss: Loss) -> list[tuple[str, str]]:
    """The error budget as names and values."""
    said = []
    if parts.rounding is not None:
        error = parts.rounding
        half = in_unit(f"{error.interval.half_width:.1e}", loss)
        said.append(
            (
                "rounding",
                f"{signed(error.mean)} ± {half} on the loss of all rows (about {confidence(error.interval.level)}), by "
                f"{count(error.rows)} random rows computed again in float64; at most {error.largest:.1e} on one",
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


def _tails(result: Comparison) -> list[tuple[str, str]]:
    """Quantiles and the worst rows: exact of these rows, and what they say of further data of independent rows."""
    if result.tails is None:
        return []
    level = confidence(result.draws.level)
    said = [
        f"{percent(one.share, 0)} below {nats(one.loss)} ({ends(one.interval.low, one.interval.high)})"
        for one in result.tails.quantiles
    ]
    what = f"of these rows, and in brackets of further data at {level} each if rows are independent"
    pairs = [("quantiles", f"{', '.join(said)}; {what}")]
    worst = result.tails.worst
    if worst is not None:
        cost, part = worst.mean_interval, worst.part_interval
        pairs.append(
            (
                f"worst {percent(worst.share, 0)}",
                f"of these rows cost {nats(worst.mean)} on average and carry {percent(worst.part, 1)} of the "
                f"{called(result.full.loss_function)}; of further data {nats(cost.low)} to {nats(cost.high)}, and "
                f"{percent(part.low, 1)} to {percent(part.high, 1)}, guaranteed at "
                f"{level} each if rows are independent",
            )
        )
    return pairs


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
    return table(
        ("size", "mean", "sd", "predicted", f"of the {called(result.full.loss_function)}", "central 95 %"),
        rows,
        style,
    )


def _coverage(result: Comparison, style: TextStyle) -> list[str]:
    names = list(result.batches[0].coverage)
    head = ["", *(f"n = {count(one.size)}" for one in result.batches)]
    rows = []
    for name in names:
        cells = [one.coverage[name] for one in result.batches]
        rows.append([name, *(f"{percent(cell.covered, 1)} {_half(cell.half_width)}" for cell in cells)])
    return table(head, rows, style, left=1)


def _counted(result: Comparison, style: TextStyle) -> list[str]:
    """Say what the number of trials leaves open, and what a share is a share of."""
    draws = result.draws
    trials, level = draws.batches[0].trials, draws.level
    error = share_stderr(round((1.0 - level) * trials), trials)
    said = (
        f"Each counted over {count(trials)} batches, of one size and looked at once: a share near {confidence(level)} "
        f"has a standard error of {100 * error:.2g} points; the column of means one of its sd / {trials**0.5:.3g}."
    )
    return [f"{INDENT}{line}" for line in paragraph(said, replace(style, width=style.width - len(INDENT)))]


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
    here, method = result.draws.population.rows, _until_method(result)
    larger = sorted({size for size, _, _ in needed} - {here})
    rows = []
    for half_width in sorted({width for _, width, _ in needed}, reverse=True):
        normal, until = (needed[here, half_width, name] for name in ("normal", method))
        far = [needed[size, half_width, method] for size in larger]
        rows.append(
            (
                f"±{half_width:g}",
                count(normal.rows),
                count(until.rows),
                percent(until.fraction, 1),
                "–" if until.bytes is None else bytes_(until.bytes),
                "–" if until.seconds is None else seconds(until.seconds),
                *(count(row.rows) for row in far),
            )
        )
    head = ("", "normal", method, "share", "bytes", "time", *(f"of {_power(size)}" for size in larger))
    return table(head, rows, style)


def _looked(result: Comparison, style: TextStyle) -> list[str]:
    """What each column's rows are worth."""
    method, level = _until_method(result), confidence(result.draws.level)
    kind = "guaranteed" if method in GUARANTEED else "approximately"
    said = (
        f"Of the mean of these rows at {level}: normal looked at once, approximately; {method} at every look, {kind}. "
        "Of more rows, if they were like these."
    )
    return [f"{INDENT}{line}" for line in paragraph(said, replace(style, width=style.width - len(INDENT)))]


def _until_method(result: Comparison) -> str:
    """The method by which `until` would read: betting, or asymptotic where losses have no bound."""
    return result.precision[-1].method


def _power(size: int) -> str:
    """10^7 as such."""
    digits = len(str(size)) - 1
    return f"10^{digits}" if size == 10**digits else count(size)
