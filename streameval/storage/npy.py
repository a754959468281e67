"""Folders of images.npy, labels.npy and manifest.json, and pairs of .npy files: where their rows lie.

Knows the headers of .npy files and the manifest. Does not know how data are fetched.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from streameval import json_text, npy_header
from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.storage.access import PlainRows
from streameval.storage.arrays import CLASS_NUMBERS, cast_cure
from streameval.storage.block_hashes import BLOCK_ROWS
from streameval.storage.layout import Layout, check_shape, one_batch
from streameval.storage.mapping import File
from streameval.storage.record import Record, parse
from streameval.storage.source import Hashes

IMAGES, LABELS, MANIFEST = "images.npy", "labels.npy", "manifest.json"
MAGIC = npy_header.MAGIC
MAX_MANIFEST = 64 << 20
# Kinds of dtypes: text, bytes, objects.
TEXT = ("U", "S", "O")


@frozen
class NpyFile:
    """A .npy file whose header was checked: the data begin at `offset`, in row-major order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


def folder_rows(folder: Path) -> PlainRows:
    """Return where the rows of a folder lie; its manifest, if there is one, is checked against them. See `rows`."""
    manifest = folder / MANIFEST
    return rows(File(folder / IMAGES), File(folder / LABELS), manifest if manifest.exists() else None)


def rows(images: File, labels: File, manifest: Path | None = None) -> PlainRows:
    """Return where the rows of a pair of .npy files lie.

    Raises:
        DataError: a damaged header, another dtype, shape or size than expected, or a manifest that disagrees.
    """
    return PlainRows(_layout(images, labels, manifest), images, labels)


def _layout(images: File, labels: File, manifest: Path | None) -> Layout:
    x, t = read_header(images), read_header(labels)
    name = str(images.path.parent if manifest is not None else images.path)
    if x.dtype.name not in ("uint8", "float32") or len(x.shape) < 2:
        raise DataError(
            f"{images.path}: {x.dtype} of shape {x.shape} was found, expected uint8 or float32 of two or "
            f"more dimensions, rows first. Save it again: np.save(path, x), x being {cast_cure(x.dtype, 'x')}."
        )
    soft = len(t.shape) == 2 or t.dtype.kind == "f"
    if len(t.shape) not in (1, 2) or t.dtype.kind not in ("iuf" if soft else "iu") or 0 in t.shape[1:]:
        raise DataError(
            f"{labels.path}: {t.dtype} of shape {t.shape} was found, expected integers (rows,) or numbers "
            "(rows, classes). Save it again: np.save(path, t.astype(np.int64))"
        )
    if x.shape[0] != t.shape[0]:
        raise DataError(
            f"{images.path}: {x.shape[0]} rows were found, but {t.shape[0]} in {labels.path}; the same "
            "number was expected. Take both files from the same data set."
        )
    check_shape(name, x.shape[1:])
    record, hashes = (None, None) if manifest is None else _read_manifest(manifest, x.shape[0])
    if record is not None:
        record.check(x.shape[0], x.shape[1:], x.dtype, name)
    width = t.shape[1] if len(t.shape) == 2 else 1
    classes = None if record is None else record.classes
    if soft and classes not in (None, width):
        raise DataError(
            f"{labels.path}: rows of {width} numbers, but {classes} classes are recorded in {manifest}."
        )
    starts, value_at, label_at = one_batch(x.shape[0], x.offset, t.offset)
    return Layout(
        name=name,
        path=name,
        shape=x.shape[1:],
        dtype=x.dtype,
        classes=width if soft else classes,
        scale=None if record is None else record.scale,
        soft=soft,
        label_dtype=t.dtype,
        width=width,
        starts=starts,
        value_at=value_at,
        label_at=label_at,
        hashes=hashes,
        sources={} if record is None else record.sources,
    )


def read_header(file: File) -> NpyFile:
    """Check the header of a .npy file against its size. Raises DataError."""
    try:
        header = npy_header.parse(file.read(0, min(file.size, npy_header.MAX_HEADER)))
    except npy_header.MalformedHeaderError as error:
        raise DataError(f"{file.path}: {error}. Save it again with np.save.") from None
    if header.fortran_order or not header.is_plain or header.descr[0] == ">":
        cure = "Save it again: np.save(path, np.ascontiguousarray(array, array.dtype.newbyteorder('<')))"
        if header.descr[1:2] in TEXT:
            cure = f"Save numbers: of the classes' names, np.save(path, {CLASS_NUMBERS})"
        raise DataError(
            f"{file.path}: dtype {header.descr!r}, fortran_order {header.fortran_order}; little-endian numbers in "
            f"row-major order were expected. {cure}"
        )
    dtype, shape = np.dtype(header.descr), header.shape
    expected = header.offset + dtype.itemsize * math.prod(shape)
    if file.size != expected:
        raise DataError(
            f"{file.path}: {file.size} bytes were found, {expected} expected for {dtype} of shape {shape}. "
            "Restore it from a good copy, or convert it again."
        )
    if header.offset % dtype.itemsize:
        raise DataError(
            f"{file.path}: the numbers begin at byte {header.offset}, expected a multiple of {dtype.itemsize}. "
            "Save it again: np.save(path, np.load(path))"
        )
    return NpyFile(shape, dtype, header.offset)


def manifest_text(record: Record, hashes: list[Hashes]) -> str:
    """Return the manifest: the record with its SHA-256, and the hashes of each block, one a line."""
    lines = ",\n".join(json.dumps(list(block)) for block in hashes)
    record_lines = f'"record": {record.text()},\n"sha256": {json.dumps(record.sha256)}'
    return f'{{\n{record_lines},\n"blocks": [\n{lines}\n]\n}}\n'


def _read_manifest(path: Path, rows: int) -> tuple[Record, tuple[Hashes, ...]]:
    file = File(path)
    if file.size > MAX_MANIFEST:
        raise DataError(
            f"{path}: {file.size} bytes, expected at most {MAX_MANIFEST}. Convert the data again."
        )
    try:
        content = json_text.parse(file.read(0, file.size))
        text, sha256 = json.dumps(content["record"], sort_keys=True), content["sha256"]
        hashes = tuple((str(one), str(two)) for one, two in content["blocks"])
        sound = isinstance(sha256, str)
    except (ValueError, KeyError, TypeError):
        sound = False
    finally:
        file.close()
    if not sound or len(hashes) != -(-rows // BLOCK_ROWS):
        raise DataError(
            f"{path}: not the manifest of {rows} rows. Convert the data again, or remove it to read the "
            "arrays alone."
        )
    record = parse(text, sha256, str(path))
    return record, hashes
