"""Models against each other on the same rows, as text. Knows what a reader looks for, not how it was computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from streameval.reports.numbers import count, nats, percent
from streameval.reports.terminal import INDENT, TextStyle, fields, paragraph, table
from streameval.reports.words import called, in_unit, more_is_better

if TYPE_CHECKING:
    from streameval.statistics.intervals.interval import Interval
    from streameval.studies.paired import Paired, PairedResult

CLASSES = 20


def paired(result: Paired, style: TextStyle) -> str:
    """Every further model against the first."""
    lines = [style.bold(title(result))]
    joined = getattr(result.data, "joined", None)
    if joined is not None:
        lines += ["", *fields([("joined", _joined(joined))], style)]
    for contest in result.results:
        lines += ["", *_contest(result, contest, style)]
    return style.finish(lines)


def title(result: Paired) -> str:
    """What was compared."""
    if getattr(result.data, "joined", None) is not None:
        return f"{len(result.names)} runs on the same samples"
    return f"{len(result.names)} models on the same rows of {result.data.name}"


def _joined(joined: dict[str, Any]) -> str:
    """How runs were put together, and what was left out."""
    how = "by their order in the files, as no row ids were named"
    if joined["by"] is not None:
        how = f"on {', '.join(joined['by'])}"
    left = [
        f"{count(run[what])} {said} of {run['path'] or 'a table'}"
        for run in joined["runs"]
        for what, said in (
            ("unmatched", "rows without their like"),
            ("repeated", "rows with an id that is repeated"),
            ("left_out", "rows without a finite value"),
        )
        if run[what]
    ]
    return f"{count(joined['rows'])} rows, {how}; left out: {', '.join(left) or 'none'}"


def verdict(interval: Interval, more: bool = False) -> str:
    """Which of the two is better, if the interval tells; `more`: the one that has more."""
    lower, higher = "the second is better", "the first is better"
    if more:
        lower, higher = higher, lower
    if interval.high < 0:
        return lower
    if interval.low > 0:
        return higher
    return "no difference can be told from 0"


def small(value: float) -> str:
    """A difference with its sign and four digits that mean something."""
    if value == 0:
        return "0"
    return f"{value:+.4f}" if abs(value) >= 0.1 else f"{value:+.3e}" if abs(value) < 1e-3 else f"{value:+.5f}"


def _contest(result: Paired, contest: PairedResult, style: TextStyle) -> list[str]:
    pair, gap = contest.pair, contest.difference
    gain, loss, what = _gain(contest), result.loss_function, called(result.loss_function)
    lines = fields(
        [
            ("first", f"{pair.first}: {what} {nats(pair.first_loss, 7)}"),
            ("second", f"{pair.second}: {what} {nats(pair.second_loss, 7)}"),
            (
                "second - first",
                f"{in_unit(small(pair.difference), loss)}: {verdict(gap, more_is_better(loss))}",
            ),
            (
                f"{percent(gap.level, 0)} interval",
                f"{small(gap.low)} … {small(gap.high)}, by {gap.method}",
            ),
            ("unpaired", f"± {pair.unpaired_half_width:.3g} from two separate samples of as many rows{gain}"),
            ("correlation", "–" if pair.correlation is None else f"{pair.correlation:.6f}"),
            ("wins", f"second {percent(pair.win_rate, 1)}, ties {percent(pair.tie_rate, 1)}"),
            ("rows read", _rows(result, contest)),
            *_loss(contest),
        ],
        style,
    )
    lines += ["", *_classes(contest, style), ""] if pair.per_class else [""]
    lines += paragraph(gap.assumes + (f" Warning: {gap.warning}" if gap.warning else ""), style)
    return lines


def _gain(contest: PairedResult) -> str:
    """How much narrower pairs made it, where both are of one kind."""
    half = contest.difference.half_width
    if contest.stopped is not None or not 0 < half < math.inf:
        return ""
    return f": {count(round(contest.pair.unpaired_half_width / half))} times wider"


def _rows(result: Paired, contest: PairedResult) -> str:
    total = result.data.rows
    return f"{count(contest.pair.rows)} of {count(total)}, {percent(contest.pair.rows / total)}"


def _loss(contest: PairedResult) -> list[tuple[str, str]]:
    if contest.loss is None or contest.stopped is None:
        return []
    ends = f"{nats(contest.loss.low)} … {nats(contest.loss.high)}"
    return [
        (
            "second's full loss",
            f"{nats(contest.stopped.loss)}, {ends}, from the stored losses and the difference",
        )
    ]


def _classes(contest: PairedResult, style: TextStyle) -> list[str]:
    listed, rest = list(contest.pair.per_class), ""
    if len(listed) > CLASSES:
        rest = f"{INDENT}the {CLASSES} classes of {len(listed)} with the largest differences"
        listed = sorted(listed, key=lambda row: -abs(row.difference))[:CLASSES]
    rows = [
        (
            str(row.label),
            count(row.rows),
            small(row.difference),
            "–" if row.stderr is None else f"{row.stderr:.1e}",
            percent(row.win_rate, 1),
        )
        for row in listed
    ]
    lines = table(("class", "rows", "second - first", "stderr", "second wins"), rows, style)
    return lines + ([style.dim(rest)] if rest else [])
