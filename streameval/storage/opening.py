"""`open`: from whatever names a data set to a Source.

Knows which format a path is. Does not know any format.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from streameval.errors import DataError, StorageError, UsageError
from streameval.objects import is_remote
from streameval.storage import arrow, compressed, idx, npy
from streameval.storage.access import Access, Decompressed, Reads, Views
from streameval.storage.arrays import open_arrays
from streameval.storage.direct import Direct
from streameval.storage.layout import Layout
from streameval.storage.many import ManySource
from streameval.storage.mapping import File
from streameval.storage.remote import open_objects, open_remote
from streameval.storage.room import cacheable
from streameval.storage.source import Source
from streameval.storage.stored import StoredSource

WAYS = ("auto", "mmap", "direct", "pread")
# What "auto" becomes for files that are small, each, but too large together.
LARGE = "large"
FORMS = (
    "an .arrow file, a folder of images.npy and labels.npy, a folder, glob or list of several of them, "
    "a pair (images, labels) of IDX paths, or a pair (x, t) of NumPy arrays"
)
WEIGHTS = (".safetensors", ".pkl", ".pickle", ".onnx", ".npz")
GLOB = re.compile(r"[*?\[]")
CURES = {
    b"PAR1": "a Parquet file was found. Write it as Arrow: pq.read_table(PATH), then pa.ipc.new_file(...)",
    b"PK\x03\x04": "a zip or .npz file was found. Open its arrays: se.open((x, t))",
    npy.MAGIC[:4]: "one .npy file was found. Give the folder of images.npy and labels.npy, or both paths",
    b"\x00\x00\x08\x01": "IDX labels alone were found. Give both paths: se.open((images, labels))",
    b"\x00\x00\x08\x03": "IDX images alone were found. Give both paths: se.open((images, labels))",
    b"\x1f\x8b\x08": "one gzip file was found. Give IDX images and labels: se.open((images, labels))",
}


def open(data: object, *, io: str = "auto", scale: float | None = None) -> Source:
    """Open a data set; nothing but headers is read.

    data   a path (str or PathLike) to an .arrow file (Arrow IPC file), or to a folder of images.npy,
           labels.npy and manifest.json; a folder, glob or list of several of them, one row numbering, files
           in natural order (part-2 before part-10; a list in its own order); a tuple (images, labels) of
           paths of IDX files, raw or .gz, or of .npy files; a tuple (x, t) of arrays: x uint8 or float32 of
           two or more dimensions, t integers (n,) or one-hot/soft (n, classes). A Source is returned as it
           is. "s3://bucket/key.arrow", or "s3://bucket/folder/" for all .arrow files in it.
    io     how files are read. "auto": mapped; of files larger than half of memory, what the page cache does not
           hold is read past it. "mmap": mapped, whatever their size. "direct": all read past the page cache, where
           the file system can. "pread": by position into memory, for file systems where mapping is unsafe
    scale  factor from stored values to features; default: as recorded, else 1/255 for uint8, 1 for float32

    Soft rows are weights: a row's loss is -sum_k t_k log(y_k + eps) whatever they sum to, and each row is one row in a
    mean. A StreamevalWarning names the first row whose weights do not sum to 1 within 0.001.

    Compressed Arrow files are decompressed batch by batch, and a StreamevalWarning says so. IDX .gz files are
    decompressed into memory, up to 256 MiB each.

    Raises:
        DataError: damaged, truncated, or of a form that is not accepted.
        StorageError: no such file, no permission, not a file.
        UsageError: an argument that cannot mean anything.
    """
    if io not in WAYS:
        raise UsageError(f"io is {io!r}, expected one of {', '.join(WAYS)}.")
    if is_remote(data) and isinstance(data, str):
        return open_remote(data, scale)
    if isinstance(data, list) and data and all(is_remote(one) for one in data):
        return open_objects(f"{data[0]} and {len(data) - 1} more", data, scale)
    if isinstance(data, str | os.PathLike):
        return _open_path(os.fspath(data), io, scale)
    if isinstance(data, tuple) and len(data) == 2:
        x, t = data
        if isinstance(x, np.ndarray) and isinstance(t, np.ndarray):
            return open_arrays(x, t, scale)
        if isinstance(x, str | os.PathLike) and isinstance(t, str | os.PathLike):
            return _open_pair(Path(x), Path(t), io, scale)
    if isinstance(data, list) and data and all(isinstance(one, str | os.PathLike) for one in data):
        return _open_many(f"{data[0]} and {len(data) - 1} more", [Path(one) for one in data], io, scale)
    if all(hasattr(type(data), name) for name in ("chunks", "take", "fingerprint")):
        if scale is not None:
            raise UsageError(
                "scale was given with a data set that is open already. Give it when it is opened."
            )
        return cast(Source, data)
    raise UsageError(f"{type(data).__name__} was given as data, expected {FORMS}.")


def _open_path(given: str | bytes, io: str, scale: float | None) -> Source:
    text = os.fsdecode(given)
    path = Path(text)
    if path.is_dir():
        if (path / npy.IMAGES).exists():
            return _open_folder(path, io, scale)
        found = _natural(path.glob("*.arrow"))
        if not found:
            raise DataError(
                f"{path}: a folder without .arrow files and without {npy.IMAGES}. Expected {FORMS}."
            )
        return _open_many(text, found, io, scale)
    if GLOB.search(text) and not path.exists():
        found = _natural(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not found:
            raise StorageError(f"{text}: no file matches. Check the pattern, and quote it in a shell.")
        return _open_many(text, found, io, scale)
    return _open_arrow(path, io, scale)


def _open_many(name: str, paths: Sequence[Path], io: str, scale: float | None) -> Source:
    if io == "auto" and not cacheable(sum(_size(path) for path in paths)):
        io = LARGE
    parts = [_open_part(path, io, scale, name if len(paths) > 1 else None) for path in paths]
    return parts[0] if len(parts) == 1 else ManySource(name, parts)


def _open_part(path: Path, io: str, scale: float | None, whole: str | None) -> StoredSource:
    """Open one of the files that are read as the data set `whole`; an error says that it is one of several."""
    try:
        return (_open_folder if path.is_dir() else _open_arrow)(path, io, scale)
    except DataError as error:
        if whole is None:
            raise
        raise DataError(
            f"{error} It was opened as a part of {whole}, where all .arrow files are read as one data set: put what is "
            "no data elsewhere, or name the files that are."
        ) from None


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; 0 for what is not there."""
    files = path.iterdir() if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _open_arrow(path: Path, io: str, scale: float | None) -> StoredSource:
    file = File(path)
    start = file.read(0, min(4, file.size))
    if path.suffix in WEIGHTS and start != arrow.MAGIC[:4]:
        raise DataError(
            f"{path}: a file of weights, expected data. Is the order MODEL DATA? Data are {FORMS}."
        )
    for magic, cure in CURES.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {cure}. Expected {FORMS}.")
    layout = arrow.layout(file)
    if layout.compressed is not None:
        compressed.warn(str(path), layout.compressed[0].codec)
        return StoredSource(layout, Decompressed(layout, file), scale)
    return _stored(layout, file, file, io, scale)


def _open_folder(path: Path, io: str, scale: float | None) -> StoredSource:
    images, labels, manifest = (path / name for name in (npy.IMAGES, npy.LABELS, npy.MANIFEST))
    return _open_npy(images, labels, manifest if manifest.exists() else None, io, scale)


def _open_pair(images: Path, labels: Path, io: str, scale: float | None) -> StoredSource:
    found = File(images)
    start = found.read(0, min(6, found.size))
    found.close()
    if start == npy.MAGIC:
        return _open_npy(images, labels, None, io, scale)
    if start == arrow.MAGIC:
        raise UsageError(
            f"{images}: an Arrow file in a pair, expected IDX images and labels. To read several Arrow files "
            "as one, give a list: se.open([first, second])."
        )
    x, t = idx.read_header(images, "images"), idx.read_header(labels, "labels")
    layout = idx.layout(x, t)
    if not (x.zipped or t.zipped):
        return _stored(layout, File(images), File(labels), io, scale)
    held = [np.frombuffer(idx.decompressed(one), np.uint8) for one in (x, t)]
    source = StoredSource(layout, Views(layout, *held), scale)
    source.files = (str(images), str(labels))
    return source


def _open_npy(
    images: Path, labels: Path, manifest: Path | None, io: str, scale: float | None
) -> StoredSource:
    x, t = File(images), File(labels)
    layout = npy.layout(x, t, manifest)
    return _stored(layout, x, t, io, scale)


def _stored(layout: Layout, values: File, labels: File, io: str, scale: float | None) -> StoredSource:
    """The rows of files that are not compressed, read the way `io` says."""
    return StoredSource(layout, _access(layout, values, labels, io), scale, "auto" if io == LARGE else io)


def _access(layout: Layout, values: File, labels: File, io: str) -> Access:
    if io == "pread":
        return Reads(layout, values, labels)
    mapped = values.map()
    mapped_labels = mapped if labels is values else labels.map()
    views = Views(layout, mapped, mapped_labels)
    if io in ("direct", LARGE) or (io == "auto" and not cacheable(values.size)):
        # Where that cannot be done, reading through the page cache is the next best.
        with contextlib.suppress(OSError):
            return Direct(layout, views, mapped, mapped_labels, always=io == "direct")
    return views


def _natural(paths: Any) -> list[Path]:
    """Sort paths so that numbers in their names count as numbers; dot files are left out."""

    def parts(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]

    key: Callable[[Path], list[tuple[int, str]]] = parts
    return sorted((path for path in paths if not path.name.startswith(".")), key=key)
