"""Arrow IPC files: where their rows lie. Reads headers only, and trusts none of them.

Knows the file format (https://arrow.apache.org/docs/format/Columnar.html). The headers are parsed here rather
than by pyarrow: a few hundred bytes for each batch are read instead of the batch, the same way serves mapped
and positioned reading, nothing is imported, and no mutated file reaches code that is not memory-safe.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from streameval.errors import DataError
from streameval.storage import arrow_schema as schemas
from streameval.storage.access import OwnAccess, PlainRows
from streameval.storage.arrow_batch import (
    MAX_HEADER,
    PADDING,
    SCHEMA,
    VERSIONS,
    RecordBatch,
    message_size,
    read_batch,
)
from streameval.storage.arrow_schema import Header
from streameval.storage.block_hashes import BLOCK_ROWS
from streameval.storage.compressed import CompressedBatch, compressed_rows
from streameval.storage.flatbuffer import MalformedError, Table, root
from streameval.storage.layout import Layout
from streameval.storage.mapping import File
from streameval.storage.record import REWRITTEN

MAGIC = b"ARROW1"
STREAM = b"\xff\xff\xff\xff"
FIRST_MESSAGE = 8


def rows(file: File) -> PlainRows | OwnAccess:
    """Return where the rows of an Arrow file lie, or how they are decompressed.

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
        _check_blocks(file, blocks, header, footer_at)
        file.expect((at, size) for at, size, _ in blocks)
        batches: list[RecordBatch] = []
        first = 0
        for number, block in enumerate(blocks):
            batches.append(read_batch(number, file, block, header, first))
            first += batches[-1].rows
    except MalformedError as error:
        raise DataError(
            f"{name}: not a usable Arrow file: {error}. Restore it from a good copy, or write it again with "
            "`streameval convert`."
        ) from None
    batches = [batch for batch in batches if batch.rows]
    layout = _join(name, header, batches)
    if batches and batches[0].codec is not None:
        return compressed_rows(
            layout, file, [CompressedBatch(str(batch.codec), batch.values, batch.labels) for batch in batches]
        )
    return PlainRows(layout, file, file)


def _join(name: str, header: Header, batches: Sequence[RecordBatch]) -> Layout:
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
    return Layout(
        name=name,
        path=name,
        shape=header.shape,
        dtype=header.image.dtype,
        classes=header.classes,
        scale=None if record is None else record.scale,
        soft=header.label.dtype.kind == "f",
        label_dtype=header.label.dtype,
        width=header.label.width or 1,
        starts=starts,
        value_at=np.array([batch.values[0] for batch in batches], np.int64),
        label_at=np.array([batch.labels[0] for batch in batches], np.int64),
        hashes=hashes if record is not None else None,
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
            f"{name}: begins with {start!r}, expected an Arrow file, which begins with {MAGIC!r}, or Parquet, which "
            f"begins with b'PAR1'. {_cure(start)}"
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
        footer = root(file.read(at, size))
        if footer.number(0, "h") not in VERSIONS:
            raise MalformedError(f"it is of metadata version {footer.number(0, 'h') + 1}, expected 4 or 5")
        return at, footer
    except MalformedError as error:
        raise DataError(f"{name}: the footer is damaged: {error}. Restore it from a good copy.") from None


def _cure(start: bytes) -> str:
    """What to do with a file of another form, by what it probably is."""
    if not start:
        return "It is empty: copy or convert it again."
    if start.lstrip()[:1] in (b"{", b"["):
        return "If it is JSON, write one object a line, and let its name end with .jsonl."
    if _is_text(start):
        return "If it is text, a line of names and then a line a row, let its name end with .csv or .tsv."
    return "Write it as Arrow, Parquet or CSV, or open arrays in Python: streameval.open((x, t))."


def _is_text(start: bytes) -> bool:
    """Whether bytes are the beginning of UTF-8, whose last letter may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text)


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
        size, prefix = message_size(file.read(at, 8))
        if size == 0 or at + prefix + size > file.size:
            return
        message = root(file.read(at + prefix, size))
        body = message.number(3, "q")
        if body < 0:
            return
        end = at + prefix + size + body
        yield at, message, end
        at = end


def _front(file: File, header: Header, stop: int) -> int:
    """Return where the first message ends, having found in it the same schema as in the footer.

    stop   where the first record batch begins, or the footer

    Polars writes that message without its length: then it ends at `stop`.
    """
    at = FIRST_MESSAGE
    while at < min(stop, FIRST_MESSAGE + PADDING) and not any(file.read(at, 8)):  # padding of some writers
        at += 8
    if not at + 8 <= stop <= at + MAX_HEADER:
        raise MalformedError(f"there is no schema between its bytes {FIRST_MESSAGE} and {stop}")
    raw = file.read(at, stop - at)
    first, second = struct.unpack_from("<ii", raw)
    size: int
    size, prefix = (second, 8) if first == -1 else (first, 4)
    if first != -1 and stop - at - 4 - first > PADDING:
        size, prefix = len(raw), 0
    if not 0 < size <= len(raw) - prefix:
        raise MalformedError(f"the message at its front claims {size} bytes, of {len(raw)}")
    message = root(raw[prefix : prefix + size])
    if message.number(1, "B") != SCHEMA or message.number(3, "q") or message.number(0, "h") not in VERSIONS:
        raise MalformedError("its first message is not a schema")
    if schemas.read(message.table(2), str(file.path)) != header:
        raise MalformedError("the schema at its front differs from the one in its footer")
    return at + prefix + size


def _check_blocks(file: File, blocks: list[tuple[int, int, int]], header: Header, footer_at: int) -> None:
    """Refuse record batches that do not lie one after another behind the schema, or with anything after them.

    So a footer that leaves a batch out, or moves one by a byte, is seen.
    """
    end = FIRST_MESSAGE
    for number, (at, metadata, body) in enumerate(blocks):
        if at < end or metadata < 8 or body < 0 or at + metadata + body > footer_at:
            raise MalformedError(
                f"record batch {number} claims the bytes {at} to {at + metadata + body}, expected within {end} "
                f"to {footer_at}"
            )
        if at % 8 or metadata % 8 or body % 8:
            raise MalformedError(
                f"record batch {number} claims {metadata} and {body} bytes at {at}, expected multiples of 8"
            )
        end = at + metadata + body
    end = _front(file, header, blocks[0][0] if blocks else footer_at)
    for at, metadata, body in blocks:
        _check_gap(file, end, at)
        end = at + metadata + body
    _check_gap(file, end, footer_at)


def _check_gap(file: File, start: int, stop: int) -> None:
    """Refuse anything but padding, and the marker that ends a stream, between the messages."""
    if stop - start > PADDING + len(STREAM):
        raise MalformedError(f"the bytes {start} to {stop} belong to no record batch")
    if stop > start and file.read(start, stop - start).removeprefix(STREAM).strip(b"\0"):
        raise MalformedError(f"the bytes {start} to {stop} are no padding")
