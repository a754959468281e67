"""`convert`: any data set to one that is mapped.

Knows the order of things: everything about IDX files is checked before the output is begun; what is read in another
form is read as `open` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer, path_text
from streameval.errors import DataError, UsageError
from streameval.files import Output, check_outputs, storage_errors
from streameval.storage import idx, targets
from streameval.storage.block_hashes import BLOCK_ROWS
from streameval.storage.formats import FORMATS, SNIFFED, format_of
from streameval.storage.input_files import input_files
from streameval.storage.mapping import File
from streameval.storage.normalised import Numbers, normalised
from streameval.storage.opening import is_table_at, open_with
from streameval.storage.reading import ReadOptions
from streameval.storage.source import Source, Span
from streameval.storage.writing import Progress, choose_format, create
from streameval.tables.columns import Names, columns_of

Path_ = str | os.PathLike[str]
# Files of a data set whose hashes are recorded; of more, their own fingerprint has to do.
MOST_HASHED = 64


def convert(
    data: Any,
    *paths: Path_,
    format: str | None = None,
    classes: int | None = None,
    first_label: int = 0,
    progress: Progress | None = None,
    **opening: Any,
) -> Path:
    """Convert a data set to one that is mapped, a file or folder, and return its path.

    convert(data, dest)             all that `open` takes, with classes or weights of classes as targets: tables,
                                    folders, arrays, streams
    convert(images, labels, dest)   a pair of IDX files, raw or gzip; `convert((images, labels), dest)` is the same

    format       "arrow" or "npy"; default: "arrow" when `dest` ends with .arrow, else "npy"
    classes      number of classes, recorded; labels are checked against it
    first_label  the number that the labels count from; it is subtracted
    progress     called with (rows done, rows in all) after each block
    opening      what `open` is told: io, scale, features, target, image, mean, std

    What is written has the rows of the original, bit for bit, and so its fingerprint and losses. IDX files are read
    once to check and hash them (gzip to its last byte), then once more to write; tables are decoded once, into
    temporary files, and written from there. Memory holds one block of 16,384 rows. The output appears whole or not at
    all, under a lock.

    Raises:
        DataError: an input is damaged, of another form, or longer or shorter than its header says.
        LabelError: labels outside the classes; the first row and how many.
        LockedError: another process is writing `dest`.
        StorageError: no such path, no permission, disk full.
        UsageError: arguments that cannot mean anything, or `dest` is one of the inputs.
    """
    if len(paths) not in (1, 2):
        raise UsageError(
            f"convert: {1 + len(paths)} arguments, expected (data, dest) or (images, labels, dest)."
        )
    *labels, dest = paths
    if classes is not None:
        integer("classes", classes, least=1)
    integer("first_label", first_label)
    chosen = choose_format(Path(path_text("dest", dest)), format)
    if not Path(dest).parent.is_dir():
        _check_apart(dest, chosen, {})  # is told before anything is read
    given = (data, *labels) if labels else data
    if _is_idx(given) and not opening:
        return _convert_idx(given, dest, chosen, classes, first_label, progress)
    _check_apart(dest, chosen, {"DATA": input_files(given)})
    source = _opened(given, **opening)
    classes = source.classes if classes is None else classes
    return create(
        dest,
        _chunks(source, classes, first_label),
        rows=source.rows,
        shape=source.shape,
        dtype=source.dtype,
        classes=classes,
        scale=source.scale,
        soft=source.soft,
        sources={**source.sources, **_hashes(source.files)},
        format=chosen,
        progress=progress,
    )


def given_paths(paths: Sequence[str]) -> Any:
    """What several paths mean together: one data set, a pair of images and labels, or files that are read as one."""
    if len(paths) != 2 or is_table_at(paths[0]):
        return paths[0] if len(paths) == 1 else list(paths)
    return tuple(paths)


def _convert_idx(
    given: Any,
    dest: Path_,
    chosen: str,
    classes: int | None,
    first_label: int,
    progress: Progress | None,
) -> Path:
    images, labels = given
    _check_apart(dest, chosen, {"IMAGES": [images], "LABELS": [labels]})
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


def _opened(
    data: Any,
    *,
    io: str = "auto",
    scale: float | None = None,
    features: Names = None,
    target: Names = None,
    image: str | None = None,
    mean: Numbers = None,
    std: Numbers = None,
) -> Source:
    """What `open` gives, without a word about how to convert."""
    source = open_with(data, ReadOptions(io, scale, columns_of(features, target, image), hint=False))
    return normalised(source, mean, std)


def _is_idx(given: Any) -> bool:
    """Whether a pair of paths is one of IDX files, or of nothing else that is known."""
    if not (isinstance(given, tuple) and len(given) == 2):
        return False
    if not all(isinstance(one, str | os.PathLike) for one in given):
        return False
    file = File(given[0])
    with contextlib.closing(file):
        form = format_of("pair", file.path, file.read(0, min(SNIFFED, file.size)))
    return form is None or form is FORMATS["idx"]


def _check_apart(dest: Path_, chosen: str, inputs: Mapping[str, Iterable[Path_]]) -> None:
    check_outputs([Output("DEST", dest, None if chosen == "arrow" else "*")], inputs)


def _chunks(
    source: Source, classes: int | None, first_label: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """All rows of a data set; a DataError, and so no output, if it was written to by then.

    Raises LabelError when a label is out of range, having counted them all.
    """
    if source.soft and first_label:
        raise UsageError(
            f"{source.name}: first_label {first_label}, but its targets are weights. Leave it out."
        )
    for chunk in source.chunks(Span(0, source.rows), BLOCK_ROWS):
        t = chunk.t - first_label if first_label else chunk.t
        if not source.soft and not targets.all_right(t, classes):
            every = (
                (np.asarray(one.rows), one.t - first_label)
                for one in source.chunks(Span(0, source.rows), BLOCK_ROWS)
            )
            raise targets.refuse(source.name, classes, every, first_label=first_label)
        if source.soft and not np.array_equal(t, t.astype(np.float32)):
            raise DataError(
                f"{source.name}, rows {chunk.rows[0]} to {chunk.rows[-1]}: weights that float32 does not hold, which "
                "would be others in the file. Give them as float32: t.astype(np.float32)."
            )
        yield chunk.x.reshape(-1, *source.shape), t
    source.check_unchanged()


def _hashes(files: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the files that a data set was made from, by their names."""
    found = {}
    for name in files if len(files) <= MOST_HASHED else ():
        with storage_errors(name), Path(name).open("rb") as file:
            found[Path(name).name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


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
        raise targets.refuse(str(labels.path), classes, _labels(labels, first_label), first_label=first_label)


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
