"""What identifies a model file: its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from streameval.files import storage_errors


def file_sha256(path: str) -> str:
    """SHA-256 (hex) of a file. Raises StorageError if it cannot be read."""
    with storage_errors(path), Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
