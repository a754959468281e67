"""Small grey images as PNG files, by zlib alone, and words in PNG files. Knows PNG; not what is on the image."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def grey(image: NDArray[np.uint8]) -> bytes:
    """Return (height, width) uint8, 0 black to 255 white, as the bytes of a PNG file.

    Source: ISO/IEC 15948, Portable Network Graphics: chunks IHDR, IDAT, IEND; 8 bit grey, filter 0 in every line.
    """
    height, width = image.shape
    lines = np.zeros((height, width + 1), np.uint8)  # the first byte of a line names its filter: none
    lines[:, 1:] = image
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return SIGNATURE + b"".join(
        (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)), _chunk(b"IEND", b""))
    )


def described(png: bytes, words: str) -> bytes:
    """Return a PNG file with a description in it: a chunk iTXt (UTF-8, not compressed) behind the header's."""
    words_chunk = _chunk(b"iTXt", b"Description" + bytes(5) + words.encode(errors="backslashreplace"))
    return png[:33] + words_chunk + png[33:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
