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

from streameval.errors import ModelError
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.naming import Weights, assemble

# Weights hardly shrink; pruned ones (95 % zeros) by about 15. Deflate can reach 1000, which is a bomb.
MAX_RATIO = 64
MAX_HEADER = 4096

_DESCR = re.compile(r"['\"]descr['\"]: *['\"]([<>=|]?[A-Za-z]\d*)['\"]")
_ORDER = re.compile(r"['\"]fortran_order['\"]: *(True|False)")
_SHAPE = re.compile(r"['\"]shape['\"]: *\(([\d, ]*)\)")


def load_layers(file: ModelFile, choices: Choices) -> Loaded:
    """Return the layers in an npz file, and what had to be decided.

    An array of text named `activations` records the activations.

    Raises:
        ModelError: damaged, compressed beyond all weights, an object array, a header that does not match
            its content; or see `naming.assemble`.
    """
    data = file.data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = _arrays(archive, len(data))
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        raise ModelError(f"the npz file is damaged ({str(error)[:200]}).") from None
    except (NotImplementedError, ValueError, OSError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"the npz file cannot be read ({str(error)[:200]}).") from None
    names = arrays.pop("activations", None)
    recorded = None if names is None else tuple(str(name) for name in names.reshape(-1))
    return assemble(Weights(arrays, recorded), choices)


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    if any(member.filename.endswith("/data.pkl") for member in members):
        raise ModelError(
            "a PyTorch checkpoint, not an npz file. Save its state_dict with safetensors.torch.save_file."
        )
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
    """Return number type, whether Fortran order, shape, and where the content starts."""
    head = file.read(8)
    if len(head) < 8 or head[:6] != b"\x93NUMPY" or head[6] not in (1, 2, 3):
        raise ModelError(f"array {name[:60]!r} does not begin like a .npy file of version 1, 2 or 3.")
    layout = "<H" if head[6] == 1 else "<I"
    (length,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    text = file.read(length).decode("latin-1") if length <= MAX_HEADER else ""
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if descr is None or order is None or shape is None:
        raise ModelError(f"array {name[:60]!r}: a .npy header that does not say plain type, order and shape.")
    if re.fullmatch(r"[<>=|]?(?:f[248]|[iu][1248]|b1|U\d{1,2})", descr[1]) is None:
        what = "an object array, which is a pickle: refused" if "O" in descr[1] else "expected floating point"
        raise ModelError(f"array {name[:60]!r} is of type {descr[1]!r}, {what}.")
    sizes = tuple(int(part[:19]) for part in shape[1].split(",") if part.strip())
    if len(sizes) > 8:
        raise ModelError(f"array {name[:60]!r} has {len(sizes)} dimensions, expected 1 or 2.")
    return np.dtype(descr[1]), order[1] == "True", sizes, 8 + struct.calcsize(layout) + length
