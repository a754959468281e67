"""Checking targets: integer labels within the classes, one-hot and soft rows finite and not negative.

Knows targets as they are handed on: (n,) int64 or (n, classes) float64. Does not know where they come from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import LabelError, StreamevalWarning
from streameval.storage.source import Chunk, largest_label

Located = tuple[NDArray[np.int64] | range, NDArray[Any]]
"""Row numbers, and their targets."""

SUM_SLACK = 1e-3
"""Soft rows of float32, or of float16 once, sum to 1 within this."""

SHOWN = 200
"""Letters of a target that a message shows."""

ONE_OUTPUT = (
    "Where that is the logit of a label 0 or 1: --loss binary-cross-entropy (loss=streameval.BinaryCrossEntropy()); "
    "where it is a number to compare: --loss squared."
)
"""What to do where a model has one output."""


def all_right(t: NDArray[Any], classes: int | None) -> bool:
    """Say whether every target is usable: labels in [0, classes), soft rows finite and not negative."""
    return usable_weights(t) if t.ndim == 2 else usable_label(largest_label(t), classes)


def usable_label(largest: int, classes: int | None) -> bool:
    """Say whether all labels are in [0, classes), given the largest of them as unsigned numbers."""
    return largest < (classes or 1 << 63)


def usable_weights(t: NDArray[Any]) -> bool:
    """Say whether all numbers of one-hot and soft rows are finite and not negative."""
    return t.size == 0 or bool(t.min() >= 0 and t.max() < np.inf)  # NaN fails the first comparison


def warn_of_weights(name: str, t: NDArray[Any], rows: NDArray[np.int64] | range) -> bool:
    """Warn of the first soft row whose weights do not sum to 1, if there is one, and say whether."""
    sums = t.sum(axis=1)
    off = np.abs(sums - 1.0) > SUM_SLACK
    if not off.any():
        return False
    index = int(np.argmax(off))
    cure = "If that is not meant, divide each row by its sum."
    if np.isin(t[off], (0.0, 1.0)).all():
        cure = (
            "If a row may be of several classes, or of none, take another loss: --loss binary-cross-entropy "
            "(loss=streameval.BinaryCrossEntropy())."
        )
    warnings.warn(
        f"{name}, row {int(rows[index])}: its target's weights sum to {sums[index]:.6g}, not to 1. Its loss is "
        f"-sum_k t_k log(y_k + eps) with the weights as they are: it counts that much more or less. {cure}",
        StreamevalWarning,
        stacklevel=2,
    )
    return True


def check_chunk(name: str, classes: int, chunk: Chunk) -> None:
    """Raise LabelError if a label is not in [0, classes): the first row, and how many of the chunk."""
    if not usable_label(chunk.largest_label, classes):
        located = [(np.asarray(chunk.rows), chunk.t)]
        raise refuse(name, classes, located, looked_at=len(chunk.rows))


def refuse(
    name: str,
    classes: int | None,
    located: Iterable[Located],
    *,
    first_label: int = 0,
    looked_at: int | None = None,
) -> LabelError:
    """Return the error that names the first bad row and says how many there are in `located`.

    first_label  was subtracted from the labels, which are told as they were
    looked_at    rows in `located`, where these are not all
    """
    count, first, target, from_one = 0, -1, "", True
    for rows, t in located:
        bad = _bad(t, classes)
        if count == 0 and bad.any():
            index = int(np.argmax(bad))
            found = t[index].tolist()
            first, target = int(rows[index]), str(found if t.ndim == 2 else found + first_label)[:SHOWN]
        count += int(np.count_nonzero(bad))
        from_one = from_one and bool((t >= 1).all())
    such = f"{count} such rows" + (f" among the {looked_at} looked at" if looked_at else "")
    if target.startswith("["):
        return LabelError(
            f"{name}, row {first}: target {target} ({such}), expected finite numbers, none of them negative. Correct "
            "the targets."
        )
    expected = f"labels counted from {first_label}"
    if classes is not None:
        expected = f"{classes} classes ({first_label}..{first_label + classes - 1})"
    cure = "Correct the labels, or use a model with as many classes."
    if first_label:
        cure = f"If they do not count from {first_label}, give another first_label (--first-label), or leave it out."
    elif target == str(classes) and from_one:
        cure = "If the labels count from 1: t - 1 of arrays, streameval convert --first-label 1 of files."
    if classes == 1:
        cure = f"One output has no classes to choose from. {ONE_OUTPUT}"
    return LabelError(f"{name}, row {first}: label {target} ({such}), expected {expected}. {cure}")


def _bad(t: NDArray[Any], classes: int | None) -> NDArray[np.bool_]:
    if t.ndim == 2:
        right: NDArray[np.bool_] = (np.isfinite(t) & (t >= 0)).all(axis=1)
    else:
        # Labels may be uint64 here, whose largest are no int64.
        right = (t >= 0) & (t < (classes or 1 << 63))
    return ~right
