"""The rows with the largest losses, as images. Knows grey and coloured images of bytes, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.figures.plot import Figure, Gallery, Image, Table
from streameval.reports.numbers import count, nats
from streameval.reports.pictures import classes
from streameval.reports.png import encode

if TYPE_CHECKING:
    from streameval.evaluation.report import Report


def worst(report: Report) -> Figure | None:
    """The worst rows; None if there are none, or if they are no small images of bytes."""
    from streameval.evaluation.worst import worst_rows

    found = worst_rows(report)
    images = tuple(
        Image(
            encode(one.image),
            ", ".join(filter(None, (f"Row {one.row}", classes(one), f"loss {one.loss:.2f} nats"))),
            "\n".join(filter(None, (f"row {count(one.row)}", classes(one), f"{nats(one.loss, 2)} nats"))),
        )
        for one in found
        if one.image is not None
    )
    if not images:
        return None
    most, least = nats(found[0].loss, 2), nats(found[-1].loss, 2)
    said = f"The {len(found)} rows with the largest losses: {most} down to {least} nats."
    if report.correct is None:
        table = Table(("row", "loss"), tuple((count(one.row), nats(one.loss)) for one in found))
    else:
        rows = tuple(
            (count(one.row), _class(one.label), _class(one.predicted), nats(one.loss)) for one in found
        )
        table = Table(("row", "class", "predicted", "loss"), rows)
    return Figure("worst", "The worst rows", said, said, Gallery(images), table)


def _class(number: int | None) -> str:
    return "–" if number is None else str(number)
