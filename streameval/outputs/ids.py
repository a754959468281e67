"""What tells rows apart and joins runs: ids as 128-bit keys, and their texts for messages, in temporary files.

Knows ids. Does not know what stands in their rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.outputs.table import Values
from streameval.outputs.values import texts
from streameval.storage.spool import Column, column

# Of an id that is no whole number, so much is kept for messages.
TEXT_BYTES: Final = 120
# Whole numbers of up to 18 digits are keys themselves; longer ones, which may fit no int64, are hashed as text.
WHOLE, LARGE = re.compile(r"-?(0|[1-9][0-9]{0,17})"), 10**18
FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.0")
HASHED: Final = np.uint64(1 << 63)


@frozen(eq=False)
class Ids:
    """The ids of all rows, mapped.

    keys     (n, 2) uint64: (0, number) of whole numbers within 10^18, else 128 bits of BLAKE2b, the highest one set
    offsets  (n + 1,) int64: where a row's text lies in `text`, uint8; whole numbers have none
    """

    keys: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    text: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keys)

    def name(self, row: int) -> str:
        """The id of a row, for people."""
        if self.keys[row, 0] == 0:
            return str(int(self.keys[row, 1].astype(np.int64)))
        raw = self.text[self.offsets[row] : self.offsets[row + 1]].tobytes()
        return raw.decode(errors="replace")


class IdWriter:
    """Takes in ids, some thousand at a time."""

    def __init__(self, keys: Column, offsets: Column, text: Column) -> None:
        self._keys, self._offsets, self._text = keys, offsets, text
        self._offsets.write(np.zeros(1, np.int64))

    def add(self, where: str, parts: list[Values], first: int, kept: NDArray[np.bool_]) -> None:
        """Add the ids of the rows that are kept; several columns together are one id. DataError for a missing one."""
        if len(parts) == 1 and isinstance(parts[0], np.ndarray) and _small(parts[0]):
            numbers = parts[0][kept].astype(np.int64).view(np.uint64)
            self._write(np.stack([np.zeros_like(numbers), numbers], axis=1), b"", np.zeros(len(numbers), int))
            return
        named = zip(*map(texts, parts), strict=True)
        keys, lengths, text = np.empty((int(kept.sum()), 2), np.uint64), [], []
        for k, names in enumerate(one for one, keep in zip(named, kept, strict=True) if keep):
            if None in names:
                row = first + int(np.flatnonzero(kept)[k])
                raise DataError(f"{where}, row {row}: no id, expected one in each row. Name another column.")
            name = "\x1f".join(_plain(str(one)) for one in names)
            keys[k] = _key(name)
            short = b"" if keys[k, 0] == 0 else name.replace("\x1f", ", ").encode()[:TEXT_BYTES]
            lengths.append(len(short))
            text.append(short)
        self._write(keys, b"".join(text), np.array(lengths, int))

    def finished(self) -> Ids:
        """All that were added."""
        return Ids(self._keys.mapped().reshape(-1, 2), self._offsets.mapped(), self._text.mapped())

    def _write(self, keys: NDArray[np.uint64], text: bytes, lengths: NDArray[Any]) -> None:
        self._keys.write(keys)
        self._offsets.write(len(self._text) + np.cumsum(lengths))
        self._text.write(np.frombuffer(text, np.uint8))


@contextlib.contextmanager
def id_writer() -> Iterator[IdWriter]:
    """Yield what takes ids in; what it gives stays when the block is left."""
    with column(np.uint64) as keys, column(np.int64) as offsets, column(np.uint8) as text:
        yield IdWriter(keys, offsets, text)


def grouped(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order of their keys (n,), and of each of those which one it is of the different keys (n,)."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.cumsum(fresh) - 1


def _small(values: NDArray[Any]) -> bool:
    """Whether all are whole numbers that are keys themselves."""
    if values.dtype.kind not in "iu":
        return False
    return len(values) == 0 or (int(values.min()) > -LARGE and int(values.max()) < LARGE)


def _plain(name: str) -> str:
    """An id as every format would give it: whole numbers that went through a column of floats are whole numbers."""
    return name[:-2] if FLOAT.fullmatch(name) else name


def _key(name: str) -> tuple[np.uint64, np.uint64]:
    if WHOLE.fullmatch(name):
        return np.uint64(0), np.array([int(name)], np.int64).view(np.uint64)[0]
    high, low = np.frombuffer(
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest(), np.uint64
    )
    return high | HASHED, low
