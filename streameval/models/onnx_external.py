"""Tensors of an ONNX file whose numbers lie in a second file beside it, which is what PyTorch writes.

Knows where such numbers may lie: in a regular file in the model's own folder or below it, which no link leads out of,
within its bounds. Reads by position what a tensor asks for, and nothing else. Does not know what tensors are for.

https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.budget import Budget
from streameval.errors import ModelError, StorageError
from streameval.models.onnx_refusals import UnfitError
from streameval.models.onnx_tensors import TYPES, tensor

MAX_FILES: Final = 64
MAX_PARTS: Final = 16
ITEM: Final = 4
"""Bytes that a number counts as, whatever its type."""
AGAIN: Final = "the graph uses the same numbers again and again"


class Beside:
    """The numbers of a file's tensors, and what may be spent on them.

    path   of the ONNX file; None for an object in a store, which has no folder
    size   its bytes
    """

    def __init__(self, path: str | None, size: int) -> None:
        self._folder = None if path is None else Path(path).parent
        self._budget = Budget(size, times=16, error=ModelError)
        self._sizes: dict[str, int] = {}

    @property
    def files(self) -> tuple[str, ...]:
        """The other files that were read."""
        return () if self._folder is None else tuple(str(self._folder / name) for name in self._sizes)

    def spend(self, numbers: int) -> None:
        """Account for so many numbers. Raises ModelError beyond a multiple of what the files hold."""
        self._budget.spend(ITEM * numbers, AGAIN)

    def tensor(self, proto: Any) -> NDArray[Any]:
        """The numbers of a TensorProto, wherever they lie.

        Raises:
            ModelError: a place that is not allowed or not there; another length than the shape's.
            StorageError: the other file cannot be read.
        """
        if proto.data_location != 1 and not len(proto.external_data):
            return tensor(proto)
        name = str(proto.name)[:60]
        try:
            return self._outside(proto)
        except ModelError as error:
            raise type(error)(f"tensor {name!r}: {error}") from None

    def _outside(self, proto: Any) -> NDArray[Any]:
        said = {str(entry.key): str(entry.value) for entry in proto.external_data}
        if proto.data_location != 1 or "location" not in said or len(said) != len(proto.external_data):
            raise UnfitError("numbers both here and in another file, or in a file without a name.")
        if proto.data_type not in TYPES:
            raise ModelError(f"numbers of ONNX type {proto.data_type}, expected floating point.")
        item, dims = np.dtype(TYPES[proto.data_type][0]), tuple(int(n) for n in proto.dims[:9])
        if min(dims, default=0) < 0 or len(dims) > 8:
            raise UnfitError(f"shape {dims}, expected at most 8 dimensions, none below 0.")
        wanted = math.prod(dims) * item.itemsize
        start, length = _number(said, "offset", 0), _number(said, "length", wanted)
        if length != wanted:
            raise UnfitError(f"shape {dims} of {item} takes {wanted} bytes, but the file says {length}.")
        return np.frombuffer(self._read(said["location"], start, wanted), item).reshape(dims)

    def _read(self, location: str, start: int, size: int) -> bytes:
        descriptor = self._open(location)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise UnfitError(f"its numbers lie in {location[:80]!r}, which is no regular file.")
            if start + size > found.st_size:
                raise UnfitError(
                    f"its numbers lie at bytes {start} to {start + size} of {location[:80]!r}, which ends at "
                    f"{found.st_size}. Is the file whole? Copy it again."
                )
            if location not in self._sizes:
                if len(self._sizes) == MAX_FILES:
                    raise ModelError(f"numbers in more than {MAX_FILES} files.")
                self._sizes[location] = found.st_size
                self._budget.grow(found.st_size)
            self.spend(size // ITEM)
            data = b""
            while len(data) < size:
                part = os.pread(descriptor, size - len(data), start + len(data))
                if not part:
                    raise UnfitError(f"{location[:80]!r} became shorter while it was read.")
                data = part if not data else data + part
            return data
        except OSError as error:
            raise StorageError(f"{location[:80]!r}: {error.strerror}.") from None
        finally:
            os.close(descriptor)

    def _open(self, location: str) -> int:
        """A descriptor of a file in the folder, opened name by name, so that no link can lead elsewhere."""
        parts = PurePosixPath(location).parts
        if self._folder is None:
            raise UnfitError(
                f"its numbers lie in another object, {location[:80]!r}, and only files are read so. Save the model "
                "as one file: onnx.save(onnx.load(path), new_path)."
            )
        if (
            not parts
            or len(parts) > MAX_PARTS
            or ".." in parts
            or location.startswith("/")
            or "\0" in location
        ):
            raise UnfitError(
                f"its numbers lie in {location[:80]!r}, outside the folder of the ONNX file: refused, it was not "
                "opened. Save the model as one file: onnx.save(onnx.load(path), new_path)."
            )
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                inner = os.open(
                    part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
                )
                os.close(folder)
                folder = inner
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(parts[-1], flags, dir_fd=folder)
        except OSError as error:
            raise UnfitError(
                f"its numbers lie in {location[:80]!r}, which cannot be opened ({error.strerror}): expected that file "
                "itself, no link, in the folder of the ONNX file. Copy both files together."
            ) from None
        finally:
            os.close(folder)


def _number(said: dict[str, str], key: str, default: int) -> int:
    text = said.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UnfitError(f"{key} {text[:20]!r}, expected a number of bytes.")
    return int(text)
