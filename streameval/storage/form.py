"""The form of a data set that is being written.

Knows shapes and dtypes. Does not know formats.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from streameval.frozen import frozen
from streameval.storage.record import Record


@frozen
class Form:
    """Rows of `shape` and `dtype`; targets of `label_dtype`: `width` numbers in a row, or one (None)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    label_dtype: np.dtype[Any]
    width: int | None
    record: Record

    @property
    def features(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row with its target."""
        return self.features * self.dtype.itemsize + (self.width or 1) * self.label_dtype.itemsize
