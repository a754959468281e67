"""A ratio of sums as text: of these rows, and what it says of further data. Does not know how it was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import confidence, count, nats
from streameval.reports.terminal import TextStyle, fields, paragraph

if TYPE_CHECKING:
    from streameval.statistics.ratios import Ratio

ROWS = (
    "For further data of the same kind, approximately: the rows are independent of each other, and none outweighs the "
    "others. Where rows of one document are alike, say which: --group COLUMN."
)


def ratio(result: Ratio, style: TextStyle) -> str:
    """A ratio with its error."""
    interval = result.interval
    ends = "none: one group says nothing of others"
    if result.groups > 1:
        ends = f"{nats(interval.low)} … {nats(interval.high)} for further data, about"
    pairs = [
        (result.unit, f"{nats(result.estimate, 6)}, of these rows: exact"),
        ("standard error", "unknown" if result.stderr is None else nats(result.stderr)),
        (f"{confidence(interval.level)} interval", ends),
        ("rows", f"{count(result.rows)}{_units(result)}, weight {result.weight:,.10g}"),
    ]
    said = ROWS if result.groups == result.rows else interval.assumes
    if interval.warning is not None:
        said += f" Warning: {interval.warning}"
    return style.finish([style.bold(result.unit), "", *fields(pairs, style), "", *paragraph(said, style)])


def _units(result: Ratio) -> str:
    """What is taken as independent."""
    if result.groups == result.rows:
        return ", taken as independent"
    return f" in {count(result.groups)} groups"
