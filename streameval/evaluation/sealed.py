"""JSON that carries its own SHA-256, so that one altered bit is seen; with a key, also that its owner wrote it.

Knows nothing of what is in it. The SHA-256 is a checksum: who alters the content can make it anew. Only the HMAC of a
key that others do not have tells who wrote it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
from typing import Any, NoReturn

from streameval import json_text
from streameval.errors import CheckError, DataError, UsageError
from streameval.files import atomic_file, read_small

SEAL, SIGNATURE = "sha256", "hmac"
# A state of 1,000 classes is 3 MB, a report over a thousand million rows 20 MB.
MOST_BYTES = 1 << 28
LEAST_KEY, MOST_KEY = 16, 1 << 16


class DamagedError(DataError):
    """What was written is not whole any more (3)."""


def seal(content: dict[str, Any], key: bytes | None = None) -> dict[str, Any]:
    """`content` with `sha256` added: the SHA-256 of its canonical JSON (sorted keys, no spaces, ASCII).

    key  where given, `hmac` is added before: the HMAC-SHA256 of the same without either
    """
    bare = {name: value for name, value in content.items() if name not in (SEAL, SIGNATURE)}
    signed = bare if key is None else bare | {SIGNATURE: _signature(bare, key)}
    return signed | {SEAL: _hash(signed)}


def is_sealed(content: dict[str, Any]) -> bool:
    """Whether the `sha256` in `content` is that of the rest of it."""
    try:
        return content.get(SEAL) == _hash({name: value for name, value in content.items() if name != SEAL})
    except (TypeError, ValueError, RecursionError):  # no JSON: a program gave it
        return False


def check_signature(name: object, content: dict[str, Any], key: bytes | None) -> None:
    """Raise CheckError unless the content was signed with the key; without one there is nothing to check."""
    if key is None:
        return
    bare = {name: value for name, value in content.items() if name not in (SEAL, SIGNATURE)}
    found = content.get(SIGNATURE)
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), _signature(bare, key).encode()):
        what = "no signature" if found is None else "a signature that is not of this key"
        raise CheckError(
            f"{name}: it has {what}. Who has the key signs with --key what is evaluated; ask for such a file."
        )


def read_key(path: str | os.PathLike[str]) -> bytes:
    """The key that lies in a file, or comes from a pipe: all its bytes.

    Raises StorageError, and UsageError for less than 16 bytes.
    """
    key = read_small(path, "a key", MOST_KEY)
    if len(key) < LEAST_KEY:
        raise UsageError(
            f"{path}: a key of {len(key)} bytes, expected {LEAST_KEY} or more. To make one: "
            "head -c 32 /dev/urandom > KEY; chmod 600 KEY"
        )
    return key


def parse(raw: bytes) -> Any:
    """What JSON says. Raises ValueError for what is none, and for what two readers could understand differently: a
    name that is in an object twice, NaN, numbers beyond float64; and for nesting without end."""
    try:
        return json.loads(raw, object_pairs_hook=json_text.once, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested without end") from None


def load(path: str | os.PathLike[str]) -> Any:
    """`parse` of a file. Raises DamagedError if it is no JSON, StorageError if it cannot be read."""
    raw = read_small(path, "JSON", MOST_BYTES)
    try:
        return parse(raw)
    except ValueError as error:
        raise DamagedError(
            f"{path}: begins with {raw[:24]!r}, and is no JSON ({str(error)[:120]})."
        ) from None


def write(path: str | os.PathLike[str], content: dict[str, Any], key: bytes | None = None) -> None:
    """Write `content`, sealed, whole or not at all. Raises StorageError."""
    with atomic_file(path) as file:
        file.write(json.dumps(seal(content, key)).encode() + b"\n")


def read(
    path: str | os.PathLike[str], schemas: tuple[str, ...], what: str, key: bytes | None = None
) -> dict[str, Any]:
    """Read what `write` wrote, now or in an earlier version; the last of `schemas` is today's.

    Raises:
        DamagedError: it is no JSON object with a schema, or was altered.
        DataError: it is whole, but of another schema.
        CheckError: it is not signed with the key. StorageError: it cannot be read.
    """
    schema = schemas[-1]
    try:
        content = load(path)
    except DamagedError as error:
        raise DamagedError(f"{error} Expected {what} ({schema}).") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise DamagedError(f"{path}: JSON without a schema, expected {what} ({schema}).")
    if not is_sealed(content):
        raise DamagedError(
            f"{path}: altered or damaged, its SHA-256 does not fit. Expected {what} ({schema})."
        )
    if content["schema"] not in schemas:
        raise DataError(f"{path}: its schema is {content['schema'][:60]!r}, expected {what} ({schema}).")
    check_signature(path, content, key)
    return content


def canonical(content: Any) -> str:
    """The one JSON of a content: equal texts for equal values of equal types."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def _signature(content: dict[str, Any], key: bytes) -> str:
    return hmac.new(key, canonical(content).encode(), hashlib.sha256).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond all numbers")
    return number
