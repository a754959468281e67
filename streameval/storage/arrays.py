"""Arrays in memory as a data set.

Knows NumPy arrays. Does not know files.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import array_or, is_masked, kind_of
from streameval.errors import DataError
from streameval.storage.access import OwnAccess, Views
from streameval.storage.layout import Layout, check_shape, one_batch
from streameval.storage.narrowing import first, not_scaled, whole_level

NAME = "<arrays>"
# Rows of floats that are looked at, whether they may be pixels.
LOOKED_AT: Final = 64
# Names of classes as their numbers, in the order of text.
CLASS_NUMBERS: Final = "np.unique(t, return_inverse=True)[1]"
NUMBERED: Final = f"Of the classes' names, give their numbers: {CLASS_NUMBERS}"


def as_array(name: str, values: Any) -> NDArray[Any]:
    """What offers itself as an array (a tensor, a frame, a series), as one.

    Raises:
        DataError: it cannot be one: a sparse tensor, columns of several kinds.
    """
    if isinstance(values, np.ndarray):
        return values
    cure = f"Give a NumPy array: of a sparse tensor, {name}.to_dense().cpu().numpy()."
    array = array_or(DataError, f"{NAME}: {name} is", values, cure)
    if array.dtype.kind not in "biufc":
        raise DataError(
            f"{NAME}: {name} is a {kind_of(values)} that becomes an array of {array.dtype}, expected numbers. "
            + (f"{NUMBERED}." if name == "t" else "Leave out the columns that hold none.")
        )
    return array


def rows(x: NDArray[Any], t: NDArray[Any], scaled: bool = False) -> OwnAccess:
    """Return the rows of `x` with their targets; C-contiguous uint8 and float32 are not copied.

    x  (n, ...) uint8 or float32, two or more dimensions; other integers that all lie in 0..255 are taken as uint8,
       and floats of another width as float32, as those of tables are
    scaled  a scale says what features are: other integers, some beyond 0..255, are taken as float32
    t  (n,) integers, or (n, classes) numbers: one-hot or soft rows; or numbers (n,) or (n, outputs) to be compared with
       a model's outputs

    Raises:
        DataError: another dtype or shape, counts that differ, masked values, numbers beyond float32, or bytes in
            another order.
    """
    check_plain("x", x)
    check_plain("t", t)
    if x.ndim < 2:
        raise _too_flat(x, t)
    x = _features(x, scaled)
    soft = t.ndim == 2 or t.dtype.kind == "f"
    if not 1 <= t.ndim <= 2 or t.dtype.kind not in ("iufb" if soft else "iu") or 0 in t.shape[1:]:
        raise DataError(
            f"{NAME}: t is {t.dtype} of shape {t.shape}, expected integers (n,), or numbers (n, classes). "
            f"{'Give t.astype(np.int64)' if t.dtype.kind in 'biufc' else NUMBERED}."
        )
    width = t.shape[1] if t.ndim == 2 else 1
    if len(x) != len(t):
        raise DataError(
            f"{NAME}: x has {len(x)} rows and t has {len(t)}, the same number was expected. {_other_way(x, t)}"
        )
    check_shape(NAME, x.shape[1:])
    starts, value_at, label_at = one_batch(len(x), 0, 0)
    layout = Layout(
        name=NAME,
        path=None,
        shape=x.shape[1:],
        dtype=x.dtype,
        classes=width if soft else None,
        scale=None,
        soft=soft,
        label_dtype=t.dtype,
        width=width,
        starts=starts,
        value_at=value_at,
        label_at=label_at,
    )
    values, labels = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(t).reshape(-1)
    return OwnAccess(layout, Views(layout, values, labels))


def hint(x: NDArray[Any]) -> str:
    """What to say of features (n, ...) that may be meant otherwise, by the first rows; nothing of most."""
    level = whole_level(x[:LOOKED_AT]) if x.dtype.kind == "f" else None
    return "" if level is None else not_scaled(level)


def cast_cure(dtype: np.dtype[Any], name: str) -> str:
    """What to write for features of another dtype: integers are pixels as uint8, but numbers as float32."""
    if dtype.kind in "iu":
        return (
            f"{name}.astype(np.uint8) for pixels from 0 to 255, which are scaled by 1/255 then, or "
            f"{name}.astype(np.float32) for numbers that are taken as they are"
        )
    return f"{name}.astype(np.float32)"


def _features(x: NDArray[Any], scaled: bool) -> NDArray[Any]:
    """The features as uint8 or float32. Integers of a wider type are bytes where each of them is one.

    Libraries of data sets give pixels as int64: as float32 they would skip the scale of 1/255, and the loss be wrong.
    """
    if x.dtype.kind in "iu":
        low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
        if low >= 0 and high <= 255:
            return x.astype(np.uint8, copy=False)
        if scaled:
            return x.astype(np.float32)
        raise DataError(
            f"{NAME}: x is {x.dtype} with numbers from {low} to {high}, expected pixels from 0 to 255, which are "
            "scaled by 1/255, or float32. Give x.astype(np.float32) for numbers that are taken as they are, or scale=, "
            "by which they are multiplied, such as scale=1."
        )
    if x.dtype.kind == "f":
        return _floats(x)
    raise DataError(
        f"{NAME}: x is {x.dtype} of shape {x.shape}, expected uint8 or float32 of two or more "
        f"dimensions. Give {cast_cure(x.dtype, 'x')}."
    )


def _floats(x: NDArray[Any]) -> NDArray[np.float32]:
    """The features as float32, rounded. NaN and infinity stay: whoever computes tells of them, or leaves them out."""
    try:
        with np.errstate(over="raise"):
            return x.astype(np.float32, copy=False)
    except FloatingPointError:
        with np.errstate(over="ignore"):
            row, entry = first(np.isfinite(x) & np.isinf(x.astype(np.float32)))
        raise DataError(
            f"{NAME}, row {row}: feature {entry} of x is {x[row].reshape(-1)[entry]}, expected numbers within float32. "
            "Scale the features, or leave the row out."
        ) from None


def _too_flat(x: NDArray[Any], t: NDArray[Any]) -> DataError:
    if t.ndim > 1 and len(x) == len(t):
        cure = f"t has the shape {t.shape}: is the order (x, t)?"
    else:
        cure = "Give x.reshape(1, -1) for one row, x.reshape(-1, 1) for rows of one feature."
    return DataError(f"{NAME}: x is {x.dtype} of shape {x.shape}, expected two or more dimensions. {cure}")


def _other_way(x: NDArray[Any], t: NDArray[Any]) -> str:
    """What to write where the numbers of rows differ."""
    for name, array, rows in (("x", x, len(t)), ("t", t, len(x))):
        if array.ndim == 2 and array.shape[1] == rows:
            return f"If the columns of {name} are the rows: {name}.T"
    return "Give one target for each row of x."


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
