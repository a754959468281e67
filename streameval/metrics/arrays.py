"""What any library calls an array, as NumPy's, checked: logits, labels, row numbers. Imports none of the libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import array_or, is_masked
from streameval.errors import DataError, LabelError, UsageError

SHOWN = 8  # numbers of a row that a message shows


def as_array(name: str, given: Any) -> NDArray[Any]:
    """The numbers of an array, list or tensor, on whatever device, with or without gradients. Half precision that
    NumPy lacks becomes float32, which holds each of its numbers.

    Raises DataError for what has no numbers, or has none yet, as inside `jit`.
    """
    if is_masked(given):
        raise DataError(f"{name}: some values are masked. Leave those rows out first.")
    cure = "Give numbers that are there: outside of jit and tf.function, rows of one length."
    array = array_or(DataError, f"{name}:", given, cure)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: {array.dtype} of shape {array.shape}, expected numbers.")
    return array


def outputs_of(name: str, given: Any) -> NDArray[Any]:
    """Logits or probabilities (n, classes), classes at least 2. Raises UsageError for another shape."""
    array = as_array(name, given)
    if array.ndim == 2 and array.shape[1] >= 2:
        return array
    cure = "Give one row of numbers for each target."
    if array.ndim == 1:
        cure = f"Give {name}[None] for one row."
    elif array.ndim > 2:
        cure = (
            f"Give {name}.reshape(-1, classes) where classes are the last axis; where they are the second, as "
            "PyTorch has images and sequences, move them to the end first: movedim(1, -1)."
        )
    elif array.ndim == 2:
        cure = "Of one number a row, the logit of class 1 of two, give both: stack([zeros, z], 1)."
    raise UsageError(f"{name}: shape {array.shape}, expected (n, classes), two classes at least. {cure}")


def finite_rows(name: str, values: NDArray[np.float64]) -> None:
    """Raise DataError for logits (n, classes) of which softmax has no value: NaN, inf, or -inf in all of a row.

    A logit of -inf is a class that cannot be.
    """
    top = values.max(axis=1)
    bad = ~np.isfinite(top)  # NaN is the largest of a row that has one
    if bad.any():
        raise DataError(_said(name, values, bad, "expected finite numbers (-inf for a class that cannot be)"))


def one_each(name: str, values: NDArray[Any], rows: int, of: str) -> None:
    """Raise UsageError unless there is one value, or one row, for each of `rows` rows of what is called `of`."""
    if values.ndim == 0 or len(values) != rows:
        raise UsageError(
            f"{name}: shape {values.shape} for {rows} rows of {of}. Expected one for each: ({rows},)."
        )


def targets_of(given: Any, rows: int, classes: int, ignored: int | None) -> NDArray[Any]:
    """Labels (n,) int64, or one-hot or soft rows (n, classes) float64.

    ignored  a label that is no class and stands for rows that do not count; None for none

    Raises UsageError for another shape or dtype, LabelError for a label outside the classes, DataError for weights.
    """
    array = as_array("target", given)
    if array.shape == (rows, classes) and not (rows == classes == 1):
        soft = np.ascontiguousarray(array, np.float64)
        bad = np.asarray(~(np.isfinite(soft) & (soft >= 0.0)).all(axis=1))
        if bad.any():
            raise DataError(_said("target", soft, bad, "expected finite numbers, none of them negative"))
        return soft
    if array.shape != (rows,) or array.dtype.kind not in "iub":
        cure = ""
        if array.shape == (rows,):
            cure = " Cast labels: target.long(), or target.astype(np.int64)."
        elif array.size == rows:
            cure = " Give target.reshape(-1)."
        raise UsageError(
            f"target: {array.dtype} of shape {array.shape}, expected integers ({rows},), or numbers "
            f"({rows}, {classes}).{cure}"
        )
    outside = (array < 0) | (array >= classes)
    if ignored is not None:
        outside &= array != ignored
    if outside.any():
        row = int(np.argmax(outside))
        label = int(array[row])
        cure = "Correct the labels, or use a model with as many classes."
        if ignored is None and label < 0:
            cure = f"If it stands for rows that do not count: ignore_index={label}."
        raise LabelError(
            f"target, row {row} of the batch: label {label} ({int(outside.sum())} such rows), expected classes 0 to "
            f"{classes - 1}. {cure}"
        )
    return array.astype(np.int64)


def numbers_of(given: Any, rows: int) -> NDArray[np.int64] | None:
    """Row numbers (n,), from 0 on; None where none are given. Raises UsageError, DataError."""
    if given is None:
        return None
    array = as_array("rows", given)
    one_each("rows", array, rows, "this batch")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"rows: {array.dtype} of shape {array.shape}, expected integers ({rows},).")
    if array.size and (int(array.min()) < 0 or int(array.max()) >= 1 << 62):
        raise DataError(
            f"rows: from {array.min()} to {array.max()}, expected numbers of rows in the data set, from 0."
        )
    return array.astype(np.int64)


def _said(name: str, values: NDArray[Any], bad: NDArray[np.bool_], expected: str) -> str:
    row = int(np.argmax(bad))
    shown = ", ".join(f"{one:.6g}" for one in values[row][:SHOWN].tolist())
    more = ", ..." if values.shape[1] > SHOWN else ""
    return f"{name}, row {row} of the batch: [{shown}{more}] ({int(bad.sum())} such rows), {expected}."
