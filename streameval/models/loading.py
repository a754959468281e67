"""Load a network from a file, whatever its weight format.

Knows how to tell the formats apart. Does not know what is inside any of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from streameval.errors import ModelError, StorageError
from streameval.files import storage_errors
from streameval.models.mlp import Layer, Mlp
from streameval.objects import is_remote, read_object

Reader = Callable[[bytes, str | Sequence[str] | None], tuple[list[Layer], list[str]]]

# A module of this package with `load_layers(data, activation)`, in the order they are tried by extension.
FORMATS: Final = {
    "pickle": (".pkl", ".pickle"),
    "npz": (".npz",),
    "safetensors": (".safetensors",),
    "onnx": (".onnx",),
}

# Files that are not weights, or not readable ones, by their first bytes: what to do instead.
STRANGERS: Final = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights. Fetch them: git lfs pull",
    b"\x1f\x8b": "compressed with gzip. Unpack it: gunzip",
    b"\x89HDF": "an HDF5 file (Keras). Save the weights with numpy.savez: W1, b1, W2, b2, …",
    b"ARROW1": "an Arrow file: data, not a network. Is the order MODEL DATA?",
    b"\x00\x00\x08": "an IDX file: data, not a network. Is the order MODEL DATA?",
    b"\x93NUMPY": "a single .npy array. Save weights and biases together with numpy.savez: W1, b1, …",
}


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
        if Path(name).is_dir():
            raise StorageError(
                f"{name or 'the path'}: is a folder, expected a file of weights. Give the file in it."
            )
        with storage_errors(name), Path(name).open("rb") as file:
            head = file.read(64)
            form = _named_format(name, head, name)
            data = head + file.read()
    read: Reader = import_module(f"streameval.models.{form}").load_layers
    try:
        layers, notes = read(data, activation)
        return Mlp(layers, allow_nonfinite=allow_nonfinite, path=name, notes=notes)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


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
    # Before all others: a safetensors file begins with a length, which may look like any other's first bytes.
    if head[4:9] == b"\0\0\0\0{":
        return "safetensors"
    for magic, meaning in STRANGERS.items():
        if head.startswith(magic):
            raise ModelError(meaning)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "npz"
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return "pickle"
    for form, suffixes in FORMATS.items():
        if suffix in suffixes:
            return form
    known = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    raise ModelError(f"not recognised as a network, neither by content nor by extension. Read are: {known}.")
