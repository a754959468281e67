"""The headers of .npy files, by their grammar and nothing else: no Python is parsed, nothing is evaluated.

Knows versions 1 to 3 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Does not know what the
numbers are for.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any, Final

from streameval.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER: Final = 10_000
MAX_DIMENSIONS: Final = 32
MAX_NUMBERS: Final = 1 << 56
# The keys of a header, and which group of _ITEM holds the value.
GROUPS: Final = {"descr": "descr", "fortran_order": "order", "shape": "shape"}

_GAP = r"[ \t\n]*"
_NUMBER = rf"[0-9]{{1,19}}L?{_GAP}"  # Python 2 wrote 4L
_ITEM = re.compile(
    rf"{_GAP}(?P<quote>['\"])(?P<key>descr|fortran_order|shape)(?P=quote){_GAP}:{_GAP}"
    r"(?:(?P<q>['\"])(?P<descr>[<>=|]?[A-Za-z][A-Za-z0-9\[\]]{0,15})(?P=q)|(?P<order>True|False)"
    rf"|\((?P<shape>{_GAP}(?:{_NUMBER},{_GAP})*(?:{_NUMBER})?)\)){_GAP}(?P<end>,{_GAP}\}}|,|\}})"
)
_PLAIN = re.compile(r"[<>=|]?(?:f[248]|[iu][1248]|b1)")


class MalformedHeaderError(ValueError):
    """The bytes are no header of a .npy file; the caller adds which file, and the cure."""


@frozen
class NpyHeader:
    """What a header says: the type as it is written, the order, the shape; the numbers begin at `offset`."""

    descr: str
    fortran_order: bool
    shape: tuple[int, ...]
    offset: int

    @property
    def is_plain(self) -> bool:
        """Whether the numbers are integers, floats or truth values of a size that NumPy has."""
        return _PLAIN.fullmatch(self.descr) is not None


def parse(start: bytes, most: int = MAX_HEADER) -> NpyHeader:
    """Return the header of a .npy file that begins with `start`; at most `most` bytes of it are looked at.

    Raises MalformedHeaderError.
    """
    if start[:6] != MAGIC or len(start) < 12 or start[6] not in (1, 2, 3) or start[7]:
        raise MalformedHeaderError(f"begins with {start[:8]!r}, expected a .npy file of version 1, 2 or 3")
    layout = "<H" if start[6] == 1 else "<I"
    begin = 8 + struct.calcsize(layout)
    size = struct.unpack_from(layout, start, 8)[0]
    if begin + size > min(len(start), most):
        raise MalformedHeaderError(
            f"its header claims {size} bytes, expected at most {most}, all in the file"
        )
    text = start[begin : begin + size].decode("latin-1")
    fields = _fields(text)
    shape = tuple(int(part.strip(" \t\nL")) for part in fields["shape"].split(",") if part.strip())
    odd = len(shape) > MAX_DIMENSIONS or math.prod(side or 1 for side in shape) >= MAX_NUMBERS
    if odd or (len(shape) == 1 and "," not in fields["shape"]):
        raise MalformedHeaderError(
            f"its header says the shape ({fields['shape'][:60]}), expected a tuple of sizes"
        )
    return NpyHeader(fields["descr"], fields["order"] == "True", shape, begin + size)


def _fields(text: str) -> dict[str, str]:
    """Return the three values by their groups' names. Every character of the header must have its place."""
    found: dict[str, str] = {}
    at, end = 1, "," if text[:1] == "{" else ""
    while end == ",":
        item = _ITEM.match(text, at)
        group = None if item is None else GROUPS[item["key"]]
        if item is None or group is None or item[group] is None or group in found:
            break
        found[group], at, end = item[group], item.end(), item["end"]
    if len(found) != len(GROUPS) or end == "," or text[at:].strip(" \n"):
        raise MalformedHeaderError(
            f"its header {text.strip()[:120]!r} does not say, as a dict and nothing else, 'descr' (the type of plain "
            "numbers), 'fortran_order' and 'shape'"
        )
    return found


def array(content: bytes) -> NDArray[Any]:
    """Return the plain numbers that a whole .npy file holds, as a view of `content`.

    Raises MalformedHeaderError, also for other than plain numbers, and for a file of another size than it says.
    """
    import numpy as np

    header = parse(content)
    if not header.is_plain:
        raise MalformedHeaderError(f"its numbers are of type {header.descr!r}, expected plain numbers")
    item = np.dtype(header.descr)
    needed = header.offset + math.prod(header.shape) * item.itemsize
    if len(content) != needed:
        raise MalformedHeaderError(
            f"it has {len(content)} bytes, expected {needed} for {item} of shape {header.shape}"
        )
    if 0 in header.shape:
        return np.empty(header.shape, item)
    numbers = np.frombuffer(content, item, offset=header.offset)
    return numbers.reshape(header.shape, order="F" if header.fortran_order else "C")
