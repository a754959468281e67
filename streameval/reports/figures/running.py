"""A running estimate with the interval that may be looked at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Band, Figure, Line, Mark, Plot, Rule, Table, linear, logarithmic
from streameval.reports.numbers import count, percent

if TYPE_CHECKING:
    from streameval.statistics.until import Step


def running(
    steps: Sequence[Step], *, what: str, level: float, wanted: float, name: str = "running"
) -> Figure:
    """Every look: the mean of the rows read, and where the mean of all rows lies.

    what: "loss", or what else is estimated · wanted: the half-width asked for, in nats
    """
    last = steps[-1]
    # The first looks know next to nothing: the picture is scaled to where the interval is ten times the aim.
    reach = max(6.0 * wanted, 4.0 * last.half_width, 1e-12)
    bottom, top = last.loss - reach, last.loss + reach
    marks: list[Mark] = [
        Band(
            tuple((s.rows_read, s.low, s.high) for s in steps),
            f"{percent(level, 0)} interval, valid at any time",
            "sky",
        ),
        Line(tuple((s.rows_read, s.loss) for s in steps), f"mean {what} of the rows read", "blue"),
        Rule(last.loss, f"where it stopped: {last.loss:.5g}", "ink"),
    ]
    said = (
        f"After {count(last.rows_read)} rows, {percent(last.fraction)} of all, the {what} is known to lie between "
        f"{last.low:.5g} and {last.high:.5g}."
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


def _some(steps: Sequence[Step]) -> list[Step]:
    """At most forty of the looks, the last one among them."""
    every = max(1, -(-len(steps) // 40))
    return [step for k, step in enumerate(reversed(steps)) if k % every == 0][::-1]
