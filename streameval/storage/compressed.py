"""Undoing the compression of Arrow buffers, one buffer at a time, to a size that is known beforehand.

Knows the codecs. Does not know rows. The only code of this room's reading half that needs pyarrow.
"""

from __future__ import annotations

import struct

from streameval.storage.flatbuffer import MalformedError

PREFIX = 8
STORED = -1


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
