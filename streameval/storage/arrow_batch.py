"""One record batch of an Arrow file: where its two columns lie. Reads its header only, and trusts none of it.

Knows messages, buffers and validity bitmaps. Does not know the file around the batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.storage.arrow_schema import HASH_KEYS, Column, Header, OtherColumn
from streameval.storage.compressed import check_compressed, decompress
from streameval.storage.flatbuffer import MalformedError, Table, root
from streameval.storage.mapping import File
from streameval.storage.validity import BITMAP_BYTES, nulls

MAX_HEADER = 64 << 20
MAX_BATCH_BYTES = 256 << 20
SCHEMA, RECORD_BATCH = 1, 3
# MetadataVersion V4 and V5: since Arrow 0.8.
VERSIONS = (3, 4)
# The specification asks for 8 and advises 64; a writer uses one of them for all buffers.
ALIGNMENTS = (8, 64, 16, 32, 128, 256, 512, 1024, 4096)
PADDING = 64
CODECS = {0: "lz4", 1: "zstd"}


@frozen
class RecordBatch:
    """One record batch: rows, positions in the file of the two data buffers, recorded hashes."""

    rows: int
    values: tuple[int, int]
    labels: tuple[int, int]
    codec: str | None
    hashes: tuple[str, str] | None


def read_batch(
    number: int, file: File, block: tuple[int, int, int], header: Header, first: int
) -> RecordBatch:
    """Return record batch `block` (position, bytes of header, bytes of body), whose first row is `first`.

    Raises MalformedError, and DataError for nulls.
    """
    try:
        return _batch(file, block, header, first)
    except MalformedError as error:
        raise MalformedError(f"record batch {number}: {error}") from None


def _batch(file: File, block: tuple[int, int, int], header: Header, first: int) -> RecordBatch:
    message, batch = _record_batch(file, block)
    body, body_bytes = block[0] + block[1], block[2]
    rows = batch.number(0, "q")
    nodes, buffers = batch.structs(1, "qq"), batch.structs(2, "qq")
    if batch.structs(4, "q"):
        raise MalformedError("it counts variadic buffers, which no column that is accepted has")
    _check_placed(buffers, body_bytes)
    codec = _codec(batch)
    data: dict[str, tuple[int, int]] = {}
    for column in header.columns:
        if isinstance(column, OtherColumn):
            _check_passed_over(column, nodes, buffers, rows)
            nodes, buffers = nodes[column.nodes :], buffers[column.buffers :]
            continue
        mine, nodes = nodes[: column.nodes], nodes[column.nodes :]
        extents, buffers = buffers[: 1 + column.nodes], buffers[1 + column.nodes :]
        _check_lengths(mine, rows, column)
        if len(extents) != 1 + column.nodes:
            raise MalformedError(f"column {column.name!r} is missing")
        data[column.name] = (body + extents[-1][0], extents[-1][1])
        _check_data(file, data[column.name], rows, column, codec)
        for (count, declared), (start, length) in zip(mine, extents[:-1], strict=True):
            if declared or length:
                bitmap = _bitmap(file, (body + start, length), count, codec)
                _check_nulls(nulls(bitmap, count), declared, column, file, first, count // max(rows, 1))
    if nodes or buffers:
        raise MalformedError("it holds more columns than the schema")
    pairs = message.pairs(4)
    recorded = (pairs.get(HASH_KEYS[0], ""), pairs.get(HASH_KEYS[1], ""))
    return RecordBatch(
        rows, data[header.image.name], data[header.label.name], codec, recorded if all(recorded) else None
    )


def _check_passed_over(
    column: OtherColumn,
    nodes: list[tuple[int, int]],
    buffers: list[tuple[int, int]],
    rows: int,
) -> None:
    """Refuse a further column that has other rows than the batch."""
    if len(nodes) < column.nodes or len(buffers) < column.buffers or nodes[0][0] != rows:
        raise MalformedError(f"column {column.name!r} has not the rows or the buffers of its type")


def _check_placed(buffers: list[tuple[int, int]], body_bytes: int) -> None:
    """Refuse buffers that do not lie one after another, each padded to one alignment, and fill the body.

    One that is empty may say that it lies at 0.
    """
    if any(start < 0 or length < 0 for start, length in buffers):
        raise MalformedError("it has buffers of negative sizes")
    for alignment in ALIGNMENTS:
        end = 0
        for start, length in buffers:
            if start != end and (length or start):
                break
            end += length + -length % alignment
        else:
            if end == body_bytes:
                return
    raise MalformedError(
        f"its {len(buffers)} buffers do not lie one after another, padded to 8 or 64 bytes, in the {body_bytes} bytes "
        "of its body"
    )


def _record_batch(file: File, block: tuple[int, int, int]) -> tuple[Table, Table]:
    at, header_bytes, body_bytes = block
    if header_bytes > MAX_HEADER:
        raise MalformedError(f"its header claims {header_bytes} bytes")
    message = read_message(file, at, header_bytes)
    batch = message.table(2)
    if message.number(1, "B") != RECORD_BATCH or batch is None or message.number(3, "q") != body_bytes:
        raise MalformedError("it is not a record batch of the size that the footer records")
    return message, batch


def read_message(file: File, at: int, header_bytes: int) -> Table:
    """Return the message at `at`, whose header takes exactly `header_bytes`, prefix and padding included."""
    if at + header_bytes > file.size:
        raise MalformedError(f"its header claims {header_bytes} bytes at {at}, of {file.size}")
    raw = file.read(at, header_bytes)
    size, prefix = message_size(raw[:8])
    if prefix + size != header_bytes:
        raise MalformedError(f"its header claims {prefix + size} bytes, the footer {header_bytes}")
    message = root(raw[prefix:])
    if message.number(0, "h") not in VERSIONS:
        raise MalformedError(f"it is of metadata version {message.number(0, 'h') + 1}, expected 4 or 5")
    return message


def _check_lengths(nodes: list[tuple[int, int]], rows: int, column: Column) -> None:
    expected = [rows, rows * column.numbers][: column.nodes]
    if rows < 0 or [length for length, _ in nodes] != expected:
        raise MalformedError(
            f"column {column.name!r} has lengths {[n for n, _ in nodes]}, expected {expected}"
        )


def _bitmap(file: File, extent: tuple[int, int], count: int, codec: str | None) -> Iterator[bytes]:
    """Yield the validity bitmap of `count` values, in parts that end on whole bytes."""
    at, length = extent
    size = -(-count // 8)
    if codec is not None:
        check_compressed(length, size)
        yield decompress(file.read(at, length), size, codec)
        return
    if not size <= length <= size + -size % PADDING:
        raise MalformedError(f"{length} bytes of validity bits for {count} values")
    for start in range(0, size, BITMAP_BYTES):
        yield file.read(at + start, min(BITMAP_BYTES, size - start))


def _check_nulls(
    counted: tuple[int, int], declared: int, column: Column, file: File, first: int, per_row: int
) -> None:
    """Refuse nulls, and counts of them that lie. A row has `per_row` values; `first` begins the batch."""
    missing, position = counted
    if missing != declared:
        raise MalformedError(f"column {column.name!r} declares {declared} nulls and has {missing}")
    if missing:
        raise DataError(
            f"{file.path}: column {column.name!r} has nulls ({missing}, the first in row "
            f"{first + position // per_row}), expected none. Drop those rows, or fill them, and write the file "
            "again."
        )


def _check_data(file: File, extent: tuple[int, int], rows: int, column: Column, codec: str | None) -> None:
    """Refuse a buffer of another length than the rows need; some padding may be counted in."""
    at, length = extent
    needed = rows * column.row_bytes
    if codec is not None:
        if needed > MAX_BATCH_BYTES:
            raise MalformedError(
                f"{needed} bytes of column {column.name!r} are compressed in one piece, at most "
                f"{MAX_BATCH_BYTES} are accepted: write it uncompressed, or in smaller batches "
                "(max_chunksize=16384)"
            )
        check_compressed(length, needed)
        return
    if not needed <= length <= needed + -needed % PADDING or at % column.dtype.itemsize:
        raise MalformedError(
            f"column {column.name!r} has {length} bytes at {at} for {rows} rows, expected {needed}, aligned"
        )
    if length - needed >= 8 and struct.unpack("<q", file.read(at, 8))[0] in (-1, needed):
        raise MalformedError(f"column {column.name!r} looks compressed, and the header does not say so")


def _codec(batch: Table) -> str | None:
    compression = batch.table(3)
    if compression is None:
        return None
    codec, method = compression.number(0, "b"), compression.number(1, "b")
    if codec not in CODECS or method != 0:
        raise MalformedError(f"compression {codec} with method {method} is unknown")
    return CODECS[codec]


def message_size(start: bytes) -> tuple[int, int]:
    """Return the size of a message's table, and of the prefix before it: 8, or 4 before Arrow 0.15."""
    if len(start) < 8:
        raise MalformedError(f"a message of {len(start)} bytes")
    first, second = struct.unpack("<ii", start)
    size, prefix = (second, 8) if first == -1 else (first, 4)
    if not 0 <= size <= MAX_HEADER:
        raise MalformedError(f"a header claims {size} bytes")
    return size, prefix
