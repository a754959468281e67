"""Targets that are numbers: that they fit a model's outputs and a loss, and that such losses can be added up exactly.

Knows what losses say of their targets. Does not know who computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, LabelError, ModelError
from streameval.losses.loss import Loss
from streameval.storage.source import Chunk, Source

# From here on a loss does not fit into the exact sums: see `kernels.folding`.
TOO_LARGE = float(1 << 22)


def check_numbers(title: str, outputs: int, source: Source, loss: Loss) -> None:
    """Raise ModelError unless targets have a number for each output, UsageError for a loss of other outputs."""
    width = (source.classes or 1) if source.soft else 1
    if width != outputs:
        raise ModelError(
            f"{title} has {outputs} outputs, but the targets of {source.name} have {width} number"
            f"{'s' * (width > 1)} a row, and loss {loss.name} compares them one by one. Choose the model that belongs "
            "to this data, or, for classes, loss cross-entropy."
        )
    check = getattr(loss, "check_outputs", None)
    if check is not None:
        check(outputs)


def number_targets(name: str, chunk: Chunk, loss: Loss) -> NDArray[np.float64]:
    """The targets (n, outputs) float64. Raises LabelError for the first row outside of what the loss takes."""
    t = np.ascontiguousarray(chunk.t, np.float64).reshape(len(chunk), -1)
    ends: tuple[float, float] | None = getattr(loss, "targets", None)
    if ends is not None:
        wrong = ((t < ends[0]) | (t > ends[1])).any(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise LabelError(
                f"{name}, row {int(np.asarray(chunk.rows)[i])}: target {str(t[i].tolist())[:200]} ({int(wrong.sum())} "
                f"such rows), expected numbers from {ends[0]:g} to {ends[1]:g} for loss {loss.name}. Correct the "
                "targets, or use another loss."
            )
    return t


def check_sizes(name: str, chunk: Chunk, losses: NDArray[np.float64], loss: Loss) -> None:
    """Raise DataError for a loss that is a number, and too large for the exact sums: left out, it would be missing."""
    wrong = np.isfinite(losses) & (losses >= TOO_LARGE)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(
            f"{name}, row {int(np.asarray(chunk.rows)[i])}: its {loss.name} loss is {losses[i]:.6g} "
            f"({int(wrong.sum())} such rows), and exact sums hold losses below {TOO_LARGE:.0f}. Measure outputs and "
            "targets in a larger unit, for instance thousands: divide both by it."
        )


def checked_outputs(model: Any, loss: Loss) -> None:
    """Raise ModelError for a network whose file ends in a softmax, which is no part of it here."""
    if getattr(model, "softmax", False):
        raise ModelError(
            f"{model.path or 'the model'} ends in a softmax, and loss {loss.name} would be taken of what comes before "
            "it. For classes, loss cross-entropy; for the model as it is, let its own runtime compute: --with "
            "onnxruntime."
        )
