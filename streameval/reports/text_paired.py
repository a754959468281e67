"""Models against each other on the same rows, as text. Knows what a reader looks for, not how it was computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from streameval.defaults import FURTHER_DATA
from streameval.reports import about
from streameval.reports.numbers import assumed, confidence, count, nats, percent
from streameval.reports.terminal import INDENT, TextStyle, fields, paragraph, table
from streameval.reports.words import called, more_is_better

if TYPE_CHECKING:
    from streameval.statistics.intervals.method import Interval
    from streameval.studies.paired import Paired
    from streameval.studies.paired_result import PairedResult

CLASSES = 20
METHODS = {"student": "Student's t", "clustered": "Student's t over groups", "normal": "the normal law"}


def paired(result: Paired, style: TextStyle) -> str:
    """Every further model against the first."""
    lines = [style.bold(title(result))]
    if together := joined(result):
        lines += ["", *fields(together, style)]
    for contest in result.results:
        lines += ["", *_contest(result, contest, style)]
    lines += fields(about.notes(*result.models), style)
    return style.finish(lines)


def title(result: Paired) -> str:
    """What was compared."""
    if getattr(result.data, "joined", None) is not None:
        return f"{len(result.names)} runs on the same samples"
    return f"{len(result.names)} models on the same rows of {result.data.name}"


def joined(result: Paired) -> list[tuple[str, str]]:
    """How runs were put together, and what was left out; nothing where models were compared."""
    found = getattr(result.data, "joined", None)
    return [] if found is None else [("joined", _joined(found))]


def _joined(joined: dict[str, Any]) -> str:
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
    more = more_is_better(result.loss_function) and result.of == "loss"
    unit, what = result.loss_function.unit, called(result.loss_function)
    if result.of != "loss":
        unit, what = "of the rows", "error rate"
    lines = fields(
        [
            ("first", f"{pair.first}: {what} {nats(pair.first_loss, 7)}{_known(contest)}"),
            ("second", f"{pair.second}: {what} {nats(pair.second_loss, 7)}{_estimated(contest)}"),
            ("second - first", f"{small(pair.difference)}{unit and ' '}{unit}, {seen(contest)}"),
            (f"{confidence(gap.level)} interval", span(gap, contest.estimates)),
            ("which is better", f"{verdict(gap, more)}, on {contest.estimates}{sure(contest)}"),
            *_evidence(contest),
            *_several(contest, len(result.results)),
            *_further(contest),
            (
                "unpaired",
                f"{reach(pair.unpaired_half_width)} from two separate samples of as many rows{_gain(contest)}",
            ),
            ("correlation", "–" if pair.correlation is None else f"{pair.correlation:.6f}"),
            ("wins", f"second {percent(pair.win_rate, 1)}, ties {percent(pair.tie_rate, 1)}"),
            ("rows read", _rows(result, contest)),
            *_loss(contest),
        ],
        style,
    )
    lines += ["", *_classes(contest, style), ""] if pair.per_class else [""]
    lines += paragraph(basis(result, contest), style)
    return lines


def basis(result: Paired, contest: PairedResult) -> str:
    """What the interval of a pair rests on, and when not to trust it."""
    gap = contest.difference
    said = gap.assumes if contest.stopped is None else f"{promise(result, contest)} {assumed(gap.assumes)}"
    return said + (f" Warning: {gap.warning}" if gap.warning else "")


def seen(contest: PairedResult) -> str:
    """What the numbers of a pair are about."""
    if not contest.weighted:
        return "on the rows read"
    return "on all rows" if _exhausted(contest) else "estimated for all rows"


def _estimated(contest: PairedResult) -> str:
    return f", {seen(contest)}" if contest.weighted else ""


def _exhausted(contest: PairedResult) -> bool:
    return contest.stopped is not None and contest.stopped.stopped == "exhausted"


def promise(result: Paired, contest: PairedResult) -> str:
    """Of which rows the intervals of a sequential form speak, with which probability, at how many looks."""
    rows, looks = count(result.data.rows), len(contest.steps)
    if _exhausted(contest) and looks <= 1:
        return f"All {rows} rows were read: the difference is exact."
    alone = ", each model for itself" if contest.simultaneous is not None else ""
    together = f"all {count(looks)} looks together" if looks > 1 else "one look was taken"
    return (
        f"With a probability of {confidence(contest.difference.level)}{alone}, over the random draw of rows, every "
        f"interval on the way holds the mean difference of these {rows} rows: {together}."
    )


def span(interval: Interval, estimates: str) -> str:
    """From where to where, of which rows, and how it was made."""
    if math.isinf(interval.half_width):
        return f"{_ends(interval)} for {estimates}"
    return f"{_ends(interval)} for {estimates}, by {method(interval)}"


def _ends(interval: Interval) -> str:
    if math.isinf(interval.half_width):
        return "unknown"
    return f"{small(interval.low)} … {small(interval.high)}"


def method(interval: Interval) -> str:
    """How an interval of a difference was made, in words."""
    return METHODS.get(interval.method, interval.method)


def reach(half_width: float, digits: int = 3) -> str:
    """A half-width; one without end is of a spread that is not known, from one row."""
    return "unknown" if math.isinf(half_width) else f"± {half_width:.{digits}g}"


def _known(contest: PairedResult) -> str:
    """The first's loss on all rows, where it was stored."""
    if contest.first_full is None or contest.stopped is None:
        return ""
    if contest.weighted:
        return " on all rows (stored)"
    return f" on the rows read, {nats(contest.first_full, 7)} on all (stored)"


def sure(contest: PairedResult) -> str:
    """How sure that is."""
    if _exhausted(contest):
        return ": all were read, so it is exact"
    return f", at {confidence(contest.difference.level)}"


def _evidence(contest: PairedResult) -> list[tuple[str, str]]:
    """What speaks against a difference of 0: with a guarantee at every look, and for many rows alone."""
    said = []
    if contest.evidence is not None:
        sure = contest.evidence
        said.append(
            f"e-value {sure.e_value:.3g}, p {sure.p_value:.2g} for {contest.estimates}{_independent(contest)}, at any "
            "look and for any number of rows"
        )
    if contest.p_approximate is not None:
        said.append(f"p {contest.p_approximate:.2g} for many rows, looked at once")
    return [("against equality", "; ".join(said))] if said else []


def _independent(contest: PairedResult) -> str:
    return " of independent rows" if contest.estimates == FURTHER_DATA else ""


def _several(contest: PairedResult, others: int) -> list[tuple[str, str]]:
    """What holds for all of several comparisons together."""
    if contest.simultaneous is None:
        return []
    said = f"{_ends(contest.simultaneous)}, at "
    said += f"{confidence(1.0 - (1.0 - contest.simultaneous.level) * others)} together with the other models"
    if contest.p_holm is not None:
        said += f"; p {contest.p_holm:.2g} by Holm, {'claimed' if contest.e_bh else 'not claimed'} by e-BH"
    return [("of several", said)]


def _further(contest: PairedResult) -> list[tuple[str, str]]:
    """What is known of further data besides."""
    said = []
    if contest.clustered is not None:
        said.append(
            (
                "groups",
                f"{count(contest.clustered.groups)}, standard error {_error(contest.clustered.stderr)}",
            )
        )
    if contest.mcnemar is not None:
        rows = f"{count(contest.mcnemar.only_first)} and {count(contest.mcnemar.only_second)} rows"
        p = f"p {contest.mcnemar.p_value:.2g} by McNemar's exact test, for further data of independent rows"
        said.append(("right alone", f"first and second on {rows}: {p}"))
    if contest.power is not None:
        power = contest.power
        said.append(
            (
                "can be seen",
                f"about: a true difference of {power.detectable:.2g}, in {percent(power.power, 0)} of samples of as "
                "many further rows",
            )
        )
    return said


def _error(stderr: float | None) -> str:
    return "unknown" if stderr is None else f"{stderr:.2g}"


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
            f"{nats(contest.full_loss)}, {ends}, from the stored losses and the difference",
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
