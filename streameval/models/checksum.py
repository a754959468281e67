"""The checksum that files of weights saved here carry among their metadata: of all else that they hold.

Knows headers of safetensors as dicts. It is no signature: who alters a file on purpose can renew it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

# Its name among the metadata.
RECORDED: Final = "streameval.sha256"


def fits(header: dict[str, Any], numbers: bytes) -> bool:
    """Whether a file is what was saved: its checksum is that of all else, and stands under its own name."""
    metadata = header.get("__metadata__") or {}
    if RECORDED in metadata:
        return bool(metadata[RECORDED] == checksum(header, numbers))
    # A bit of the name may have turned: then the sum of all else still fits. More such names would cost a hash each.
    alike = [name for name in metadata if len(name) == len(RECORDED) and _differing(name) == 1]
    return len(alike) != 1 or metadata[alike[0]] != checksum(header, numbers, alike[0])


def checksum(header: dict[str, Any], numbers: bytes, recorded: str = RECORDED) -> str:
    """Return the SHA-256 (hex) of a header, without what is `recorded` in it, and of what follows."""
    metadata = {name: text for name, text in header["__metadata__"].items() if name != recorded}
    total = hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())
    total.update(numbers)
    return total.hexdigest()


def _differing(name: str) -> int:
    return sum(one != other for one, other in zip(name, RECORDED, strict=True))
