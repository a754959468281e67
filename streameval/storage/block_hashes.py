"""Hashes of blocks of 16,384 rows, and the fingerprint that they make up.

Knows SHA-256 and what counts as the content. Does not know formats: the same rows give the same fingerprint
from every one of them.

A block's hashes are those of its features, as stored, and of its targets, as int64 labels or float64 rows (so
the width of the integers in a file does not matter). The fingerprint covers shape, dtype, scale, the width of
soft targets, and all hashes. The number of classes of integer labels is not content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.storage.source import Hashes, Source, Span

BLOCK_ROWS = 16_384
HASH_UP_TO = 1 << 30
"""Content of at most this many bytes is hashed whole when nothing is recorded; more is sampled."""
SAMPLED_ROWS = 4_096


def hash_block(parts: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> Hashes:
    """Return the SHA-256 of the features and of the targets of `parts`, taken one after another.

    parts: (features, targets), C-contiguous; targets int64 or float64, little-endian.
    """
    features, targets = hashlib.sha256(), hashlib.sha256()
    for x, t in parts:
        features.update(_bytes(x))
        targets.update(_bytes(t))
    return features.hexdigest(), targets.hexdigest()


def fingerprint(source: Source, hashes: Iterable[Hashes]) -> str:
    """Return "sha256:..." over the form of the rows and the hashes of all their blocks."""
    total = hashlib.sha256(_form(source).encode())
    for block in hashes:
        total.update("".join(block).encode())
    return f"sha256:{total.hexdigest()}"


def computed_fingerprint(source: Source) -> str:
    """Return the fingerprint of a source that records no hashes, by reading it.

    Above 1 GiB that would take too long: then "sample-sha256:..." over the number of rows and 4,096 evenly
    spaced rows, which tells data sets apart but does not see every change.
    """
    if source.rows * source.features * source.dtype.itemsize <= HASH_UP_TO:
        return fingerprint(source, hashes_of(source))
    rows = np.linspace(0, source.rows - 1, SAMPLED_ROWS).astype(np.int64)
    total = hashlib.sha256(f"{_form(source)} {source.rows}".encode())
    for cut in Span(0, len(rows)).cut(256):
        chunk = source.take(rows[cut.start : cut.stop])
        total.update("".join(hash_block([(chunk.x, chunk.t)])).encode())
    return f"sample-sha256:{total.hexdigest()}"


def hashes_of(source: Source) -> Iterator[Hashes]:
    """Yield the hashes of each block of a source, by reading it."""
    for block in Span(0, source.rows).cut(BLOCK_ROWS):
        yield hash_block((chunk.x, chunk.t) for chunk in source.chunks(block, BLOCK_ROWS))


def _form(source: Source) -> str:
    width = source.classes if source.soft else None
    return json.dumps([list(source.shape), source.dtype.name, source.scale, width])


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def parts_fingerprint(parts: Iterable[str]) -> str:
    """Return "parts-sha256:..." over the fingerprints of the parts of a data set."""
    return f"parts-sha256:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"
