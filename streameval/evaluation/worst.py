"""The rows with the largest losses once more: their images, and what the model took them for.

Knows how a finished pass names them. Reads them again, and has them scored again: a pass keeps neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import StreamevalError
from streameval.evaluation.names import DataName, ModelName
from streameval.evaluation.report import Report
from streameval.frozen import frozen
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget

if TYPE_CHECKING:
    from streameval.storage.source import Source

LARGEST_SIDE = 256
Pixels = NDArray[np.uint8]


@frozen(eq=False)
class WorstRow:
    """A row with a large loss.

    row, loss   its number, and what it cost
    label       its class; None where rows have none
    predicted   the class that the model gave; None where the model is not here, or gives none
    image       (height, width) grey or (height, width, 3), uint8; None where rows are no small images of bytes
    """

    row: int
    loss: float
    label: int | None
    predicted: int | None
    image: Pixels | None


def worst_rows(report: Report) -> tuple[WorstRow, ...]:
    """The rows of `report.state.sums.worst`, the largest loss first; none where their data are not here any more."""
    source, losses = report.data, report.state.sums.worst
    if isinstance(source, DataName) or not losses or not hasattr(source, "take"):
        return ()
    try:
        chunk = source.take(np.array([row for _, row in losses], np.int64))
        labels, predicted = _classes(report, source, chunk)
        images = _images(chunk.x, source, report.model)
    except StreamevalError:  # the file is gone, or another one: the report stands without it
        return ()
    found = zip(losses, labels, predicted, images, strict=True)
    return tuple(WorstRow(row, loss, label, guess, image) for (loss, row), label, guess, image in found)


def _classes(report: Report, source: Source, chunk: Any) -> tuple[list[int | None], list[int | None]]:
    """True and predicted class of each row of the chunk."""
    nothing: list[int | None] = [None] * len(chunk)
    if report.correct is None:
        return nothing, nothing
    labels = np.argmax(chunk.t, axis=1) if chunk.t.ndim == 2 else chunk.t
    if isinstance(report.model, ModelName):
        return labels.tolist(), nothing
    scores = make_scorer(report.model, source, report.loss_function, Budget(threads=1)).score(chunk)
    return labels.tolist(), nothing if scores.predicted is None else scores.predicted.tolist()


def _images(x: NDArray[Any], source: Source, model: Any) -> list[Pixels | None]:
    """Each row as an image, where rows are uint8 and their shape, or the model's, is that of one."""
    shape = source.shape if len(source.shape) > 1 else getattr(model, "shape", source.shape)
    sides = tuple(shape)
    if len(sides) == 3 and 1 in (sides[0], sides[2]):
        sides = sides[1:] if sides[0] == 1 else sides[:2]
    colour = len(sides) == 3 and 3 in (sides[0], sides[2])
    fits = len(sides) == 2 or colour
    if source.dtype != np.uint8 or not fits or max(sides) > LARGEST_SIDE or np.prod(sides) != source.features:
        return [None] * len(x)
    pixels = x.reshape(-1, *sides)
    return list(pixels.transpose(0, 2, 3, 1) if colour and sides[2] != 3 else pixels)
