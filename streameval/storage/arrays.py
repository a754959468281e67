"""Arrays in memory as a data set.

Knows NumPy arrays. Does not know files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import is_masked
from streameval.errors import DataError
from streameval.storage.access import OwnAccess, Views
from streameval.storage.layout import Layout, check_shape, one_batch

NAME = "<arrays>"


def rows(x: NDArray[Any], t: NDArray[Any]) -> OwnAccess:
    """Return the rows of `x` with their targets; C-contiguous arrays are not copied.

    x  (n, ...) uint8 or float32, two or more dimensions
    t  (n,) integers, or (n, classes) numbers: one-hot or soft rows

    Raises:
        DataError: another dtype or shape, counts that differ, masked values, or bytes in another order.
    """
    check_plain("x", x)
    check_plain("t", t)
    if x.ndim < 2 or x.dtype not in (np.dtype(np.uint8), np.dtype(np.float32)):
        cure = "x.reshape(1, -1) for one row" if x.ndim < 2 else "x.astype(np.float32)"
        raise DataError(
            f"{NAME}: x is {x.dtype} of shape {x.shape}, expected uint8 or float32 of two or more "
            f"dimensions. Give {cure}."
        )
    soft = t.ndim == 2
    if not 1 <= t.ndim <= 2 or t.dtype.kind not in ("iufb" if soft else "iu"):
        raise DataError(
            f"{NAME}: t is {t.dtype} of shape {t.shape}, expected integers (n,), or numbers (n, classes). "
            "Give t.astype(np.int64)."
        )
    if soft and t.shape[1] < 2:
        raise DataError(f"{NAME}: t has shape {t.shape}, expected (n,), or (n, classes). Give t.ravel().")
    if len(x) != len(t):
        raise DataError(f"{NAME}: x has {len(x)} rows and t has {len(t)}, the same number was expected.")
    check_shape(NAME, x.shape[1:])
    starts, value_at, label_at = one_batch(len(x), 0, 0)
    layout = Layout(
        name=NAME,
        path=None,
        shape=x.shape[1:],
        dtype=x.dtype,
        classes=t.shape[1] if soft else None,
        scale=None,
        soft=soft,
        label_dtype=t.dtype,
        width=t.shape[1] if soft else 1,
        starts=starts,
        value_at=value_at,
        label_at=label_at,
    )
    values, labels = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(t).reshape(-1)
    return OwnAccess(layout, Views(layout, values, labels))


def check_plain(name: str, array: NDArray[Any]) -> None:
    """Raise DataError if values are masked, or their bytes are not in this machine's order."""
    if is_masked(array):
        raise DataError(
            f"{NAME}: values of {name} are masked, and would be read as if they were not. Leave those rows out, or "
            f"give {name}.filled(...)."
        )
    if not array.dtype.isnative:
        raise DataError(
            f"{NAME}: {name} is {array.dtype.str}, expected numbers in this machine's byte order. Give "
            f"{name}.astype({name}.dtype.newbyteorder('='))."
        )
