"""Writing folders of images.npy, labels.npy and manifest.json that `npy` and NumPy read.

Knows the headers of .npy files. Does not know where blocks come from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.files import atomic_folder, storage_errors
from streameval.storage.form import Form
from streameval.storage.npy import IMAGES, LABELS, MANIFEST, manifest_text
from streameval.storage.source import Hashes


class NpyWriter:
    """Blocks appended to two arrays; the hashes go into the manifest at the end."""

    def __init__(self, images: BinaryIO, labels: BinaryIO) -> None:
        self._images = images
        self._labels = labels
        self.hashes: list[Hashes] = []

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, form: Form) -> Iterator[NpyWriter]:
        """Write to the folder `path`, which appears when the block ends without an error."""
        _check_replaceable(path)
        rows = form.record.rows
        with atomic_folder(path) as folder:
            with (folder / IMAGES).open("wb") as images, (folder / LABELS).open("wb") as labels:
                _header(images, (rows, *form.shape), form.dtype)
                _header(labels, (rows, form.width) if form.width else (rows,), form.label_dtype)
                writer = cls(images, labels)
                yield writer
            (folder / MANIFEST).write_text(manifest_text(form.record, writer.hashes), encoding="utf-8")

    def write(self, x: NDArray[Any], t: NDArray[Any], hashes: Hashes) -> None:
        """Append one block."""
        self._images.write(x.data)
        self._labels.write(np.ascontiguousarray(t).data)
        self.hashes.append(hashes)


def _header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)


def _check_replaceable(path: Path) -> None:
    """Raise UsageError when the folder `path` holds anything but an earlier data set: it would be lost."""
    with storage_errors(path):
        others = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    others = [name for name in others if name not in (IMAGES, LABELS, MANIFEST)]
    if others:
        raise UsageError(
            f"{path}: a folder that holds other files ({', '.join(others[:3])}), expected a new path or an "
            "earlier data set. Choose another destination."
        )
