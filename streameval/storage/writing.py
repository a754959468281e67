"""`create`: writes a data set from batches as they come, whole or not at all.

Knows re-blocking, checks, hashes, locks. Does not know any format: each has a writer, one row in `WRITERS`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streameval.arguments import describe_value, integer, is_masked, path_text
from streameval.defaults import WEIGHTS
from streameval.errors import DataError, UsageError
from streameval.files import check_space, lock, remove_leftovers
from streameval.storage import targets
from streameval.storage.arrow_writer import ArrowWriter
from streameval.storage.block_hashes import BLOCK_ROWS, hash_block
from streameval.storage.form import Form
from streameval.storage.layout import check_shape, choose_scale
from streameval.storage.npy_writer import NpyWriter
from streameval.storage.record import Record
from streameval.storage.source import Hashes

Batch = tuple[NDArray[Any], NDArray[Any]]
Progress = Callable[[int, int], None]


class Writer(Protocol):
    """A format that blocks are written to."""

    def write(self, x: NDArray[Any], t: NDArray[Any], hashes: Hashes) -> None:
        """Write one block: x (n, features), t (n,) or (n, classes), in the dtypes of the form."""


WRITERS: dict[str, Callable[[Path, Form], contextlib.AbstractContextManager[Writer]]] = {
    "arrow": ArrowWriter.open,
    "npy": NpyWriter.open,
}
# Endings of what is read, or written elsewhere, but not here: a file or folder of such a name would surprise.
NEVER_WRITTEN = frozenset({
    *WEIGHTS, ".bz2", ".csv", ".feather", ".gz", ".h5", ".html", ".json", ".jsonl", ".ndjson", ".npy", ".npz", ".orc",
    ".parquet", ".sqlite", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".zip", ".zst",
})  # fmt: skip


def create(
    dest: str | os.PathLike[str],
    batches: Iterable[Batch],
    *,
    rows: int,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    classes: int | None = None,
    scale: float | None = None,
    soft: bool = False,
    sources: Mapping[str, str] | None = None,
    format: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a data set to `dest`, and return its path.

    batches   (x, t) pairs of any lengths, `rows` rows in all: x (n, *shape) of `dtype`, t (n,) integers, or
              (n, classes) numbers when `soft`; one block of 16,384 rows is held in memory
    dtype     uint8 or float32
    classes   number of classes; labels are checked against it, and it is recorded; needed when `soft`
    scale     factor from stored values to features, recorded; default 1/255 for uint8, 1 for float32
    sources   name of a source file -> SHA-256, recorded
    format    "arrow" or "npy"; default: "arrow" when `dest` ends with .arrow, else "npy"
    progress  called with (rows done, rows in all) after each block

    The output appears whole or not at all, under a lock; what a killed writer left behind is removed.

    Raises:
        DataError: a batch of another form, or another number of rows in all.
        LabelError: a label out of range, its row named.
        LockedError: another process is writing `dest`.
        StorageError: no such folder, no permission, disk full; seen before the first row is written if fewer bytes
            are free than the rows take.
        UsageError: arguments that cannot mean anything.
    """
    rows = integer("rows", rows, least=0)
    if classes is not None:
        classes = integer("classes", classes, least=1)
    if not isinstance(shape, tuple):
        raise UsageError(f"shape: {describe_value(shape)}, expected the shape of one row, such as (28, 28).")
    path = Path(path_text("dest", dest))
    if not path.name:
        raise UsageError(f"{path}: expected the name of what is written, such as {path / 'data.arrow'}.")
    writer = WRITERS[choose_format(path, format)]
    form, incoming = _form(path, batches, rows, shape, np.dtype(dtype), classes, scale, soft, sources or {})
    check_space(path, rows * form.row_bytes)
    with lock(path):
        remove_leftovers(path)
        with writer(path, form) as output:
            done = 0
            for x, t in _blocks(incoming, form, str(path)):
                stored = np.ascontiguousarray(t, np.float64 if soft else np.int64)
                output.write(x, t, hash_block([(x, stored)]))
                done += len(x)
                if progress is not None:
                    progress(done, rows)
    return path


def choose_format(path: Path, format: str | None) -> str:
    """Return the format's name: the given one, else by the path's ending. Raises UsageError."""
    ending = path.suffix.lower()
    if format is None and ending in NEVER_WRITTEN:
        raise UsageError(
            f"{path}: an .arrow file or a folder of .npy files is written, no {path.suffix} file. Call it "
            f"{path.stem}.arrow, or say format='npy' (--format npy) for a folder of this name."
        )
    chosen = format or ("arrow" if ending == ".arrow" else "npy")
    if chosen not in WRITERS:
        raise UsageError(f"{path}: format {chosen!r}, expected one of {', '.join(WRITERS)}.")
    return chosen


def _form(
    path: Path,
    batches: Iterable[Batch],
    rows: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    classes: int | None,
    scale: float | None,
    soft: bool,
    sources: Mapping[str, str],
) -> tuple[Form, Iterator[Batch]]:
    """Check the arguments; return the form, and the batches with the one that was looked at put back."""
    check_shape(str(path), shape)
    if dtype.name not in ("uint8", "float32"):
        raise UsageError(f"{path}: dtype {dtype}, expected uint8 or float32.")
    if soft and classes is None:
        raise UsageError(f"{path}: classes None, but one-hot and soft targets need their number.")
    incoming = iter(batches)
    first = next(incoming, None)
    if first is not None:
        incoming = itertools.chain([first], incoming)
    if soft:
        label_dtype = np.dtype(np.float32)
    else:
        label_dtype = _label_dtype(
            classes, np.dtype(np.int64) if first is None else np.asarray(first[1]).dtype
        )
    factor = choose_scale(str(path), scale, None, dtype)
    record = Record(rows, shape, dtype.name, classes, factor, dict(sources))
    return Form(shape, dtype, label_dtype, classes if soft else None, record), incoming


def _label_dtype(classes: int | None, given: np.dtype[Any]) -> np.dtype[Any]:
    """Return the smallest unsigned dtype that holds every class; uint8 or int64 when they are not known."""
    if classes is None:
        return np.dtype(np.uint8) if given == np.uint8 else np.dtype(np.int64)
    return np.min_scalar_type(classes - 1)


def _blocks(batches: Iterator[Batch], form: Form, name: str) -> Iterator[Batch]:
    """Yield blocks of exactly BLOCK_ROWS rows, the last one shorter, in memory that is used again."""
    x_block = np.empty((min(BLOCK_ROWS, form.record.rows), *form.shape), form.dtype)
    t_block = np.empty((len(x_block), form.width) if form.width else len(x_block), form.label_dtype)
    filled, seen = 0, 0
    for x, t in batches:
        if is_masked(x) or is_masked(t):
            raise DataError(f"{name}, row {seen}: a batch with masked values, expected plain arrays.")
        x, t = _checked(np.asarray(x), np.asarray(t), seen, form, name)
        seen += len(x)
        if seen > form.record.rows:
            break
        done = 0
        while done < len(x):
            take = min(len(x) - done, BLOCK_ROWS - filled)
            x_block[filled : filled + take] = x[done : done + take]
            t_block[filled : filled + take] = t[done : done + take]
            done, filled = done + take, filled + take
            if filled == BLOCK_ROWS:
                yield x_block, t_block
                filled = 0
    if seen != form.record.rows:
        more = " or more" if seen > form.record.rows else ""
        raise DataError(
            f"{name}: {seen}{more} rows came, {form.record.rows} were announced. Nothing was written."
        )
    if filled:
        yield x_block[:filled], t_block[:filled]


def _checked(x: NDArray[Any], t: NDArray[Any], first: int, form: Form, name: str) -> Batch:
    """Return a batch whose first row is `first`, checked. Raises DataError, LabelError."""
    wanted = (len(x), form.width) if form.width else (len(x),)
    kinds = "iufb" if form.width else "iu"
    if x.dtype != form.dtype or x.shape[1:] != form.shape or t.shape != wanted or t.dtype.kind not in kinds:
        raise DataError(
            f"{name}, row {first}: a batch of {x.dtype} {x.shape} with targets {t.dtype} {t.shape}, expected "
            f"{form.dtype} {('n', *form.shape)} with {'numbers' if form.width else 'integers'} "
            f"{('n', *wanted[1:])}."
        )
    plain = np.ascontiguousarray(t, np.float64 if form.width else np.int64)
    classes = form.record.classes
    if not targets.all_right(plain, classes):
        raise targets.refuse(
            name, classes, [(range(first, first + len(x)), t if t.dtype.kind == "u" else plain)]
        )
    return x, t
