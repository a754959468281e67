"""From the values of a column to numbers, classes and names, or an error that says which row is none.

Knows what can stand for a number. Does not know files.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, LabelError
from streameval.outputs.table import Values

Floats = NDArray[np.float64]
# A number as text; Python's float would also take 1_5 for fifteen.
NUMBER: Final = re.compile(
    r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE
)
# Truth as text, in any case: CSV files have nothing else.
TRUTH: Final = {"true": 1.0, "false": 0.0}


def floats(where: str, values: Values, first: int) -> Floats:
    """Numbers (n,) float64, NaN for what is missing; true is 1.

    where  file and column, for messages · first: number of the first row

    Raises DataError, naming the row, for what is no number.
    """
    if isinstance(values, np.ndarray):
        if values.ndim == 1 and values.dtype.kind in "biuf":
            return np.asarray(values, np.float64)
        raise DataError(
            f"{where}, row {first}: {_shape(values)}, expected one number a row. Lists of logits or probabilities: "
            "logits= (--logits), probabilities= (--probabilities)."
        )
    out = np.empty(len(values))
    for k, value in enumerate(values):
        number = _number(value)
        if number is None:
            raise DataError(
                f"{where}, row {first + k}: {_short(value)}, expected a number. Name another column, or correct the "
                "file."
            )
        out[k] = number
    return out


def matrix(where: str, values: Values, first: int) -> Floats:
    """Rows of numbers (n, classes) float64; NaN for all of a row that is missing. Single numbers give (n, 1).

    Raises DataError, naming the row, for lists of different lengths and for what is no number.
    """
    if isinstance(values, np.ndarray):
        if values.ndim in (1, 2) and values.dtype.kind in "biuf":
            return np.asarray(values, np.float64).reshape(len(values), -1)
        raise DataError(f"{where}, row {first}: {_shape(values)}, expected a list of numbers for each row.")
    there = [row for row in values if row is not None]
    if there and not any(isinstance(row, list) for row in there):
        return floats(where, values, first)[:, None]
    width = max((len(row) for row in there if isinstance(row, list)), default=1)
    out = np.full((len(values), width), np.nan)
    for k, row in enumerate(values):
        if row is None:
            continue
        numbers = [_number(value) for value in row] if isinstance(row, list) else [None]
        if len(numbers) != width or None in numbers:
            raise DataError(
                f"{where}, row {first + k}: {_short(row)}, expected a list of {width} numbers as in other rows. "
                "Correct the file."
            )
        out[k] = numbers
    return out


def classes(
    where: str, values: Values, first: int, count: int, ignored: int | None = None
) -> NDArray[np.int64]:
    """True classes (n,) int64 in [0, count), or the one that is ignored.

    Raises LabelError, naming the row, for anything else.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biu":
        numbers: NDArray[np.float64] = values.astype(np.float64)
    else:
        given = values.tolist() if isinstance(values, np.ndarray) else values
        found = (_number(one) for one in given)
        numbers = np.array([math.nan if one is None else one for one in found], np.float64)
    bad = ~((numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers)))
    if ignored is not None:
        bad &= numbers != ignored
    if bad.any():
        k = int(np.argmax(bad))
        raise LabelError(
            f"{where}, row {first + k}: label {_short(values[k])}, expected the number of a class, 0 to {count - 1}. "
            f"{_label_cure(values[k], numbers[k], count)}"
        )
    return numbers.astype(np.int64)


def _label_cure(label: Any, number: float, count: int) -> str:
    cure = "Name the column of class numbers: label= (--label-column)."
    if isinstance(label, str) and math.isnan(number):
        return f"{cure} Where there is none, write numbers in place of names, in the order of the outputs."
    return f"{cure} If labels count from 1, subtract 1 from each." if number == count else cure


def texts(values: Values) -> list[str | None]:
    """What names rows or groups, as text: whole numbers without a point, None for what is missing."""
    given = values.tolist() if isinstance(values, np.ndarray) else values
    return [_text(value) for value in given]


def codes(
    where: str, values: Values, usable: NDArray[np.bool_], first: int, known: dict[str, int]
) -> NDArray[np.int64]:
    """The codes of the groups of the usable rows; names that are not `known` get the next ones. DataError for a row
    without a group."""
    found = []
    for k, name in enumerate(texts(values)):
        if not usable[k]:
            continue
        if name is None:
            raise DataError(
                f"{where}, row {first + k}: no group, expected one in each row. Name another column."
            )
        found.append(known.setdefault(name, len(known)))
    return np.array(found, np.int64)


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _number(value: Any) -> float | None:
    """The value as a float, 1 for true, NaN for what is missing, None for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    text = value.strip(" \t\r\n") if isinstance(value, str) else ""
    return float(text) if NUMBER.fullmatch(text) else TRUTH.get(text.lower())


def _short(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shape(values: NDArray[Any]) -> str:
    return f"{values.dtype} of shape {values.shape[1:]} in each row"
