"""The checksum that files of weights saved here carry among their metadata: of all else that they hold.

Knows headers of safetensors as dicts. It is no signature: who alters a file on purpose can renew it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

# Its name among the metadata.
RECORDED: Final = "streameval.sha256"


def checksum(header: dict[str, Any], numbers: bytes) -> str:
    """Return the SHA-256 (hex) of a header, without the checksum in it, and of what follows."""
    metadata = {name: text for name, text in header["__metadata__"].items() if name != RECORDED}
    total = hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())
    total.update(numbers)
    return total.hexdigest()
