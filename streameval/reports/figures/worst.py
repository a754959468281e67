"""The rows with the largest losses, as images. Knows rows of grey bytes in two dimensions, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streameval.evaluation.report import DataName
from streameval.reports.figures.plot import Figure, Gallery, Image, Table
from streameval.reports.numbers import count, nats
from streameval.reports.png import grey

if TYPE_CHECKING:
    from streameval.evaluation.report import Report

LARGEST_SIDE = 256


def worst(report: Report) -> Figure | None:
    """The worst rows; None if there are none, or if they are no small grey images of bytes."""
    source, losses = report.data, report.state.sums.worst
    if (
        isinstance(source, DataName)
        or not losses
        or len(source.shape) != 2
        or source.dtype != np.uint8
        or max(source.shape) > LARGEST_SIDE
    ):
        return None
    chunk = source.take(np.array([row for _, row in losses], np.int64))
    pixels = chunk.x.reshape(-1, *source.shape)
    labels = np.argmax(chunk.t, axis=1) if chunk.t.ndim == 2 else chunk.t
    images = tuple(
        Image(
            grey(image),
            f"Row {row}, class {label}, loss {loss:.2f} nats",
            f"row {count(row)}\nclass {label} · {nats(loss, 2)}",
        )
        for image, label, (loss, row) in zip(pixels, labels.tolist(), losses, strict=True)
    )
    most, least = nats(losses[0][0], 2), nats(losses[-1][0], 2)
    said = f"The {len(losses)} rows with the largest losses: {most} down to {least} nats."
    rows = tuple(
        (count(row), str(label), nats(loss))
        for label, (loss, row) in zip(labels.tolist(), losses, strict=True)
    )
    return Figure(
        "worst", "The worst rows", said, said, Gallery(images), Table(("row", "class", "loss"), rows)
    )
