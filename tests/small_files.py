"""Data files of 4 x 5 pixels in every form, for tests that damage them; and Python processes that can be killed."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from streameval import storage

SHAPE = (4, 5)


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    return rng.integers(0, 256, (rows, *SHAPE), dtype=np.uint8), rng.integers(0, 10, rows).astype(np.uint8)


def stored(path: Path, rows: int = 40_000, **more: object) -> Path:
    return storage.create(path, [drawn(rows)], rows=rows, shape=SHAPE, dtype="uint8", classes=10, **more)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_pair(folder: Path, rows: int, ending: str = "") -> tuple[Path, Path]:
    paths = folder / f"images{ending}", folder / f"labels{ending}"
    for path, array in zip(paths, drawn(rows), strict=True):
        raw = idx_bytes(array)
        path.write_bytes(gzip.compress(raw, 1) if ending else raw)
    return paths


def folder_of(path: Path, x: np.ndarray, t: np.ndarray) -> Path:
    """A data set of two .npy files."""
    path.mkdir(parents=True)
    np.save(path / "images.npy", x)
    np.save(path / "labels.npy", t)
    return path


def python(code: str, *args: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
