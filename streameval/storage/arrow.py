"""Arrow IPC files: where their rows lie. Reads headers only, and trusts none of them.

Knows the file format (https://arrow.apache.org/docs/format/Columnar.html). The headers are parsed here rather
than by pyarrow: a few hundred bytes for each batch are read instead of the batch, the same way serves mapped
and positioned reading, nothing is imported, and no mutated file reaches code that is not memory-safe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streameval.errors import DataError
from streameval.storage import arrow_schema as schemas
from streameval.storage.arrow_schema import Column, Header
from streameval.storage.blocks import BLOCK_ROWS
from streameval.storage.compressed import decompress
from streameval.storage.flatbuffer import MalformedError, Table, root
from streameval.storage.layout import Compressed, Layout
from streameval.storage.mapping import File
from streameval.storage.record import REWRITTEN
from streameval.storage.validity import nulls

MAGIC = b"ARROW1"
STREAM = b"\xff\xff\xff\xff"
MAX_HEADER = 64 << 20
MAX_BATCH_BYTES = 256 << 20
FIRST_MESSAGE = 8
RECORD_BATCH = 3
CODECS = {0: "lz4", 1: "zstd"}
HASH_KEYS = ("streameval.image_sha256", "streameval.label_sha256")


@dataclass(frozen=True, slots=True)
class _Batch:
    """One record batch: rows, positions in the file of the two data buffers, recorded hashes."""

    rows: int
    values: tuple[int, int]
    labels: tuple[int, int]
    codec: str | None
    hashes: tuple[str, str] | None


def layout(file: File) -> Layout:
    """Return where the rows of an Arrow file lie.

    Raises DataError for anything but an uncompressed or compressed Arrow IPC file of one feature column and
    one label column of the forms in `arrow_schema`, without nulls, whole, with consistent headers.
    """
    name = str(file.path)
    footer_at, footer = _footer(file)
    try:
        header = schemas.read(footer.table(1), name)
        blocks = footer.structs(3, "qi4xq")
        if footer.structs(2, "qi4xq"):
            raise MalformedError("it holds dictionary batches, expected plain columns")
        _check_blocks(blocks, footer_at)
        file.expect((at, size) for at, size, _ in blocks)
        batches: list[_Batch] = []
        rows = 0
        for number, block in enumerate(blocks):
            batches.append(_at_batch(number, file, block, header, rows))
            rows += batches[-1].rows
    except MalformedError as error:
        raise DataError(
            f"{name}: not a usable Arrow file: {error}. Restore it from a good copy, or write it again with "
            "`streameval convert`."
        ) from None
    return _join(name, header, [batch for batch in batches if batch.rows])


def _join(name: str, header: Header, batches: list[_Batch]) -> Layout:
    starts = np.cumsum([0, *(batch.rows for batch in batches)], dtype=np.int64)
    record = header.record
    if record is not None:
        record.check(int(starts[-1]), header.shape, header.image.dtype, name)
    hashes = tuple(batch.hashes for batch in batches if batch.hashes is not None)
    whole = len(hashes) == len(batches) and all(batch.rows == BLOCK_ROWS for batch in batches[:-1])
    if (record is not None and not whole) or (record is None and hashes):
        raise DataError(
            f"{name}: {len(hashes)} of {len(batches)} record batches carry hashes, and "
            f"{'a' if record is not None else 'no'} record is in the header; all of it was expected, in "
            f"batches of {BLOCK_ROWS} rows, or none. {REWRITTEN}"
        )
    codecs = {batch.codec for batch in batches}
    if len(codecs) > 1:
        raise DataError(
            f"{name}: some record batches are compressed and some are not. Write it again, all alike."
        )
    compressed = None
    if batches and batches[0].codec is not None:
        compressed = tuple(Compressed(str(batch.codec), batch.values, batch.labels) for batch in batches)
    return Layout(
        name=name,
        path=name,
        shape=header.shape,
        dtype=header.image.dtype,
        classes=header.classes,
        scale=None if record is None else record.scale,
        soft=header.label.width is not None,
        label_dtype=header.label.dtype,
        width=header.label.width or 1,
        starts=starts,
        value_at=np.array([batch.values[0] for batch in batches], np.int64),
        label_at=np.array([batch.labels[0] for batch in batches], np.int64),
        hashes=hashes if record is not None else None,
        compressed=compressed,
        sources={} if record is None else record.sources,
    )


def _footer(file: File) -> tuple[int, Table]:
    """Return the position of the footer and its table."""
    name = str(file.path)
    start = file.read(0, min(8, file.size))
    if start[:4] == STREAM:
        raise DataError(
            f"{name}: an Arrow stream was found, an Arrow file was expected. Rewrite it in Python: "
            "pa.ipc.new_file(DEST, schema) with every batch of pa.ipc.open_stream(SOURCE)."
        )
    if start[:6] != MAGIC:
        raise DataError(
            f"{name}: begins with {start!r}, expected an Arrow file, which begins with {MAGIC!r}."
        )
    tail = file.read(max(file.size - 10, 0), min(10, file.size))
    if file.size < 2 * FIRST_MESSAGE + 10 or tail[4:] != MAGIC:
        raise DataError(
            f"{name}: cut short, or still being written: {file.size} bytes were found{_expected_size(file)}, "
            f"and an Arrow file ends with {MAGIC!r}. Copy or convert it again."
        )
    size = struct.unpack("<i", tail[:4])[0]
    at = file.size - 10 - size
    if not 4 <= size <= MAX_HEADER or at < FIRST_MESSAGE:
        raise DataError(
            f"{name}: the footer claims {size} bytes, the file has {file.size}. Restore it from a good copy."
        )
    try:
        return at, root(file.read(at, size))
    except MalformedError as error:
        raise DataError(f"{name}: the footer is damaged: {error}. Restore it from a good copy.") from None


def _expected_size(file: File) -> str:
    """Return ", at least N were expected (why)" for a file that lost its end, as far as can be told."""
    expected, why = 0, ""
    try:
        for at, message, end in _messages(file):
            if at == FIRST_MESSAGE:
                header = schemas.read(message.table(2), str(file.path))
                rows = header.record.rows if header.record else 0
                needed = rows * (header.image.row_bytes + header.label.row_bytes)
                expected, why = end + needed, f"its header and the data of {rows} rows"
            elif end > max(expected, file.size):
                expected, why = end, f"the record batch at offset {at}"
    except (MalformedError, DataError):
        pass
    return f", at least {expected} were expected ({why})" if expected > file.size else ""


def _messages(file: File) -> Iterator[tuple[int, Table, int]]:
    """Walk the messages from the front: position, table, end. Stops at the end of the file."""
    at = FIRST_MESSAGE
    while at + 8 <= file.size:
        size, prefix = _message_size(file.read(at, 8))
        if size == 0 or at + prefix + size > file.size:
            return
        message = root(file.read(at + prefix, size))
        body = message.number(3, "q")
        if body < 0:
            return
        end = at + prefix + size + body
        yield at, message, end
        at = end


def _message_size(start: bytes) -> tuple[int, int]:
    """Return the size of a message's table, and of the prefix before it: 8, or 4 before Arrow 0.15."""
    first, second = struct.unpack("<ii", start)
    size, prefix = (second, 8) if first == -1 else (first, 4)
    if not 0 <= size <= MAX_HEADER:
        raise MalformedError(f"a header claims {size} bytes")
    return size, prefix


def _check_blocks(blocks: list[tuple[int, int, int]], footer_at: int) -> None:
    """Refuse record batches outside the file or lying over one another."""
    end = FIRST_MESSAGE
    for number, (at, header, body) in enumerate(blocks):
        if at < end or header < 8 or body < 0 or at + header + body > footer_at:
            raise MalformedError(
                f"record batch {number} claims the bytes {at} to {at + header + body}, expected within {end} "
                f"to {footer_at}"
            )
        end = at + header + body


def _at_batch(number: int, file: File, block: tuple[int, int, int], header: Header, first: int) -> _Batch:
    try:
        return _batch(file, block, header, first)
    except MalformedError as error:
        raise MalformedError(f"record batch {number}: {error}") from None


def _batch(file: File, block: tuple[int, int, int], header: Header, first: int) -> _Batch:
    """Return record batch `block` (position, bytes of header, bytes of body), whose first row is `first`."""
    message, batch = _record_batch(file, block)
    body, body_bytes = block[0] + block[1], block[2]
    rows = batch.number(0, "q")
    nodes, buffers = batch.structs(1, "qq"), batch.structs(2, "qq")
    codec = _codec(batch)
    found: dict[str, tuple[int, int]] = {}
    for column in header.columns:
        mine, nodes = nodes[: column.nodes], nodes[column.nodes :]
        places, buffers = buffers[: 1 + column.nodes], buffers[1 + column.nodes :]
        _check_lengths(mine, rows, column)
        if len(places) != 1 + column.nodes:
            raise MalformedError(f"column {column.name!r} is missing")
        for start, length in places:
            if start < 0 or length < 0 or start + length > body_bytes:
                raise MalformedError(f"column {column.name!r} lies outside the batch")
        found[column.name] = (body + places[-1][0], places[-1][1])
        _check_data(found[column.name], rows, column, codec)
        for (count, declared), (start, length) in zip(mine, places[:-1], strict=True):
            if declared or length:
                bitmap = _bitmap(file, (body + start, length), count, codec)
                _check_nulls(nulls(bitmap, count), declared, column, file, first, count // max(rows, 1))
    if nodes or buffers:
        raise MalformedError("it holds more columns than the schema")
    pairs = message.pairs(4)
    recorded = (pairs.get(HASH_KEYS[0], ""), pairs.get(HASH_KEYS[1], ""))
    return _Batch(
        rows, found[header.image.name], found[header.label.name], codec, recorded if all(recorded) else None
    )


def _record_batch(file: File, block: tuple[int, int, int]) -> tuple[Table, Table]:
    at, header_bytes, body_bytes = block
    if header_bytes > MAX_HEADER:
        raise MalformedError(f"its header claims {header_bytes} bytes")
    raw = file.read(at, header_bytes)
    size, prefix = _message_size(raw[:8])
    if prefix + size > header_bytes:
        raise MalformedError(f"its header claims {prefix + size} bytes, the footer {header_bytes}")
    message = root(raw[prefix : prefix + size])
    batch = message.table(2)
    if message.number(1, "B") != RECORD_BATCH or batch is None or message.number(3, "q") != body_bytes:
        raise MalformedError("it is not a record batch of the size that the footer records")
    return message, batch


def _check_lengths(nodes: list[tuple[int, int]], rows: int, column: Column) -> None:
    expected = [rows, rows * column.numbers][: column.nodes]
    if rows < 0 or [length for length, _ in nodes] != expected:
        raise MalformedError(
            f"column {column.name!r} has lengths {[n for n, _ in nodes]}, expected {expected}"
        )


def _bitmap(file: File, place: tuple[int, int], count: int, codec: str | None) -> bytes:
    """Return the validity bitmap of `count` values."""
    at, length = place
    size = -(-count // 8)
    if codec is not None:
        return decompress(file.read(at, length), size, codec)
    if length < size:
        raise MalformedError(f"{length} bytes of validity bits for {count} values")
    return file.read(at, size)


def _check_nulls(
    found: tuple[int, int], declared: int, column: Column, file: File, first: int, per_row: int
) -> None:
    """Refuse nulls, and counts of them that lie. A row has `per_row` values; `first` begins the batch."""
    missing, place = found
    if missing != declared:
        raise MalformedError(f"column {column.name!r} declares {declared} nulls and has {missing}")
    if missing:
        raise DataError(
            f"{file.path}: column {column.name!r} has nulls ({missing}, the first in row "
            f"{first + place // per_row}), expected none. Drop those rows, or fill them, and write the file "
            "again."
        )


def _check_data(place: tuple[int, int], rows: int, column: Column, codec: str | None) -> None:
    at, length = place
    needed = rows * column.row_bytes
    if codec is None and (length < needed or at % column.dtype.itemsize):
        raise MalformedError(
            f"column {column.name!r} has {length} bytes at {at} for {rows} rows, expected {needed}, aligned"
        )
    if codec is not None and needed > MAX_BATCH_BYTES:
        raise MalformedError(
            f"{needed} bytes of column {column.name!r} are compressed in one piece, at most "
            f"{MAX_BATCH_BYTES} are accepted: write it uncompressed, or in smaller batches "
            "(max_chunksize=16384)"
        )
    if codec is not None and rows and length < 8:
        raise MalformedError(f"column {column.name!r} has {length} compressed bytes for {rows} rows")


def _codec(batch: Table) -> str | None:
    compression = batch.table(3)
    if compression is None:
        return None
    codec, method = compression.number(0, "b"), compression.number(1, "b")
    if codec not in CODECS or method != 0:
        raise MalformedError(f"compression {codec} with method {method} is unknown")
    return CODECS[codec]
