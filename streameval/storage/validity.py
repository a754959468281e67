"""Validity bitmaps of Arrow columns: whether anything is null, and in which row.

Knows bits. Does not know files or compression.
"""

from __future__ import annotations

import numpy as np

STEP = 1 << 18


def nulls(bitmap: bytes, count: int) -> tuple[int, int]:
    """Return how many of `count` values are null, and the first of them (-1 when there is none).

    bitmap  one bit a value, least significant first, 0 for null; unpacked 256 KiB at a time
    """
    missing, first = 0, -1
    for start in range(0, -(-count // 8), STEP):
        part = np.frombuffer(bitmap, np.uint8)[start : start + STEP]
        bits = np.unpackbits(part, bitorder="little", count=min(8 * len(part), count - 8 * start))
        zeros = len(bits) - int(np.count_nonzero(bits))
        if zeros and first < 0:
            first = 8 * start + int(np.argmin(bits))
        missing += zeros
    return missing, first
