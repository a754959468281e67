"""`convert`: IDX files, raw or gzip, to a data set that is mapped.

Knows the order of things: everything about the input is checked before the output is begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.files import Output, check_outputs
from streameval.storage import idx, targets
from streameval.storage.block_hashes import BLOCK_ROWS
from streameval.storage.mapping import File
from streameval.storage.writing import Progress, choose_format, create


def convert(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    format: str | None = None,
    classes: int | None = None,
    first_label: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Convert a pair of IDX files, raw or gzip, to `dest`, and return its path.

    format       "arrow" or "npy"; default: "arrow" when `dest` ends with .arrow, else "npy"
    classes      number of classes, recorded; labels are checked against it
    first_label  the number that the labels count from; it is subtracted
    progress     called with (rows done, rows in all) after each block

    Both inputs are read once to check and hash them (gzip to its last byte), then once more to write: memory
    holds one block of 16,384 rows. The output appears whole or not at all, under a lock.

    Raises:
        DataError: an input is damaged, of another form, or longer or shorter than its header says.
        LabelError: labels outside the classes; the first row and how many.
        LockedError: another process is writing `dest`.
        StorageError: no such path, no permission, disk full.
        UsageError: arguments that cannot mean anything, or `dest` is one of the inputs.
    """
    if classes is not None:
        integer("classes", classes, least=1)
    integer("first_label", first_label)
    chosen = choose_format(Path(dest), format)
    inside = None if chosen == "arrow" else "*"
    check_outputs([Output("DEST", dest, inside)], {"IMAGES": [images], "LABELS": [labels]})
    x, t = idx.read_header(File(images), "images"), idx.read_header(File(labels), "labels")
    idx.check_counts(x, t)
    _check_labels(t, classes, first_label)
    return create(
        dest,
        _unchanged(_batches(x, t, first_label), x, t),
        rows=x.rows,
        shape=x.shape[1:],
        dtype=np.uint8,
        classes=classes,
        sources={file.path.name: file.sha256() for file in (x, t)},
        format=chosen,
        progress=progress,
    )


def _unchanged(
    batches: Iterator[tuple[NDArray[Any], NDArray[Any]]], *inputs: idx.IdxFile
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield all batches; a DataError, and so no output, if an input was written to by then."""
    yield from batches
    for one in inputs:
        one.file.check_unchanged()
        one.file.close()


def _check_labels(labels: idx.IdxFile, classes: int | None, first_label: int) -> None:
    """Raise LabelError when a label is out of range, having counted them all."""
    if not all(targets.all_right(t, classes) for _, t in _labels(labels, first_label)):
        raise targets.refuse(str(labels.path), classes, _labels(labels, first_label))


def _labels(labels: idx.IdxFile, first_label: int) -> Iterator[tuple[range, NDArray[np.int64]]]:
    row = 0
    for block in labels.blocks(BLOCK_ROWS):
        t = np.frombuffer(block, np.uint8).astype(np.int64) - first_label
        yield range(row, row + len(t)), t
        row += len(t)


def _batches(
    images: idx.IdxFile, labels: idx.IdxFile, first_label: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    blocks = zip(images.blocks(BLOCK_ROWS), _labels(labels, first_label), strict=True)
    for block, (_, t) in blocks:
        small = t.astype(np.uint8) if first_label >= 0 else t
        yield np.frombuffer(block, np.uint8).reshape(-1, *images.shape[1:]), small
