"""Whether the order of the rows looks random: every look of the audit as a z-score against its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Dots, Figure, Mark, Plot, Rule, Table, categories, logarithmic
from streameval.reports.numbers import count

if TYPE_CHECKING:
    from streameval.statistics.order import Finding, Order

LEAST = 0.1  # a |z| below this is drawn at this


def order(audit: Order) -> Figure | None:
    """The audit; None if there were too few rows for any look."""
    if not audit.findings:
        return None
    names = [_name(finding) for finding in audit.findings]
    places = {id(finding): len(names) - k - 0.5 for k, finding in enumerate(audit.findings)}
    marks: list[Mark] = [Rule(audit.limit, f"limit, {audit.limit:.1f}", "ink", upright=True)]
    for flagged, name, colour, marker in (
        (False, "as in a random order", "blue", "circle"),
        (True, "not as in a random order", "vermillion", "diamond"),
    ):
        points = tuple(
            (max(LEAST, abs(one.z)), places[id(one)]) for one in audit.findings if one.flagged == flagged
        )
        if points:
            marks.append(
                Dots(points, name, colour, marker, tuple((LEAST, x) for x, _ in points), across=True)
            )
    most = max([abs(one.z) for one in audit.findings] + [audit.limit])
    rows = tuple(
        (name, f"{one.z:+.2f}", "yes" if one.flagged else "no", _price(one))
        for name, one in zip(names, audit.findings, strict=True)
    )
    return Figure(
        "order",
        "Is the order of the rows random?",
        audit.message,
        f"{audit.message} A random order passes the limit anywhere with a chance of at most {audit.false_alarm:g}.",
        Plot(
            logarithmic("|z|: deviation from a random order", LEAST, max(10.0, most)),
            categories("", list(reversed(names))),
            tuple(marks),
            height=80 + 17 * len(names),
        ),
        Table(("look", "z", "flagged", "price of pretending"), rows, left=1),
    )


def _name(finding: Finding) -> str:
    size = count(finding.size)
    return {"stride": f"one row in {size}", "block": f"blocks of {size}", "trend": "trend"}[finding.kind]


def _price(finding: Finding) -> str:
    if finding.kind == "stride":
        return f"mean wrong by up to {abs(finding.price):.1%}"
    if finding.kind == "block":
        return f"{finding.price:.2f} times the variance"
    return f"correlation {finding.price:+.3f}"
