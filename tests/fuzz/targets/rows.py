"""What the fuzzers of data readers share: small rows, and what a source gives as bytes."""

from __future__ import annotations

from random import Random

import numpy as np

import streameval as se
from streameval.errors import DataError, StorageError
from streameval.storage.source import Span
from tests.fuzz.target import content_hash

REFUSALS = (DataError, StorageError)
ROWS, CLASSES = 50, 3
RNG = np.random.default_rng(1)
X = RNG.integers(0, 256, (ROWS, 16), dtype=np.uint8)
T = RNG.integers(0, CLASSES, ROWS)
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
# What is 1/255 times X, as float32: no two seeds share bytes.
XF = (X / np.float32(255)).astype(np.float32)


def content(x: np.ndarray, t: np.ndarray) -> bytes:
    """Return what tells rows apart: features (n, features) as stored, targets as int64 or float64."""
    t = t.astype(np.float64 if t.dtype.kind == "f" else np.int64)
    return content_hash([str(x.dtype).encode(), x.tobytes(), t.tobytes()])


def read(data: object, rng: Random) -> bytes:
    """Open a data set in one of the ways to read it, and return its content; some rows are also picked."""
    with se.open(data, io=rng.choice(("mmap", "pread", "direct"))) as source:
        chunks = [
            (chunk.x.copy(), chunk.t)
            for chunk in source.chunks(Span(0, source.rows), rng.choice((7, 20, 1 << 14)))
        ]
        empty = (np.empty((0, source.features), source.dtype), np.empty(0, np.int64))
        x, t = (np.concatenate(parts) for parts in zip(*(chunks or [empty]), strict=True))
        if source.rows:
            rows = np.array([rng.randrange(source.rows) for _ in range(5)])
            picked = source.take(rows)
            if not (np.array_equal(picked.x, x[rows], equal_nan=x.dtype.kind == "f")):
                raise AssertionError("rows that are picked differ from those that are read in order")
        source.check_unchanged()
        return content(x, t)
