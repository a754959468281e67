"""From features of any type of numbers to uint8 or float32.

Knows the one rule: integers of which each lies in 0..255 are bytes, whatever their width, and are scaled by 1/255;
as soon as one has a fraction, all are numbers that are taken as they are. Does not know where they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError

# Integers up to here are rather levels or counts than pixels.
FEW_LEVELS: Final = 127

Locate = Callable[[int, int], str]
"""(row of the batch, number in the row) -> file, row and column for a message."""


class Narrowing:
    """What was seen of the features of a data set.

    whole    whether all are integers, up to now
    largest  of them
    level    the largest of floats, if all are whole numbers from 0 to 255
    """

    def __init__(self, scaled: bool) -> None:
        self.whole, self.largest = True, 0
        self.level: float | None = 0.0
        self._scaled = scaled
        self._beyond = ""

    def narrow(self, x: NDArray[Any], locate: Locate) -> NDArray[Any]:
        """The features (n, ...) of some rows as uint8 if they may be bytes, else as float32.

        Raises DataError for NaN, infinity, and what is infinite as a float32; the first one is named.
        """
        if x.dtype.kind not in "iu":
            self.whole = False
            if self.level is not None:
                found = whole_level(x)
                self.level = None if found is None else max(self.level, found)
            return _floats(x, locate)
        if x.size == 0:
            return x.astype(np.uint8)
        low, high = int(x.min()), int(x.max())
        self.largest = max(self.largest, high)
        if low >= 0 and high <= 255:
            return x.astype(np.uint8, copy=False)
        if not self._beyond:
            row, entry = first((x < 0) | (x > 255))
            self._beyond = f"{locate(row, entry)}: {int(x.reshape(len(x), -1)[row, entry])}"
        return x.astype(np.float32)

    def check(self) -> None:
        """Raise DataError where all features are integers, some beyond 0..255, and nobody said what they are."""
        if self.whole and self._beyond and not self._scaled:
            raise DataError(
                f"{self._beyond}, expected pixels from 0 to 255, which are scaled by 1/255, or numbers with a "
                "fraction. To take integers as numbers as they are, say so: scale=1 (--scale 1)."
            )


def whole_level(x: NDArray[Any]) -> float | None:
    """The largest of floats (n, ...) if all are whole numbers from 0 to 255, as pixels are; else None."""
    # Most others have a fraction in the first row.
    if x.size == 0 or (x[0] % 1).any():
        return None
    low, high = float(x.min()), float(x.max())
    return high if low >= 0.0 and high <= 255.0 and not (x % 1).any() else None


def not_scaled(level: float) -> str:
    """What to say of floats that are whole, up to `level`, and may be pixels; nothing if they are rather others."""
    if level <= FEW_LEVELS:
        return ""
    return (
        f"features are whole numbers up to {level:g}, but floats: taken as they are, not scaled by 1/255 as bytes are. "
        "For a model that was trained on 0 to 1: x / 255, or scale=1/255 (--scale 1/255); to say that they are "
        "meant so: scale=1 (--scale 1)"
    )


def _floats(x: NDArray[Any], locate: Locate) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32, copy=False)
    bad = ~np.isfinite(narrow)
    if bad.any():
        row, entry = first(bad)
        value = float(x.reshape(len(x), -1)[row, entry])
        raise DataError(
            f"{locate(row, entry)}: {value}, expected finite numbers within float32. Fill it, or leave the row out."
        )
    return narrow


def first(bad: NDArray[np.bool_]) -> tuple[int, int]:
    """The row of the first bad number (n, ...), and its place there."""
    flat = bad.reshape(len(bad), -1)
    row = int(np.argmax(flat.any(axis=1)))
    return row, int(np.argmax(flat[row]))
