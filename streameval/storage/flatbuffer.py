"""Reading flatbuffer tables out of bytes, where every offset is distrusted.

Knows the wire format (https://flatbuffers.dev/internals). Does not know Arrow. Whatever the bytes hold, the
outcome is a value or `MalformedError`: nothing is read outside them, or allocated from a number in them, and tables and
texts that are pointed at again and again cost each time, from one budget for all of the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from streameval.budget import Budget


class MalformedError(Exception):
    """The bytes are not what they claim to be; the caller adds which file and where."""


# A table takes at least 12 bytes, most take 30 and more, and each is looked at a few times.
TIMES, TABLE_STEPS = 16, 4


class Table:
    """One table: slots by number, absent ones giving the default."""

    __slots__ = ("_at", "_budget", "_data", "_vtable", "_vtable_size")

    def __init__(self, data: bytes, at: int, budget: Budget) -> None:
        budget.step("the header points at the same tables again and again", TABLE_STEPS)
        self._budget = budget
        self._data = data
        self._at = at
        self._vtable = at - _number(data, at, "<i")
        self._vtable_size = _number(data, self._vtable, "<H")

    def number(self, slot: int, code: str, default: int = 0) -> int:
        """Return the scalar in `slot`; `code` is a struct code such as "q"."""
        at = self._field(slot)
        return default if at is None else _number(self._data, at, "<" + code)

    def table(self, slot: int) -> Table | None:
        """Return the table that `slot` points to."""
        at = self._field(slot)
        return None if at is None else Table(self._data, self._follow(at), self._budget)

    def text(self, slot: int) -> str:
        """Return the string in `slot`, "" when absent."""
        at = self._field(slot)
        if at is None:
            return ""
        return self._text_at(self._follow(at))

    def structs(self, slot: int, code: str) -> list[tuple[Any, ...]]:
        """Return the vector of structs in `slot`, each unpacked with `code`."""
        packed = struct.Struct("<" + code)
        start, count = self._vector(slot, packed.size)
        self._budget.spend(4 * count * packed.size, "the header points at the same list again and again")
        return list(packed.iter_unpack(self._data[start : start + count * packed.size]))

    def tables(self, slot: int) -> Iterator[Table]:
        """Yield the tables of the vector in `slot`."""
        start, count = self._vector(slot, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(self._data, self._follow(at), self._budget)

    def pairs(self, slot: int) -> dict[str, str]:
        """Return a vector of (key, value) tables as a dict; the last of equal keys counts."""
        return {pair.text(0): pair.text(1) for pair in self.tables(slot)}

    def _field(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        offset = _number(self._data, self._vtable + entry, "<H")
        return self._at + offset if offset else None

    def _follow(self, at: int) -> int:
        return at + _number(self._data, at, "<I")

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        at = self._field(slot)
        if at is None:
            return 0, 0
        start = self._follow(at)
        count = _number(self._data, start, "<I")
        if start + 4 + count * size > len(self._data):
            raise MalformedError(f"a list of {count} items does not fit in {len(self._data)} bytes")
        return start + 4, count

    def _text_at(self, start: int) -> str:
        size = _number(self._data, start, "<I")
        self._budget.spend(size, "the header points at the same text again and again")
        raw = self._data[start + 4 : start + 4 + size]
        if len(raw) != size:
            raise MalformedError(f"a text of {size} bytes does not fit in {len(self._data)} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise MalformedError("a text is not UTF-8") from None


def root(data: bytes) -> Table:
    """Return the outermost table of a flatbuffer."""
    return Table(data, _number(data, 0, "<I"), Budget(len(data), times=TIMES, error=MalformedError))


def _number(data: bytes, at: int, code: str) -> int:
    if at < 0 or at + struct.calcsize(code) > len(data):
        raise MalformedError(f"offset {at} lies outside {len(data)} bytes")
    value: int = struct.unpack_from(code, data, at)[0]
    return value
