"""Read a network's arrays out of a `.npz` file: a zip of `.npy` files.

Knows the zip directory and the `.npy` header, and trusts neither: nothing is unpacked that is larger than
its header and the file allow. Does not know which array is which layer. Object arrays are refused: they
are pickles.

The `.npy` format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streameval import npy_header
from streameval.errors import ModelError
from streameval.models import state_dict
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.naming import Weights, assemble

# Weights hardly shrink; pruned ones (95 % zeros) by about 15. Deflate can reach 1000, which is a bomb.
MAX_RATIO = 64
MAX_HEADER = 4096

# Of the central directory: each of its entries becomes an object of some 600 bytes.
MAX_MEMBERS = 10_000
ENTRY = b"PK\x01\x02"

_TEXT = re.compile(r"[<>=|]?U[1-9][0-9]?")


def load_layers(file: ModelFile, choices: Choices) -> Loaded:
    """Return the layers in an npz file, and what had to be decided.

    An array of text named `activations` records the activations.

    Raises:
        ModelError: damaged, compressed beyond all weights, an object array, a header that does not match
            its content; or see `naming.assemble`.
    """
    data = file.data
    if data.count(ENTRY) > MAX_MEMBERS:
        raise ModelError(f"the npz file has more than {MAX_MEMBERS} members, far more than a network needs.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if state_dict.is_one(archive):
                return state_dict.load_layers(archive, len(data), choices)
            arrays = _arrays(archive, len(data))
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        raise ModelError(
            f"no usable zip, which .npz, .pt and .pth files are ({str(error)[:200]}). Restore it from a good copy, or "
            "save it anew."
        ) from None
    except (NotImplementedError, ValueError, OSError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"the npz file cannot be read ({str(error)[:200]}).") from None
    names = arrays.pop("activations", None)
    recorded = None if names is None else _text(names)
    return assemble(Weights(arrays, recorded), choices)


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    allowed = MAX_RATIO * size + 65536
    unpacked = sum(member.file_size for member in members)
    if unpacked > allowed:
        raise ModelError(
            f"the npz file of {size} bytes claims {unpacked} bytes when unpacked, more than {MAX_RATIO} "
            "times its size: refused. If it is honest, save it with numpy.savez, uncompressed."
        )
    arrays: dict[str, NDArray[Any]] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name == member.filename or name in arrays:
            raise ModelError(f"member {member.filename[:60]!r}, expected arrays (.npy), each name once.")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(f"member {name[:60]!r} is encrypted or compressed in a way NumPy never does.")
        with archive.open(member) as file:
            arrays[name] = _array(file, member.file_size, name)
    return arrays


def _array(file: IO[bytes], size: int, name: str) -> NDArray[Any]:
    """Return one array, whose header must describe exactly the bytes that the directory claims."""
    item, fortran, shape, start = _header(file, name)
    wanted = math.prod(shape) * item.itemsize
    if start + wanted != size:
        raise ModelError(
            f"array {name[:60]!r}: its header says shape {shape} of {item}, {wanted} bytes, but the zip "
            f"directory has {size - start} for it."
        )
    content = file.read(wanted + 1)
    if len(content) != wanted or wanted == 0:
        raise ModelError(f"array {name[:60]!r}: {len(content)} bytes, expected {wanted} and at least one.")
    return np.frombuffer(content, dtype=item).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Return number type, whether Fortran order, shape, and where the content starts, having read up to there."""
    start = file.read(12)
    size = int.from_bytes(start[8:10] if start[6:7] == b"\1" else start[8:12], "little")
    start += file.read(min(size, MAX_HEADER) + (10 if start[6:7] == b"\1" else 12) - len(start))
    try:
        header = npy_header.parse(start, MAX_HEADER)
    except npy_header.MalformedHeaderError as error:
        raise ModelError(f"array {name[:60]!r}: {error}.") from None
    if not header.is_plain and _TEXT.fullmatch(header.descr) is None:
        what = (
            "an object array, which is a pickle: refused"
            if "O" in header.descr
            else "expected floating point"
        )
        raise ModelError(f"array {name[:60]!r} is of type {header.descr!r}, {what}.")
    if len(header.shape) > 8:
        raise ModelError(f"array {name[:60]!r} has {len(header.shape)} dimensions, expected 1 or 2.")
    return np.dtype(header.descr), header.fortran_order, header.shape, header.offset


def _text(array: NDArray[Any]) -> tuple[str, ...]:
    """Return the names in the array `activations`, whose letters nobody has checked."""
    if array.dtype.kind != "U" or array.size > MAX_MEMBERS:
        raise ModelError(f"'activations' is {array.size} values of type {array.dtype}, expected a few names.")
    order = "utf-32-be" if array.dtype.byteorder == ">" else "utf-32-le"
    letters, width = np.ascontiguousarray(array).tobytes(), array.dtype.itemsize
    try:
        return tuple(
            letters[at : at + width].decode(order).rstrip("\0") for at in range(0, len(letters), width)
        )
    except UnicodeDecodeError:
        raise ModelError("'activations' holds letters that do not exist.") from None
