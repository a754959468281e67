"""A loss known well enough, as text: the interval, what it cost, and what it rests on. Does not know how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import assumed, count, nats, percent
from streameval.reports.terminal import TextStyle, fields, paragraph
from streameval.reports.words import called, in_unit, subject

if TYPE_CHECKING:
    from streameval.studies.until import Until


def until(result: Until, style: TextStyle) -> str:
    """Where reading stopped."""
    loss = result.found
    why = (
        "all rows were read: the loss is exact"
        if loss.stopped == "exhausted"
        else f"± {result.half_width:g} is reached"
    )
    ends = f"{nats(loss.low)} … {nats(loss.high)}, ± {loss.half_width:.2g}"
    pairs = [
        (called(result.loss_function), in_unit(nats(loss.loss), result.loss_function)),
        (f"{percent(loss.level, 0)} interval", ends),
        ("rows read", f"{count(loss.rows_read)} of {count(result.data.rows)}, {percent(loss.fraction)}"),
        ("stopped", why),
    ]
    valid = f"Method: {loss.method}; the interval may be looked at after any row."
    said = f"{valid} {assumed(loss.assumes)} Seed {loss.seed}."
    title = f"{subject(result.model, result.data)}, as precisely as asked"
    lines = [style.bold(title), "", *fields(pairs, style), "", *paragraph(said, style)]
    return style.finish(lines)
