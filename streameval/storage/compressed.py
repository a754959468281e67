"""Undoing the compression of Arrow buffers, one buffer at a time, to a size that is known beforehand.

Knows the codecs. Does not know headers. The only code of this room's reading half that needs pyarrow.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from streameval.errors import DataError, StreamevalWarning
from streameval.frozen import frozen
from streameval.storage.access import OwnAccess
from streameval.storage.batches import Batch, Batches
from streameval.storage.flatbuffer import MalformedError
from streameval.storage.layout import Layout
from streameval.storage.mapping import File

PREFIX = 8
STORED = -1


@frozen
class CompressedBatch:
    """Where a compressed batch lies: the codec's name, and of each buffer (position, length) in bytes."""

    codec: str
    values: tuple[int, int]
    labels: tuple[int, int]


def compressed_rows(layout: Layout, file: File, batches: Sequence[CompressedBatch]) -> OwnAccess:
    """Return rows that are decompressed batch by batch, having warned that they are."""

    def decompressed(number: int) -> Batch:
        batch, rows = batches[number], int(layout.starts[number + 1] - layout.starts[number])
        try:
            values = decompress(file.read(*batch.values), rows * layout.value_bytes, batch.codec)
            raw = decompress(file.read(*batch.labels), rows * layout.label_bytes, batch.codec)
        except MalformedError as error:
            raise DataError(
                f"{layout.name}: record batch {number} is damaged: {error}. Restore the file from a good copy."
            ) from None
        labels = np.frombuffer(raw, layout.label_dtype)
        return np.frombuffer(values, layout.dtype), labels.reshape(
            -1, layout.width
        ) if layout.soft else labels

    warn(layout.name, batches[0].codec)
    return OwnAccess(layout, Batches(layout, decompressed, (file,)))


def warn(name: str, codec: str) -> None:
    """Say that a data set is read more slowly than it could be."""
    warnings.warn(
        f"{name}: compressed ({codec}), so it is decompressed batch by batch, not mapped. An uncompressed file is "
        "several times faster to read.",
        StreamevalWarning,
        stacklevel=7,
    )


def check_compressed(length: int, size: int) -> None:
    """Refuse a compressed buffer that is longer than anything that decompresses to `size` bytes.

    What does not shrink is stored as it is, or grows by less than a hundredth.
    """
    most = PREFIX + size + size // 64 + 1024
    if not (length >= PREFIX if size else length >= 0) or length > most:
        raise MalformedError(
            f"{length} compressed bytes for {size}, expected {PREFIX if size else 0} to {most}"
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
    body: Any = memoryview(raw)[PREFIX:]
    if claimed == STORED:
        claimed = len(body)
    elif size <= claimed <= size + 64:
        try:
            body = pa.decompress(pa.py_buffer(body), decompressed_size=claimed, codec=codec, asbytes=True)
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise MalformedError(f"{codec} refused {len(raw)} bytes: {error}") from None
    if not size <= claimed <= size + 64 or len(body) < size:
        raise MalformedError(f"a compressed buffer holds {claimed} bytes, expected {size}")
    return bytes(body) if len(body) == size else bytes(memoryview(body)[:size])
