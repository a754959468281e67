"""Load a network from a file, whatever its weight format.

Knows where the bytes come from and who reads them. Does not know what is inside any of them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Final

from streameval.errors import ModelError, StorageError
from streameval.files import storage_errors
from streameval.models.formats import FOREIGN_MAGIC, FORMATS, by_content, by_ending
from streameval.models.mlp import Layer, Mlp
from streameval.objects import is_remote, read_object

# A network is held in memory whole, several times while it is read.
MOST: Final = 4 << 30
Reader = Callable[[bytes, str | Sequence[str] | None], tuple[list[Layer], list[str]]]


def load(
    path: str | os.PathLike[str],
    *,
    activation: str | Sequence[str] | None = None,
    allow_nonfinite: bool = False,
) -> Mlp:
    """Load a network of dense layers; nothing in the file is run.

    Formats: pickle (NumPy arrays in a dict, list or tuple), `.npz`, safetensors, ONNX (extra `[onnx]`),
    told apart by content, then by extension. Names such as W1, b1, W2, b2 or fc1.weight, fc1.bias are
    recognised. float16, bfloat16 and float64 weights become float32.

    activation       of the hidden layers, one name or one per layer, where the file does not record it
                     (W1, b1 naming: sigmoid unless given)
    allow_nonfinite  accept weights that are NaN or infinite

    The result's `notes` say what had to be decided on the way.

    Raises:
        ModelError: not a network that can be read: damaged, hostile, unknown names, shapes that do not
            chain, weights that are not finite, an activation that is missing or contradicts the file.
        StorageError: the file cannot be read.
    """
    name = os.fspath(path)
    if is_remote(name):
        data = read_object(name)
        form = _named_format(name, data[:64], name.partition("?")[0])
    else:
        with _opened(name) as file:
            form = _named_format(name, file.read(64), name)
            file.seek(0)
            data = file.read()
    read: Reader = import_module(f"streameval.models.{form}").load_layers
    try:
        layers, notes = read(data, activation)
        return Mlp(layers, allow_nonfinite=allow_nonfinite, path=name, notes=notes)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a regular file: reading a pipe might never begin, reading a device never end."""
    if Path(name).is_dir():
        raise StorageError(
            f"{name or 'the path'}: is a folder, expected a file of weights. Give the file in it."
        )
    with storage_errors(name):
        handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise StorageError(f"{name}: is not a regular file, expected a file of weights.")
            size = os.fstat(handle).st_size
            if size > MOST:
                raise ModelError(f"{name}: {size} bytes, expected a network of at most {MOST}.")
            yield file


def _named_format(name: str, head: bytes, path: str) -> str:
    """As `_format`, with the file's name in the error."""
    try:
        return _format(head, Path(path).suffix.lower())
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def _format(head: bytes, suffix: str) -> str:
    """Return the name of the module that reads a file which begins with `head`."""
    if not head:
        raise ModelError("the file is empty, expected weights.")
    form = by_content(head)
    if form is not None:
        return form
    for magic, meaning in FOREIGN_MAGIC.items():
        if head.startswith(magic):
            raise ModelError(meaning)
    form = by_ending(suffix)
    if form is not None:
        return form
    known = ", ".join(ending for form in FORMATS.values() for ending in form.endings)
    raise ModelError(f"not recognised as a network, neither by content nor by extension. Read are: {known}.")
