"""A loss known well enough, as text: the interval, what it cost, and what it rests on. Does not know how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.defaults import GUARANTEED
from streameval.reports import about
from streameval.reports.numbers import assumed, confidence, count, nats, percent
from streameval.reports.terminal import TextStyle, fields, paragraph
from streameval.reports.words import called, in_unit, subject

if TYPE_CHECKING:
    from streameval.studies.until import Until


def until(result: Until, style: TextStyle) -> str:
    """Where reading stopped."""
    loss = result.found
    why = (
        f"all rows were read: the {called(result.loss_function)} is exact"
        if loss.stopped == "exhausted"
        else f"± {result.half_width:g} is reached"
    )
    ends = f"{nats(loss.low)} … {nats(loss.high)}, ± {loss.half_width:.2g}"
    pairs = [
        (called(result.loss_function), in_unit(nats(loss.loss), result.loss_function)),
        (f"{confidence(loss.level)} interval", ends),
        ("rows read", f"{count(loss.rows_read)} of {count(result.data.rows)}, {percent(loss.fraction)}"),
        *_groups(result),
        ("stopped", why),
    ]
    said = f"{promise(result)} {assumed(loss.assumes)} Seed {loss.seed}."
    title = f"{subject(result.model, result.data)}, as precisely as asked"
    pairs += about.notes(result.model)
    lines = [style.bold(title), "", *fields(pairs, style), "", *paragraph(said, style)]
    return style.finish(lines)


def _looks(number: int, stopped: str) -> str:
    if number == 1:
        return "one look was taken"
    last = "of which this last one is exact" if stopped == "exhausted" else "this last one included"
    return f"all {count(number)} looks together, {last}"


def _groups(result: Until) -> list[tuple[str, str]]:
    groups = result.groups
    if groups is None:
        return []
    return [
        ("groups read", f"{count(groups.read)} of {count(groups.groups)}, in {count(groups.draws)} draws")
    ]


def promise(result: Until) -> str:
    """Of which rows the intervals speak, with which probability, at how many looks."""
    loss, rows, what = result.found, count(result.data.rows), called(result.loss_function)
    level = confidence(loss.level)
    if loss.stopped == "exhausted" and len(result.steps) == 1:
        return f"Method: {loss.method}; nothing was shown before the {what} of these {rows} rows was exact."
    how = "with a probability of" if loss.method in GUARANTEED else "approximately with a probability of"
    drawn = "over the random order" if result.groups is None else "over the draw of groups"
    return (
        f"Method: {loss.method}; {how} {level}, {drawn}, every interval shown on the way holds the mean "
        f"{what} of these {rows} rows: {_looks(len(result.steps), loss.stopped)}."
    )
