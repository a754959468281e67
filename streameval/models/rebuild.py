"""The few NumPy objects that a pickle may rebuild, as plain data: arrays over the file's own bytes.

Knows how NumPy pickles arrays, dtypes and scalars (`numpy.ndarray.__reduce_ex__`, protocols 0 to 5).
Does not know pickle's opcodes, and calls nothing that a file names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen

_CODE = re.compile(r"[<>=|]?(?:f[248]|[iu][1248]|b1)")


@frozen
class Callee:
    """A global that a pickle named and that is on the list: only ever compared, never called by name."""

    name: str


@dataclass(slots=True, eq=False)
class Dtype:
    """A number type under construction: its letter and size, and its byte order once BUILD has run."""

    code: str

    def build(self, state: Any) -> None:
        """Take the byte order from (version, order, None, None, None, -1, -1, 0)."""
        plain = type(state) is tuple and len(state) >= 8 and state[2:5] == (None, None, None)
        order = text(state[1]) if plain else None
        if order not in ("<", ">", "=", "|"):
            raise ModelError(
                "a dtype with fields, a sub-array or an unknown byte order, expected plain numbers"
            )
        self.code = order + self.code.lstrip("<>=|")


@dataclass(slots=True, eq=False)
class Array:
    """An array under construction: empty after `_reconstruct`, complete after BUILD."""

    values: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, bytes), or the same without the version."""
        if type(state) is not tuple or len(state) not in (4, 5) or self.values is not None:
            raise ModelError("an array whose state is not (version, shape, dtype, order, bytes)")
        shape, dtype, fortran, data = state[-4:]
        self.values = _view(data, dtype, shape, fortran=bool(fortran) if isinstance(fortran, int) else False)


def _reconstruct(args: tuple[Any, ...]) -> Array:
    if len(args) != 3 or args[0] != Callee("numpy ndarray"):
        raise ModelError("_reconstruct of something that is not a numpy.ndarray")
    return Array()


def _dtype(args: tuple[Any, ...]) -> Dtype:
    code = text(args[0]) if args else None
    if code is None or _CODE.fullmatch(code) is None:
        raise ModelError(f"dtype {str(code)[:20]!r}, expected floating point numbers (f2, f4, f8)")
    return Dtype(code)


def _frombuffer(args: tuple[Any, ...]) -> Array:
    if len(args) != 4 or args[3] not in ("C", "F"):
        raise ModelError("_frombuffer with other arguments than (bytes, dtype, shape, 'C' or 'F')")
    data, dtype, shape, order = args
    return Array(_view(data, dtype, shape, fortran=order == "F"))


def _scalar(args: tuple[Any, ...]) -> Array:
    if len(args) != 2:
        raise ModelError("scalar with other arguments than (dtype, bytes)")
    return Array(_view(args[1], args[0], (), fortran=False))


def _encode(args: tuple[Any, ...]) -> bytes:
    if len(args) != 2 or type(args[0]) is not str or args[1] not in ("latin1", "latin-1"):
        raise ModelError("_codecs.encode with other arguments than (text, 'latin1')")
    return args[0].encode("latin-1")


CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "numpy.core.multiarray _reconstruct": _reconstruct,
    "numpy._core.multiarray _reconstruct": _reconstruct,
    "numpy.core.numeric _frombuffer": _frombuffer,
    "numpy._core.numeric _frombuffer": _frombuffer,
    "numpy.core.multiarray scalar": _scalar,
    "numpy._core.multiarray scalar": _scalar,
    "numpy dtype": _dtype,
    "_codecs encode": _encode,
}
GLOBALS = frozenset({"numpy ndarray", *CALLS})


def text(value: Any) -> str | None:
    """Return a str as it is and Python 2's byte strings as latin-1; None for anything else."""
    if type(value) is bytes:
        return value.decode("latin-1")
    return value if type(value) is str else None


def _view(data: Any, dtype: Any, shape: Any, *, fortran: bool) -> NDArray[Any]:
    """Return `data` as an array without a copy, after its length was found to be the shape's."""
    if type(dtype) is not Dtype or type(data) is not bytes:
        raise ModelError("an array that is not made of a plain dtype and bytes (an object array?)")
    if (
        type(shape) is not tuple
        or len(shape) > 8
        or not all(type(n) is int and 0 <= n < 2**40 for n in shape)
    ):
        raise ModelError("an array whose shape is not a short tuple of sizes")
    item = np.dtype(dtype.code)
    wanted = math.prod(shape) * item.itemsize
    if len(data) != wanted or wanted == 0:
        raise ModelError(
            f"an array of shape {shape} and type {item} with {len(data)} bytes, expected {wanted}, not 0"
        )
    return np.frombuffer(data, dtype=item).reshape(shape, order="F" if fortran else "C")
