"""A loss known well enough, as text: the interval, what it cost, and what it rests on. Does not know how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import assumed, count, nats, percent
from streameval.reports.terminal import Look, fields, paragraph

if TYPE_CHECKING:
    from streameval.studies.until import Until


def until(result: Until, look: Look) -> str:
    """Where reading stopped."""
    found = result.found
    why = (
        "all rows were read: the loss is exact"
        if found.stopped == "exhausted"
        else f"± {result.half_width:g} is reached"
    )
    ends = f"{nats(found.low)} … {nats(found.high)}, ± {found.half_width:.2g}"
    pairs = [
        ("loss", f"{nats(found.loss)} nats"),
        (f"{percent(found.level, 0)} interval", ends),
        ("rows read", f"{count(found.rows_read)} of {count(result.data.rows)}, {percent(found.fraction)}"),
        ("stopped", why),
    ]
    valid = f"Method: {found.method}; the interval may be looked at after any row."
    said = f"{valid} {assumed(found.assumes)} Seed {found.seed}."
    title = f"{result.model.path or 'the model'} on {result.data.name}, as precisely as asked"
    lines = [look.bold(title), "", *fields(pairs, look), "", *paragraph(said, look)]
    return look.finish(lines)
