"""What is stored in a file, read field by field: of the right type and within reason, or DataError.

Knows JSON's types. Does not know what a field means.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from streameval.errors import DataError

# No count, sum or row number in a file is larger: sums of squares of 2**63 rows have 187 bits.
LARGEST = 1 << 192
LONGEST, LONGEST_PATH = 300, 8192
SHA256 = re.compile(r"[0-9a-f]{64}")
# What reading a content of another form may raise.
UNSOUND = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)


@contextlib.contextmanager
def intact(name: object, what: str) -> Iterator[None]:
    """Turn whatever a content of another form raises into DataError that names it; DataErrors are given the name."""
    try:
        yield
    except DataError as error:
        said = str(error) if len(str(error)) <= LONGEST_PATH // 4 else f"{str(error)[:LONGEST]}..."
        raise type(error)(said if said.startswith(str(name)) else f"{name}: {said}") from error
    except UNSOUND as error:
        raise DataError(f"{name}: {what} is damaged ({told(error)}). Compute it again.") from error


def integer(content: Any, name: str | int, *, least: int = -LARGEST, most: int = LARGEST) -> int:
    """An integer field; a number with a point is none, nor is true."""
    value = content[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {shown(value)}, expected an integer from {least} to {most}")
    return value


def number(content: Any, name: str) -> float:
    """A number, 0 or more."""
    value = content[name]
    if type(value) not in (int, float) or not 0 <= value <= 1e300:
        raise ValueError(f"{name} is {shown(value)}, expected a number, 0 or more")
    return float(value)


def text(content: Any, name: str, *, none: bool = False) -> Any:
    """A string, no longer than a path can be, or with `none` null."""
    value = content[name]
    most = LONGEST_PATH if name == "path" else LONGEST
    if not ((isinstance(value, str) and len(value) <= most) or (none and value is None)):
        raise ValueError(f"{name} is {shown(value)}, expected a string")
    return value


def sha256(content: Any, name: str | int) -> str:
    """64 hexadecimal digits."""
    value = content[name]
    if not isinstance(value, str) or not SHA256.fullmatch(value):
        raise ValueError(f"{name} is {shown(value)}, expected a SHA-256")
    return value


def flag(content: Any, name: str) -> bool:
    """true or false."""
    value = content[name]
    if type(value) is not bool:
        raise ValueError(f"{name} is {shown(value)}, expected true or false")
    return value


def only(content: Any, names: tuple[str, ...]) -> None:
    """Raise ValueError for a field that is none of these."""
    unknown = sorted(set(content) - set(names))
    if unknown:
        raise ValueError(f"a field {unknown[0][:40]!r} that is not known")


def shown(value: Any) -> str:
    """A value, short enough for a message."""
    if type(value) is int and abs(value) > LARGEST:
        return f"a number of {value.bit_length()} bits"
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


def differing(theirs: dict[str, Any], mine: dict[str, Any]) -> str:
    """What differs, in words: "rows 9, expected 8; ..."; "" if nothing."""
    absent = object()
    names = [name for name in {**mine, **theirs} if theirs.get(name, absent) != mine.get(name, absent)]
    return "; ".join(f"{one} {_plain(theirs.get(one))}, expected {_plain(mine.get(one))}" for one in names)


def _plain(value: Any) -> str:
    """A value as a reader has it who does not know Python."""
    if value is None or value == "":
        return "none"
    said = json.dumps(value) if isinstance(value, list | dict) else str(value)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."


def told(error: Exception) -> str:
    """What was raised, for a message."""
    if isinstance(error, KeyError):
        return f"no {error.args[0]!r}" if error.args else "a field is missing"
    return str(error)[:200] or type(error).__name__
