"""What a report with pictures is made of: facts, figures, notes. Does not know how it is rendered."""

from __future__ import annotations

from streameval.frozen import frozen
from streameval.reports.figures.plot import Figure


@frozen
class Page:
    """A report.

    title    one line · lead: the most important sentence
    facts    (name, value) pairs · notes: sentences at the end
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
