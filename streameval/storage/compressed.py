"""Undoing the compression of Arrow buffers, one buffer at a time, to a size that is known beforehand.

Knows the codecs. Does not know rows. The only code of this room's reading half that needs pyarrow.
"""

from __future__ import annotations

import struct
import warnings

from streameval.errors import StreamevalWarning
from streameval.storage.flatbuffer import MalformedError

PREFIX = 8
STORED = -1


def warn(name: str, codec: str) -> None:
    """Say that a data set is read more slowly than it could be."""
    warnings.warn(
        f"{name}: compressed ({codec}), so it is decompressed batch by batch, not mapped. An uncompressed file is "
        "several times faster to read.",
        StreamevalWarning,
        stacklevel=5,
    )


def decompress(raw: bytes, size: int, codec: str) -> bytes:
    """Return the first `size` bytes that a compressed Arrow buffer holds.

    The buffer begins with its decompressed size, int64; -1 says that the rest is stored as it is. Nothing
    beyond that size is allocated, and it must not be more than 64 bytes (the padding) above `size`.

    Raises:
        MalformedError: the size is another one, or the codec refuses the bytes.
    """
    import pyarrow as pa

    if not size and not raw:
        return b""
    if len(raw) < PREFIX:
        raise MalformedError(f"a compressed buffer of {len(raw)} bytes, expected at least {PREFIX}")
    claimed = struct.unpack_from("<q", raw)[0]
    body = raw[PREFIX:]
    if claimed == STORED:
        claimed = len(body)
    elif size <= claimed <= size + 64:
        try:
            body = pa.decompress(body, decompressed_size=claimed, codec=codec, asbytes=True)
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise MalformedError(f"{codec} refused {len(raw)} bytes: {error}") from None
    if not size <= claimed <= size + 64 or len(body) < size:
        raise MalformedError(f"a compressed buffer holds {claimed} bytes, expected {size}")
    return body[:size]
