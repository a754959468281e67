"""JSON that carries its own SHA-256, so that one altered bit is seen. Knows nothing of what is in it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from streameval.errors import DataError
from streameval.files import atomic_file, storage_errors

SEAL = "sha256"


class DamagedError(DataError):
    """What was written is not whole any more (3)."""


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """`content` with `sha256` added: the SHA-256 of its canonical JSON (sorted keys, no spaces, ASCII)."""
    return content | {SEAL: _hash(content)}


def is_sealed(content: dict[str, Any]) -> bool:
    """Whether the `sha256` in `content` is that of the rest of it."""
    return content.get(SEAL) == _hash({name: value for name, value in content.items() if name != SEAL})


def write(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write `content`, sealed, whole or not at all. Raises StorageError."""
    with atomic_file(path) as file:
        file.write(json.dumps(seal(content)).encode() + b"\n")


def read(path: str | os.PathLike[str], schemas: tuple[str, ...], what: str) -> dict[str, Any]:
    """Read what `write` wrote, now or in an earlier version; the last of `schemas` is today's.

    Raises:
        DamagedError: it is no JSON object with a schema, or was altered.
        DataError: it is whole, but of another schema.
        StorageError: it cannot be read.
    """
    schema = schemas[-1]
    with storage_errors(path):
        raw = Path(path).read_bytes()
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise DamagedError(f"{path}: begins with {raw[:24]!r}, expected {what} ({schema}).")
    if not is_sealed(content):
        raise DamagedError(
            f"{path}: altered or damaged, its SHA-256 does not fit. Expected {what} ({schema})."
        )
    if content["schema"] not in schemas:
        raise DataError(f"{path}: its schema is {content['schema']!r}, expected {what} ({schema}).")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
