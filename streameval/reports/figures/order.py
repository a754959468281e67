"""Whether the order of the rows looks random: every look of the audit as a z-score against its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Dots, Figure, Mark, Plot, Rule, Table, categories, logarithmic
from streameval.reports.numbers import count

if TYPE_CHECKING:
    from streameval.statistics.looks import Finding
    from streameval.statistics.order import Order

LEAST = 0.1  # a deviation below this share of its limit is drawn at this
STRIDES = 16  # shown: those nearest to their limit, or farthest past it


def order(audit: Order) -> Figure | None:
    """The audit; None if there were too few rows for any look."""
    shown = _shown([one for one in audit.findings if one.z is not None])
    if not shown:
        return None
    names = [_name(finding) for finding in shown]
    places = {id(finding): len(names) - k - 0.5 for k, finding in enumerate(shown)}
    marks: list[Mark] = [Rule(1.0, "limit", "ink", upright=True)]
    for flagged, name, colour, marker in (
        (False, "as in a random order", "blue", "circle"),
        (True, "not as in a random order", "vermillion", "diamond"),
    ):
        points = tuple((max(LEAST, _share(one)), places[id(one)]) for one in shown if one.flagged == flagged)
        if points:
            marks.append(
                Dots(points, name, colour, marker, tuple((LEAST, x) for x, _ in points), across=True)
            )
    rows = tuple(
        (_name(one), "–" if one.z is None else f"{one.z:+.2f}", f"{one.limit:.2f}", _chance(one), _price(one))
        for one in audit.findings
    )
    return Figure(
        "order",
        "Is the order of the rows random?",
        audit.message,
        f"{audit.message} A look past its limit is flagged if it is as rare for these losses as for normal ones; a "
        f"random order is flagged at all with a chance of at most {audit.false_alarm:g}.",
        Plot(
            logarithmic(
                "|z| over its limit: deviation from a random order", LEAST, max(10.0, *map(_share, shown))
            ),
            categories("", list(reversed(names))),
            tuple(marks),
            height=80 + 17 * len(names),
        ),
        Table(("look", "z", "limit", "flagged", "price of pretending"), rows, left=1),
    )


def _share(finding: Finding) -> float:
    return abs(finding.z or 0.0) / finding.limit


def _shown(findings: list[Finding]) -> list[Finding]:
    """All looks but strides, and the strides that tell most."""
    strides = sorted((one for one in findings if one.kind == "stride"), key=_share, reverse=True)[:STRIDES]
    return [one for one in findings if one.kind != "stride" or one in strides]


def _chance(finding: Finding) -> str:
    if finding.chance is None:
        return "no"
    said = f"chance below {finding.chance:.1g}" if finding.chance < 1 else "chance"
    return f"yes, {said}" if finding.flagged else f"no, {said}"


def _name(finding: Finding) -> str:
    size = count(finding.size)
    return {
        "stride": f"one row in {size}",
        "period": f"period of {size}",
        "block": f"blocks of {size}",
        "trend": "trend",
        "repeat": f"{size} rows that come again",
    }[finding.kind]


def _price(finding: Finding) -> str:
    if finding.kind == "stride":
        return f"mean wrong by up to {abs(finding.price):.1%}"
    if finding.kind == "period":
        return f"swings by {finding.price:.1%}"
    if finding.kind == "block":
        return f"{finding.price:.2f} times the variance"
    if finding.kind == "repeat":
        return f"{finding.price:.2%} of rows"
    return f"correlation {finding.price:+.3f}"
