"""Validity bitmaps of Arrow columns: whether anything is null, and in which row.

Knows bits. Does not know files or compression.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

BITMAP_BYTES = 1 << 18
"""Bitmaps are read in parts of this size, and looked at in such."""


def nulls(bitmap: Iterable[bytes], count: int) -> tuple[int, int]:
    """Return how many of `count` values are null, and the first of them (-1 when there is none).

    bitmap  in parts of whole bytes: one bit a value, least significant first, 0 for null
    """
    missing, first, seen = 0, -1, 0
    for whole in bitmap:
        for start in range(0, len(whole), BITMAP_BYTES):
            part = np.frombuffer(whole, np.uint8)[start : start + BITMAP_BYTES]
            bits = np.unpackbits(part, bitorder="little", count=min(8 * len(part), count - seen))
            zeros = len(bits) - int(np.count_nonzero(bits))
            if zeros and first < 0:
                first = seen + int(np.argmin(bits))
            missing += zeros
            seen += len(bits)
    return missing, first
