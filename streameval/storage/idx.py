"""IDX files, the format that MNIST comes in: headers, and content in order, raw or gzip.

Knows the format (http://yann.lecun.com/exdb/mnist: magic, sizes, bytes). Does not know targets' meaning.
Sizes come from the header only after they were compared with the file; what is decompressed stops at them.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from streameval.errors import DataError, StorageError
from streameval.frozen import frozen
from streameval.storage.access import OwnAccess, PlainRows, Views
from streameval.storage.gunzip import Stream, is_gzip, stream
from streameval.storage.layout import Layout, check_shape, one_batch
from streameval.storage.mapping import File

MAGIC = b"\x00\x00\x08"
UNSIGNED_BYTE = 0x08
MAX_DIMENSIONS = 8
READ_BYTES = 1 << 20
# What gzip files may hold: they are decompressed into memory.
MEMORY_LIMIT = 256 << 20
ROLES = {"images": "two or more dimensions", "labels": "one dimension"}


@frozen
class IdxFile:
    """An IDX file whose header was checked: `shape` counts the rows first, the data begin at `offset`.

    All is read from the file that was opened, whatever lies at its path by then.
    """

    file: File
    shape: tuple[int, ...]
    offset: int
    zipped: bool

    @property
    def path(self) -> Path:
        """Where it was opened."""
        return self.file.path

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes in a row."""
        return math.prod(self.shape[1:])

    @property
    def data_bytes(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row_bytes

    def blocks(self, rows: int) -> Iterator[bytearray]:
        """Yield the content, `rows` rows at a time, the last time fewer.

        Raises:
            DataError: the file ends early, goes on after its last row, or is damaged (gzip).
        """
        content = stream(self.file)
        exactly(content, self.path, self.offset)
        left = self.rows
        while left:
            take = min(rows, left)
            yield exactly(content, self.path, take * self.row_bytes)
            left -= take
        _at_end(content, self)

    def sha256(self) -> str:
        """Return the SHA-256 of the decompressed file, header included, having checked it to its end."""
        total = hashlib.sha256()
        content = stream(self.file)
        left = self.offset + self.data_bytes
        while left:
            part = exactly(content, self.path, min(left, READ_BYTES))
            total.update(part)
            left -= len(part)
        _at_end(content, self)
        return total.hexdigest()


def read_header(file: File, role: str) -> IdxFile:
    """Check the header of an IDX file of unsigned bytes; `role` is "images" or "labels".

    Raises:
        DataError: wrong magic, type or dimensions, or a raw file of another size than the header declares.
    """
    content = stream(file)
    magic = bytes(exactly(content, file.path, 4))
    zeros, kind, dimensions = struct.unpack(">HBB", magic)
    if zeros or kind != UNSIGNED_BYTE or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(
            f"{file.path}: begins with {magic.hex()}, expected 000008 and the number of dimensions: an IDX "
            "file of unsigned bytes, raw or gzip. Check that the path is right."
        )
    if (dimensions == 1) != (role == "labels"):
        raise DataError(
            f"{file.path}: {dimensions} dimension(s) were found, {ROLES[role]} expected for {role}. "
            "Are images and labels swapped? The images come first."
        )
    shape = struct.unpack(f">{dimensions}I", exactly(content, file.path, 4 * dimensions))
    if dimensions > 1:
        check_shape(str(file.path), shape[1:])
    idx = IdxFile(file, shape, 4 + 4 * dimensions, is_gzip(file))
    if not idx.zipped:
        _check_size(idx)
    return idx


def rows(images: File, labels: File) -> PlainRows | OwnAccess:
    """Return where the rows of a pair of IDX files lie; if one is a gzip file, both are read into memory.

    Raises:
        DataError: a damaged header, another size than it declares, or counts that differ.
        StorageError: a gzip file of more than 256 MiB.
    """
    x, t = read_header(images, "images"), read_header(labels, "labels")
    layout = _layout(x, t)
    if not (x.zipped or t.zipped):
        return PlainRows(layout, images, labels)
    contents = [np.frombuffer(_content(one), np.uint8) for one in (x, t)]
    for file in (images, labels):
        file.check_unchanged()  # nobody will look again: what was read is in memory
        file.close()
    layout = replace(layout, read_whole=(str(x.path), str(t.path)))
    return OwnAccess(layout, Views(layout, *contents))


def _layout(images: IdxFile, labels: IdxFile) -> Layout:
    check_counts(images, labels)
    starts, value_at, label_at = one_batch(images.rows, images.offset, labels.offset)
    return Layout(
        name=str(images.path),
        path=str(images.path),
        shape=images.shape[1:],
        dtype=np.dtype(np.uint8),
        classes=None,
        scale=None,
        soft=False,
        label_dtype=np.dtype(np.uint8),
        width=1,
        starts=starts,
        value_at=value_at,
        label_at=label_at,
    )


def check_counts(images: IdxFile, labels: IdxFile) -> None:
    """Raise DataError when there are not as many labels as images."""
    if images.rows != labels.rows:
        raise DataError(
            f"{images.path}: {images.rows} images were found, but {labels.rows} labels in {labels.path}; the "
            "same number was expected. Take both files from the same data set."
        )


def exactly(content: Stream, path: Path, size: int) -> bytearray:
    """Read `size` bytes. Raises DataError when there are fewer."""
    found = bytearray()
    while len(found) < size:
        part = content.read(min(size - len(found), READ_BYTES))
        if not part:
            raise DataError(
                f"{path}: ends {size - len(found)} bytes early, at offset {content.at} of its (decompressed) content. "
                "Download or copy it again."
            )
        found += part
    return found


def _at_end(content: Stream, idx: IdxFile) -> None:
    if content.read(1):
        raise DataError(
            f"{idx.path}: goes on after the {idx.offset + idx.data_bytes} bytes that its header declares "
            f"(shape {idx.shape}), expected its end. Download or copy it again."
        )


def _check_size(idx: IdxFile) -> None:
    size = idx.file.size
    expected = idx.offset + idx.data_bytes
    if size != expected:
        raise DataError(
            f"{idx.path}: {size} bytes were found, {expected} expected for shape {idx.shape}. "
            "Download or copy it again."
        )


def _content(idx: IdxFile) -> bytearray:
    """Return the whole content, header included, of a raw or gzip file of at most 256 MiB."""
    if idx.data_bytes > MEMORY_LIMIT:
        raise StorageError(
            f"{idx.path}: {idx.data_bytes} bytes when decompressed, at most {MEMORY_LIMIT} are held in "
            "memory. Convert it first: streameval convert IMAGES LABELS data.arrow"
        )
    content = stream(idx.file)
    found = exactly(content, idx.path, idx.offset + idx.data_bytes)
    _at_end(content, idx)
    return found
