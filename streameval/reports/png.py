"""Small images as PNG files, by zlib alone. Knows PNG; does not know what is on the image."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"


GREY, COLOUR = 0, 2


def encode(image: NDArray[np.uint8]) -> bytes:
    """Return (height, width) uint8, 0 black to 255 white, or (height, width, 3), as the bytes of a PNG file.

    Source: ISO/IEC 15948, Portable Network Graphics: chunks IHDR, IDAT, IEND; 8 bits, grey or colour, filter 0 in
    every line.
    """
    height, width = image.shape[:2]
    lines = np.zeros((height, image[0].size + 1), np.uint8)  # the first byte of a line names its filter: none
    lines[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">2I5B", width, height, 8, GREY if image.ndim == 2 else COLOUR, 0, 0, 0)
    return SIGNATURE + b"".join(
        (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)), _chunk(b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
