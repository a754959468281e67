"""`open`: from whatever names a data set to a Source.

Knows what names data: paths, patterns, pairs, arrays, objects in a store. Which format a file is of, `formats` knows;
how it is read, `reading`.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streameval.arguments import path_text
from streameval.errors import DataError, StorageError, StreamevalWarning, UsageError
from streameval.objects import is_remote
from streameval.storage import arrays, splits
from streameval.storage.access import OwnAccess, PlainRows
from streameval.storage.adopted import adopted
from streameval.storage.checked import checked
from streameval.storage.formats import ENDINGS, FORMATS, FORMS, SNIFFED, Format, Named, format_of, recognise
from streameval.storage.mapping import File
from streameval.storage.memory_limit import cacheable
from streameval.storage.natural import natural
from streameval.storage.normalised import Numbers, normalised
from streameval.storage.npy import IMAGES
from streameval.storage.reading import ReadOptions, access_to
from streameval.storage.source import Source, is_source
from streameval.storage.stored import StoredSource
from streameval.tables.columns import WORDS, Names, columns_of

if TYPE_CHECKING:
    from streameval.tables.table import Table

GLOB = re.compile(r"[*?\[]")


def open(
    data: object,
    *,
    io: str = "auto",
    scale: float | None = None,
    check: bool = False,
    features: Names = None,
    target: Names = None,
    image: str | None = None,
    mean: Numbers = None,
    std: Numbers = None,
) -> Source:
    """Open a data set; nothing but headers is read, unless it is a table.

    data   a path (str or PathLike) to an .arrow file (Arrow IPC file), or to a folder of images.npy,
           labels.npy and manifest.json; a folder, glob or list of several of them, one row numbering, files
           in natural order (part-2 before part-10; a list in its own order); a tuple (images, labels) of
           paths of IDX files, raw or .gz, or of .npy files; a tuple (x, t) of arrays, or of tensors, frames, series
           or lists in memory: x uint8 or float32 of two or more dimensions, other integers if all lie in 0..255,
           which are taken as uint8, or with a scale as float32, or other floats, which are rounded to float32;
           t integers (n,) or one-hot/soft (n, classes). A Source is returned as it is, one of your own with the
           members filled in that it lacks (`adopted.OPTIONAL`).
           "s3://bucket/key.arrow", or "s3://bucket/folder/" for all .arrow files in it.
           Tables are copied to temporary files (TMPDIR), once, batch by batch: a .parquet, .csv, .tsv, .jsonl or .npz
           file, an Arrow stream, an Arrow file of any columns where they are named; a folder, glob or list of several
           of one kind; a folder of images (.png, .jpg) by class; what `datasets` saved; a frame of pandas or Polars, a
           table of pyarrow, a reader of record batches, a `datasets.Dataset`, anything with `__arrow_c_stream__`; a
           `Dataset` or `DataLoader` of torch
    io     how files are read. "auto": mapped; of files larger than half of memory, what the page cache does not
           hold is read past it. "mmap": mapped, whatever their size. "direct": all read past the page cache, where
           the file system can. "pread": by position into memory, for file systems where mapping is unsafe
    scale  factor from stored values to features; default: as recorded, else 1/255 for uint8, 1 for float32

    check  hash the rows as they are read, a block of 16,384 at a time, and compare with the hashes that are recorded
           beside the data, or with an earlier reading: see `checked.CheckedSource`
    features, target, image   of a table: the columns of features, by names, patterns ("pixel*") or one text with commas
           between; that of class numbers, or of lists of weights; or that of encoded images or arrays, in place of
           features. None: told by their names and types, and a StreamevalWarning says which were taken. Names that
           differ in their numbers alone are put in the order of these (pixel2 before pixel10), unless named one by one.
           Integer features that all lie in 0..255 are pixels, of whatever width; others are float32

    mean, std   features are (value * scale - mean) / std as rows are read, in float64 and rounded to float32: a number;
           one for each channel of images, first or last dimension; or one for each feature

    Soft rows are weights: a row's loss is -sum_k t_k log(y_k + eps) whatever they sum to, and each row is one row in a
    mean. A StreamevalWarning names the first row whose weights do not sum to 1 within 0.001.

    Compressed Arrow files are decompressed batch by batch, and a StreamevalWarning says so. IDX .gz files are
    decompressed into memory, up to 256 MiB each.

    Raises:
        DataError: damaged, truncated, or of a form that is not accepted.
        StorageError: no such file, no permission, not a file.
        UsageError: an argument that cannot mean anything.
    """
    options = ReadOptions(io, scale, columns_of(features, target, image))
    source = open_with(data, options)
    if check:
        # What was stored is compared with what is recorded of it.
        return checked(normalised(checked(source), mean, std))
    return normalised(source, mean, std)


def open_with(data: object, options: ReadOptions) -> Source:
    """The same, as the options say."""
    for is_named_so, opened in NAMES:
        if is_named_so(data):
            return opened(data, options)
    raise _no_data(data)


def _no_data(data: object) -> UsageError:
    """The error about something that is no data set, with what to write where that is known."""
    kind, cure = type(data).__name__, ""
    if isinstance(data, tuple):
        kind = f"a tuple of ({', '.join(type(one).__name__ for one in data[:4])}{', ...' if len(data) > 4 else ''})"
    elif isinstance(data, dict):
        cure = " Give two of its values: (data['x'], data['t'])."
    elif _is_array_like(data):
        cure = " Give its targets too: (x, t)."
    return UsageError(f"{kind} was given as data, expected {FORMS}.{cure}")


def _is_path(data: object) -> bool:
    return isinstance(data, str | os.PathLike)


def _list_of(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda data: isinstance(data, list) and len(data) > 0 and all(map(kind, data))


def _pair_of(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda data: isinstance(data, tuple) and len(data) == 2 and all(map(kind, data))


def _is_array_like(data: object) -> bool:
    """Tensors, frames and series are; paths, and lists, which may be of them, are not."""
    return hasattr(data, "__array__") and not _is_path(data)


def _is_numbers(data: object) -> bool:
    """Half of a pair in memory: lists are none of paths there."""
    return _is_array_like(data) or isinstance(data, list)


def _path(data: Any, options: ReadOptions) -> Source:
    text = path_text("data", data)
    path = Path(text)
    if path.is_dir():
        return _folder(path, text, options)
    if GLOB.search(text) and not path.exists():
        matches = _shown(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise StorageError(f"{text}: no file matches. Check the pattern, and quote it in a shell.")
        return _several(text, matches, options)
    return _one(path, options)


def _folder(path: Path, text: str, options: ReadOptions) -> Source:
    """A folder that is a data set of its own, or one of files that are read as one."""
    if format_of("folder", path) is not None:
        return _one(path, options)
    files = _shown(file for ending in ENDINGS for file in path.glob(f"*{ending}"))
    if not files:
        from streameval.tables import folders

        if found := folders.splits(path):
            raise folders.several_splits(path, found)
        raise DataError(
            f"{path}: a folder without {', '.join(ENDINGS)} files and without {IMAGES}. Expected {FORMS}."
        )
    splits.warn_of_several(
        text, [file.name for file in files], f"a file, or a pattern such as '{path}/*SPLIT*'."
    )
    return _several(text, files, options)


def _paths(data: Any, options: ReadOptions) -> Source:
    return _several(f"{data[0]} and {len(data) - 1} more", [Path(one) for one in data], options)


def _several(name: str, paths: Sequence[Path], options: ReadOptions) -> Source:
    if len(paths) == 1:
        return _one(paths[0], options)
    tables = [_table(path, options) for path in paths]
    if None not in tables:
        from streameval.tables.joined import joined

        return _copied(joined(name, [table for table in tables if table is not None]), options)
    if any(tables):
        odd = paths[tables.index(None)]
        raise DataError(
            f"{odd}: another form than the tables beside it, of which {name} is made. Files that are read as one data "
            "set must be alike: name one kind alone, such as 'folder/*.parquet'."
        )
    from streameval.storage.many import ManySource

    large = not cacheable(sum(_size(path) for path in paths))
    options = replace(options, large=large)
    return ManySource(name, [_part(path, name, options) for path in paths])


def _part(path: Path, whole: str, options: ReadOptions) -> StoredSource:
    """Open one of the files that are read as the data set `whole`; an error says that it is one of several."""
    try:
        return _one(path, options)
    except DataError as error:
        raise DataError(
            f"{error} It was opened as a part of {whole}, where all .arrow files are read as one data set: put what is "
            "no data elsewhere, or name the files that are."
        ) from None


def _one(path: Path, options: ReadOptions) -> StoredSource:
    """One file, or one folder that is a data set of its own."""
    table = _table(path, options)
    if table is not None:
        return _copied(table, options)
    given: Any = path if path.is_dir() else File(path)
    named_by: Named = "folder" if path.is_dir() else "file"
    form = recognise(named_by, path, b"" if path.is_dir() else given.read(0, min(SNIFFED, given.size)))
    _refuse_columns(str(path), options)
    return _source(_rows(form, given), options)


def _table(path: Path, options: ReadOptions) -> Table | None:
    """The table at a path, None for what is mapped as it lies."""
    if path.is_dir():
        form = format_of("folder", path)
    else:
        file = File(path)
        form = format_of("file", path, file.read(0, min(SNIFFED, file.size)))
        file.close()
    if form is None:
        return None
    # Named columns of an Arrow file are read as those of a table.
    if form is FORMATS["arrow"] and options.columns.given:
        return FORMATS["arrow stream"].table_at(path)
    return form.table_at(path)


def _copied(table: Table, options: ReadOptions) -> StoredSource:
    from streameval.storage.tabular import open_table

    return open_table(table, options)


def is_table_at(path: str | os.PathLike[str]) -> bool:
    """Whether a table, or a data set in one file, lies at a path, and no half of a pair; not where nothing lies."""
    if not Path(path).is_file():
        return False
    file = File(path)
    with contextlib.closing(file):
        return format_of("file", file.path, file.read(0, min(SNIFFED, file.size))) is not None


def _rows(form: Format, *given: Any) -> PlainRows | OwnAccess:
    assert form.rows is not None
    return form.rows(*given)


def _refuse_columns(name: str, options: ReadOptions) -> None:
    """Raise UsageError where columns were named of what has none."""
    for role in options.columns.given:
        raise UsageError(f"{name}: {WORDS[role]} was given, but this is no table with columns. Leave it out.")


def _pair(data: Any, options: ReadOptions) -> StoredSource:
    images, labels = (Path(one) for one in data)
    file = File(images)
    form = recognise("pair", images, file.read(0, min(SNIFFED, file.size)))
    _refuse_columns(f"{images} and {labels}", options)
    return _source(_rows(form, file, File(labels)), options)


def _arrays(data: Any, options: ReadOptions) -> StoredSource:
    _refuse_columns(arrays.NAME, options)
    x, t = (arrays.as_array(name, given) for name, given in zip("xt", data, strict=True))
    made = arrays.rows(x, t, options.scale is not None)
    if options.scale is None and (hint := arrays.hint(x)):
        warnings.warn(f"{arrays.NAME}: {hint}.", StreamevalWarning, stacklevel=2)
    return _source(made, options)


def _is_table_in_memory(data: object) -> bool:
    from streameval.tables import memory

    return memory.opener(data) is not None


def _in_memory(data: Any, options: ReadOptions) -> StoredSource:
    from streameval.tables import memory

    make = memory.opener(data)
    assert make is not None
    return _copied(make(data), options)


def _source(rows: PlainRows | OwnAccess, options: ReadOptions) -> StoredSource:
    access = rows.access if isinstance(rows, OwnAccess) else access_to(rows, options)
    return StoredSource(rows.layout, access, options.scale, options.io)


def _given(data: Any, options: ReadOptions) -> Source:
    if options.scale is not None:
        raise UsageError("scale was given with a data set that is open already. Give it when it is opened.")
    _refuse_columns(data.name, options)
    return adopted(data)


def _remote(data: Any, options: ReadOptions) -> Source:
    _refuse_columns(str(data), options)
    from streameval.storage.remote import open_remote

    return open_remote(data, options.scale)


def _remotes(data: Any, options: ReadOptions) -> Source:
    _refuse_columns(str(data[0]), options)
    from streameval.storage.remote import open_objects

    return open_objects(f"{data[0]} and {len(data) - 1} more", data, options.scale)


# What may name a data set, and how it is opened then; the first that fits counts.
NAMES: Final[tuple[tuple[Callable[[object], bool], Callable[[Any, ReadOptions], Source]], ...]] = (
    (is_source, _given),
    (is_remote, _remote),
    (_list_of(is_remote), _remotes),
    (_is_path, _path),
    (_list_of(_is_path), _paths),
    (_pair_of(lambda one: isinstance(one, np.ndarray)), _arrays),
    (_is_table_in_memory, _in_memory),
    (_pair_of(_is_numbers), _arrays),
    (_pair_of(_is_path), _pair),
)


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; 0 for what is not there."""
    files = path.iterdir() if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _shown(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that numbers in their names count as numbers; dot files are left out."""
    return sorted((path for path in paths if not path.name.startswith(".")), key=natural)
