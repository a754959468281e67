"""One pass under several conventions, as text. Does not know how it was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports import about
from streameval.reports.numbers import count, nats
from streameval.reports.terminal import TextStyle, fields, paragraph, table
from streameval.reports.words import subject

if TYPE_CHECKING:
    from streameval.evaluation.semantics import Semantics


def semantics(result: Semantics, style: TextStyle) -> str:
    """The loss under each convention, how far it lies from the first one, and why."""
    first = result.states[0].loss
    rows = [(one.name, *_cells(result, k, first)) for k, one in enumerate(result.conventions)]
    lines = [style.bold(subject(result.model, result.data)), ""]
    head = ("cross-entropy of", "mean, nats", f"to {result.conventions[0].name}'s", "largest")
    lines += [*table(head, rows, style), ""]
    for one in result.conventions:
        lines += paragraph(f"{one.name}: {one.call}. {one.why}", style)
    left_out = result.states[0].sums.left_out
    said = f"{count(result.rows)}, each read once" + (f"; {count(left_out)} left out" if left_out else "")
    lines += ["", *fields([("rows", said), *about.notes(result.model)], style)]
    return style.finish(lines)


def _cells(result: Semantics, k: int, first: float | None) -> tuple[str, str, str]:
    loss, sums = result.loss(k), result.states[k].sums
    if result.infinite(k):
        return "infinite", "–", f"infinite, of {count(result.infinite(k))} rows"
    if loss is None or first is None:
        return "–", "–", "–"
    return nats(loss, 10), f"{loss - first:+.2e}" if k else "", nats(sums.largest, 2)
