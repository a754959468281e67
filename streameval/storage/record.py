"""What is written down beside the data: rows, classes, scale, where they came from, and its own hash.

Knows the record's names and types. Does not know the file that it lies in: schema metadata or manifest.json.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any

import numpy as np

from streameval import json_text
from streameval.errors import DataError
from streameval.frozen import frozen

VERSION = 1
MAX_DIMENSIONS, MAX_DTYPE, MAX_TEXT = 64, 20, 4096
REWRITTEN = (
    "Restore it from a good copy, or convert it again. If it was made from another file with pyarrow, leave "
    "the metadata out: table.replace_schema_metadata(None)."
)
"""What to do about data and a record that do not belong together."""


@frozen
class Record:
    """The record of a data set written by the project.

    sources  name of a source file -> SHA-256 of its decompressed content
    """

    rows: int
    shape: tuple[int, ...]
    dtype: str
    classes: int | None
    scale: float
    sources: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION
    generator: str = "streameval"

    def text(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    def check(self, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
        """Raise DataError unless the data are of the form that is recorded."""
        actual, expected = (rows, shape, dtype.name), (self.rows, self.shape, self.dtype)
        if actual != expected:
            raise DataError(
                f"{name}: rows, shape and dtype {actual} were found, but {expected} are recorded beside them. "
                f"{REWRITTEN}"
            )

    @property
    def sha256(self) -> str:
        """SHA-256 of the record's text, kept beside it."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def parse(text: str, sha256: str | None, name: str) -> Record:
    """Return the record that `text` holds. Raises DataError when it was altered, or is of another version."""
    computed = hashlib.sha256(text.encode()).hexdigest()
    if computed != sha256:
        raise DataError(
            f"{name}: what is recorded beside the data has SHA-256 {computed}, expected {str(sha256)[:64]}. It is "
            "damaged: restore the file from a good copy, or convert it again."
        )
    try:
        fields = json_text.parse(text)
        record = Record(**{**fields, "shape": tuple(fields["shape"])})
    except (ValueError, TypeError, KeyError):
        record = None
    if record is None or not _sound(record):
        raise DataError(
            f"{name}: the record {text[:200]!r} was not understood, expected version {VERSION}. It comes "
            "from another version of streameval: convert the data again with this one."
        )
    return record


def _sound(record: Record) -> bool:
    """Whether every field has its type, and could be that of a file."""
    named = {"dtype": record.dtype, "generator": record.generator}
    if isinstance(record.sources, dict):
        named |= record.sources
    return (
        _count(record.rows, 0)
        and record.version == VERSION
        and (record.classes is None or _count(record.classes, 1))
        and len(record.shape) <= MAX_DIMENSIONS
        and len(str(record.dtype)) <= MAX_DTYPE
        and all(_count(side, 1) for side in record.shape)
        and type(record.scale) is float
        and math.isfinite(record.scale)
        and record.scale > 0
        and isinstance(record.sources, dict)
        and all(type(text) is str and len(text) <= MAX_TEXT for pair in named.items() for text in pair)
    )


def _count(number: Any, least: int) -> bool:
    return type(number) is int and least <= number < 2**62
