"""From parts of a table to features and targets as plain arrays.

Knows which column means what, and what a feature and a target can be. Does not know formats, nor how rows are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, LabelError
from streameval.frozen import frozen
from streameval.tables import images
from streameval.tables.columns import Roles
from streameval.tables.table import Part, Table
from streameval.tables.values import numbers, short

# Images that are decoded at once.
MOST_BYTES = 64 << 20


@frozen(eq=False)
class Rows:
    """Consecutive rows as arrays.

    x     (n, ...) integers, floats or truth values, as they were; no NaN is looked for
    t     (n,) int64 labels, none of them negative, or (n, weights) float64
    part  where they are from
    """

    x: NDArray[Any]
    t: NDArray[Any]
    part: Part


def decoded(table: Table, roles: Roles) -> Iterator[Rows]:
    """Yield all rows of a table, some at a time, every row of one shape.

    Raises:
        DataError: a missing value, one that is no number, an image that cannot be read, a row of another shape than the
            first; LabelError: a label that is no class. The file, the column and the row are named.
    """
    shape: tuple[int, ...] | None = None
    width: tuple[int, ...] | None = None
    known: list[tuple[int, ...]] = []
    for part in _cut(table, roles, known):
        x = _features(table, roles, part, shape)
        t = _targets(roles, part)
        if len(x) == 0:
            continue
        shape, width = shape or x.shape[1:], width or t.shape[1:]
        known[:] = [shape]
        if x.shape[1:] != shape or t.shape[1:] != width:
            raise DataError(
                f"{part.file}, row {part.first}: a row of shape {x.shape[1:]} with a target of shape {t.shape[1:]}, "
                f"expected {shape} with {width} as in the rows before. Correct the file."
            )
        yield Rows(x, t, part)


def _cut(table: Table, roles: Roles, known: list[tuple[int, ...]]) -> Iterator[Part]:
    """Parts; of images as few rows as fit into memory when they are decoded, the first row alone to see.

    known  filled with the shape of a row, as soon as one was decoded
    """
    encoded = any(table.columns[name].what == "image" for name in roles.features)
    for part in table.read(roles.wanted):
        rows, at = len(next(iter(part.columns.values()))), 0
        while encoded and at < rows:
            count = max(1, MOST_BYTES // math.prod(known[0])) if known else 1
            yield part.slice(at, count)
            at += count
        if not encoded:
            yield part


def name_of(roles: Roles, shape: tuple[int, ...], entry: int) -> str:
    """What a message calls the number `entry` of a row: its column, and its place there."""
    if len(roles.features) == 1:
        return f"column {roles.features[0]!r}" + (f", number {entry}" if shape != (1,) else "")
    if len(roles.features) == int(np.prod(shape)):
        return f"column {roles.features[entry]!r}"
    return f"columns {roles.features[0]!r} to {roles.features[-1]!r}, number {entry}"


def _features(table: Table, roles: Roles, part: Part, shape: tuple[int, ...] | None) -> NDArray[Any]:
    arrays = []
    for name in roles.features:
        where, values = f"{part.file}, column {name!r}", part.columns[name]
        encoded = table.columns[name].what == "image"
        arrays.append(
            images.pixels(where, values, part.first, shape) if encoded else numbers(where, values, part.first)
        )
    if len(arrays) == 1:
        only = arrays[0]
        return only if only.ndim > 1 else only[:, None]
    rows = len(arrays[0])
    flat = [one.reshape(rows, -1) for one in arrays]
    kinds = {one.dtype.kind for one in flat}
    # Truth values and numbers with a fraction make all of a row numbers: none of it is a pixel then.
    dtype = np.result_type(*{one.dtype for one in flat})
    if kinds & set("bf") and dtype.kind != "f" and kinds != {"b"}:
        dtype = np.dtype(np.float64)
    out = np.empty((rows, sum(one.shape[1] for one in flat)), dtype)
    np.concatenate(flat, axis=1, out=out)
    return out


def _targets(roles: Roles, part: Part) -> NDArray[Any]:
    columns = [
        numbers(f"{part.file}, column {name!r}", part.columns[name], part.first) for name in roles.target
    ]
    if len(columns) == 1 and columns[0].ndim == 1:
        return _labels(f"{part.file}, column {roles.target[0]!r}", columns[0], part.first)
    rows = len(columns[0])
    weights = np.concatenate([one.reshape(rows, -1) for one in columns], axis=1).astype(np.float64)
    if weights.shape[1] == 1 and rows:
        return _labels(f"{part.file}, column {roles.target[0]!r}", columns[0].reshape(rows), part.first)
    bad = ~(np.isfinite(weights) & (weights >= 0)).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise LabelError(
            f"{part.file}, columns {', '.join(map(repr, roles.target[:4]))}, row {part.first + row}: target "
            f"{short(weights[row].tolist())}, expected finite numbers, none of them negative. Correct the targets."
        )
    return weights


def _labels(where: str, labels: NDArray[Any], first: int) -> NDArray[np.int64]:
    """Class numbers as int64."""
    if labels.dtype.kind == "f":
        # Text has no other numbers: a file of 3.0 is told as one of 3.5 is.
        row = int(np.argmax(labels != np.floor(labels)))
        raise LabelError(
            f"{where}, row {first + row}: label {float(labels[row])!r}, expected the number of a class, an integer "
            "from 0. Name another column, or write integers: of a frame, df[name].astype(int)."
        )
    bad = labels < 0 if labels.dtype.kind == "i" else labels > np.uint64(2**63 - 1)
    if labels.dtype.kind != "b" and bad.any():
        row, hidden = int(np.argmax(bad)), ""
        if labels[row] == -1:
            hidden = " -1 usually stands for a label that is not told: take a split whose labels are known."
        raise LabelError(
            f"{where}, row {first + row}: label {int(labels[row])}, expected the number of a class, counted from 0."
            f"{hidden or ' Correct the labels.'}"
        )
    return labels.astype(np.int64)
