"""From the values of a column to an array of numbers, or an error that says which row holds none.

Knows what pyarrow, NumPy and JSON have for numbers. Does not know files, nor what a column means.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError

MISSING: Final = "Fill it, or leave the row out."
# Letters of a value that a message shows.
SHOWN: Final = 60
# Numbers in a row: beyond it lie no data sets, but lengths that lie.
MOST_NUMBERS: Final = 1 << 28


def numbers(where: str, values: Any, first: int) -> NDArray[Any]:
    """The values of some rows as an array (n, ...) of integers, floats or truth values, as wide as they were.

    where   file and column, for messages · first: number of the first row

    Raises DataError, naming the row, for what is missing or no number, and for lists of unlike lengths. NaN stays.
    """
    if isinstance(values, np.ndarray):
        return _plain(where, values, first)
    if isinstance(values, list):
        return _of_list(where, values, first)
    return _of_arrow(where, values, first, 1)


def named(where: str, values: Any, first: int) -> NDArray[Any]:
    """The values of some rows as numbers or text (n,), such as the names of groups. DataError for missing ones, and for
    lists."""
    if not isinstance(values, list | np.ndarray):
        values = values.dictionary_decode() if hasattr(values, "dictionary_decode") else values
        values = values.to_pylist()
    for row, value in enumerate(values):
        if value is None or isinstance(value, list | dict | bytes):
            raise error(where, first + row, short(value), "a number or text", MISSING)
    array = np.asarray(values)
    return (
        array if array.dtype.kind in "biufU" and array.ndim == 1 else np.array([str(one) for one in values])
    )


def error(where: str, row: int, found: str, expected: str, cure: str) -> DataError:
    """What is wrong with one row of a column."""
    return DataError(f"{where}, row {row}: {found}, expected {expected}. {cure}")


def short(value: Any) -> str:
    """A value for a message."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _plain(where: str, values: NDArray[Any], first: int) -> NDArray[Any]:
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise error(
            where, first, f"values of type {values.dtype}", "numbers", "Name another column, or cast it."
        )
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _of_list(where: str, values: list[Any], first: int) -> NDArray[Any]:
    """JSON's numbers: integers where all of them are."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = np.empty(0, object)
    if array.dtype.kind == "f" and array.size and np.abs(array).max() >= 2.0**63 and _whole(values):
        # NumPy takes integers that need a sign, or may have one, beside those that have no room for it as fractions.
        array = np.asarray(values, np.uint64) if array.min() >= 0 else np.empty(0, object)
    if array.dtype.kind in "biuf" and len(array) == len(values):
        return array
    expected = None
    for row, value in enumerate(values):
        found = _shape(where, value, first + row)
        if expected is None:
            expected = found
        elif found != expected:
            raise error(
                where, first + row, _sides(found), f"{_sides(expected)} as in row {first}", "Correct the row."
            )
    raise error(where, first, short(values[0]), "numbers of at most 64 bits", "Correct the column.")


def _whole(value: Any) -> bool:
    """Whether all numbers of nested lists are integers."""
    return all(map(_whole, value)) if isinstance(value, list) else isinstance(value, int)


def _shape(where: str, value: Any, row: int) -> tuple[int, ...]:
    """The shape of a row of nested lists, all of whose entries are numbers."""
    if value is None:
        raise error(where, row, "no value", "a number", MISSING)
    if isinstance(value, list):
        inner = {_shape(where, one, row) for one in value}
        if len(inner) > 1:
            raise error(where, row, "lists of unlike lengths", "lists of one length", "Correct the row.")
        return (len(value), *next(iter(inner), ()))
    if isinstance(value, bool | int | float):
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise error(where, row, short(value), "a number of at most 64 bits", "Correct the row.")
        return ()
    raise error(where, row, short(value), "a number", "Name another column, or correct the row.")


def _sides(shape: tuple[int, ...]) -> str:
    return f"a list of {' x '.join(map(str, shape))} numbers" if shape else "one number"


def _of_arrow(where: str, array: Any, first: int, per_row: int) -> NDArray[Any]:
    """Numbers of a pyarrow array whose rows are `per_row` entries each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, shape = array.type, None
    if isinstance(kind, pa.BaseExtensionType):
        shape = tensor_shape(where, kind)
        array, kind = array.storage, array.storage.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if array.null_count:
        entry = int(np.argmax(np.asarray(array.is_null())))
        raise error(where, first + entry // per_row, "no value (null)", "a number", MISSING)
    if pa.types.is_decimal(kind):
        array, kind = pc.cast(array, pa.float64()), pa.float64()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if is_list(kind):
        return _lists(where, array, first, per_row, shape)
    found = short(array[0].as_py()) if len(array) else "a column"
    raise error(
        where, first, f"{found} of type {kind}", "numbers", "Name another column, or make numbers of it."
    )


def _lists(where: str, array: Any, first: int, per_row: int, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Lists of one length as one more dimension, or as those of a tensor."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(array) == 0:
        return np.empty((0, *(shape or (0,))))
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
    else:
        lengths = np.asarray(pc.list_value_length(array))
        width = int(lengths[0])
        if not (lengths == width).all():
            entry = int(np.argmax(lengths != width))
            raise error(
                where, first + entry // per_row, f"a list of {lengths[entry]} numbers",
                f"{width} as in the rows before", "Correct the row, or pad it.",
            )  # fmt: skip
    if not 0 < per_row * width <= MOST_NUMBERS:
        raise error(
            where, first, f"lists of {width} numbers", f"1 to {MOST_NUMBERS} a row", "Name another column."
        )
    inner = _of_arrow(where, array.flatten(), first, per_row * width)
    return inner.reshape(len(array), *(shape or (width, *inner.shape[1:])))


def tensor_shape(where: str, kind: Any) -> tuple[int, ...] | None:
    """The shape of a row of `arrow.fixed_shape_tensor`, None of another extension. DataError if it is transposed."""
    if kind.extension_name != "arrow.fixed_shape_tensor":
        return None
    order = list(kind.permutation or range(len(kind.shape)))
    if order != sorted(order):
        raise DataError(
            f"{where}: a tensor whose dimensions are permuted {order}, expected row-major order. Write it again from a "
            "contiguous array."
        )
    return tuple(kind.shape)


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is one of lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
