"""A running estimate with the interval that may be looked at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streameval.defaults import GUARANTEED, SEQUENTIAL_METHOD
from streameval.reports.figures.plot import Band, Figure, Line, Mark, Plot, Rule, Table, linear, logarithmic
from streameval.reports.numbers import confidence, count, percent

if TYPE_CHECKING:
    from streameval.statistics.until import Step


def running(
    steps: Sequence[Step],
    *,
    what: str,
    level: float,
    wanted: float,
    name: str = "running",
    method: str = SEQUENTIAL_METHOD,
) -> Figure:
    """Every look: the estimate, and where the mean of all rows lies.

    what: "loss", or what else is estimated · wanted: the half-width asked for, in nats
    """
    held = "" if method in GUARANTEED else " approximately"
    last = steps[-1]
    # The first looks know next to nothing: the picture is scaled to where the interval is ten times the aim.
    reach = max(6.0 * wanted, 4.0 * last.half_width, 1e-12)
    bottom, top = last.loss - reach, last.loss + reach
    marks: list[Mark] = [
        Band(
            tuple((s.rows_read, s.low, s.high) for s in steps),
            f"intervals that{held} hold together, at all looks, with {confidence(level)}",
            "sky",
        ),
        Line(tuple((s.rows_read, s.loss) for s in steps), f"estimate of the mean {what} of all rows", "blue"),
        Rule(last.loss, f"where it stopped: {last.loss:.5g}", "ink"),
    ]
    said = (
        f"After {count(last.rows_read)} rows, {percent(last.fraction)} of all, the mean {what} of these rows is put "
        f"between {last.low:.5g} and {last.high:.5g}, at {confidence(level)}."
    )
    kept = _some(steps)
    return Figure(
        name,
        f"The running {what}",
        said,
        said + " Bands are cut where they leave the picture.",
        Plot(
            logarithmic("rows read", steps[0].rows_read, max(last.rows_read, steps[0].rows_read + 1)),
            linear(f"{what}, nats", bottom, top),
            tuple(marks),
        ),
        Table(
            ("rows", "share", what, "low", "high"),
            tuple(
                (count(s.rows_read), percent(s.fraction, 3), f"{s.loss:.6g}", f"{s.low:.6g}", f"{s.high:.6g}")
                for s in kept
            ),
        ),
    )


def narrowing(steps: Sequence[Step], *, wanted: float, name: str = "narrowing") -> Figure | None:
    """The half-width at every look, down to what was asked for; None if all rows were read at the first look."""
    points = tuple((float(s.rows_read), s.half_width) for s in steps if s.half_width > 0)
    if not points:
        return None
    half = next((rows for rows, width in points if width <= 2.0 * wanted), None)
    said = f"± {wanted:g} was asked for; {count(steps[-1].rows_read)} rows were read."
    if half is not None and half < steps[-1].rows_read:
        said += f" Twice that width was reached after {count(int(half))}."
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    marks: tuple[Mark, ...] = (
        Line(points, "half-width of the interval", "blue"),
        Rule(wanted, f"asked for, {wanted:g}", "vermillion"),
    )
    widths = [width for _, width in points]
    return Figure(
        name,
        "How the interval narrowed",
        said,
        said,
        Plot(
            logarithmic("rows read", first, last),
            logarithmic("half-width, nats", 0.7 * min(*widths, wanted), 1.2 * max(widths)),
            marks,
            height=260,
        ),
        Table(
            ("rows", "half-width"), tuple((count(s.rows_read), f"{s.half_width:.4g}") for s in _some(steps))
        ),
    )


def _some(steps: Sequence[Step]) -> list[Step]:
    """At most forty of the looks, the last one among them."""
    every = max(1, -(-len(steps) // 40))
    return [step for k, step in enumerate(reversed(steps)) if k % every == 0][::-1]
