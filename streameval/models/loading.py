"""Load a network from a file, whatever its weight format.

Knows where the bytes come from and who reads them. Does not know what is inside any of them.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Final

from streameval.arguments import path_text
from streameval.errors import ModelError, StorageError, StreamevalWarning, UsageError
from streameval.files import regular_file
from streameval.layers.dense import Dense
from streameval.models.book import DROPOUT, RECOGNISED
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.formats import FOREIGN_MAGIC, FORMATS, by_content, by_ending
from streameval.models.mlp import Mlp
from streameval.models.network import Network
from streameval.objects import is_remote, read_object

# A network is held in memory whole, several times while it is read.
MOST: Final = 4 << 30
MOST_LETTERS: Final = 2_000
Reader = Callable[[ModelFile, Choices], Loaded]


def load(
    path: str | os.PathLike[str],
    *,
    activation: str | Sequence[str] | None = None,
    dropout: str | None = None,
    allow_nonfinite: bool = False,
) -> Mlp | Network:
    """Load a network; nothing in the file is run.

    Formats: pickle (NumPy arrays in a dict, list or tuple), `.npz`, safetensors, ONNX (extra `[onnx]`),
    told apart by content, then by extension. Names such as W1, b1, W2, b2 or fc1.weight, fc1.bias are
    recognised, and the convolutional networks of the book "Deep Learning from Scratch"; other networks with more than
    dense layers come as ONNX, or as safetensors with an architecture. float16, bfloat16 and float64 weights become
    float32.

    activation       of the hidden layers, one name or one per layer, where the file does not record it
                     (W1, b1 naming with three layers or more: sigmoid unless given, with a warning)
    dropout          "book" or "identity", where the file is one of the book's networks with dropout: whether
                     prediction multiplies by 0.5 there, as the book's code does
    allow_nonfinite  accept weights that are NaN or infinite

    Returns an `Mlp` for dense layers alone, else a `Network`. Its `notes` say what had to be decided on the way; what
    was only guessed is a `StreamevalWarning` as well.

    Raises:
        ModelError: not a network that can be read: damaged, hostile, unknown names, shapes that do not
            chain, weights that are not finite, an activation that is missing or contradicts the file,
            or `dropout` for a file without it.
        StorageError: the file cannot be read.
    """
    name = path_text("path of a model", path)
    if is_remote(name):
        data = read_object(name)
        form = _named_format(name, data[:64], name.partition("?")[0])
    else:
        with _opened(name) as file:
            form = _named_format(name, file.read(64), name)
            file.seek(0)
            data = file.read()
    read: Reader = import_module(f"streameval.models.{form}").load_layers
    choices = Choices(activation, check_dropout(dropout))
    try:
        loaded = read(ModelFile(data, None if is_remote(name) else name), choices)
        network = _network(loaded, name, allow_nonfinite=allow_nonfinite)
        if dropout is not None and loaded.dropout is None:
            raise ModelError("it has no dropout that could be read in two ways. Leave --dropout out.")
    except ModelError as error:
        raise type(error)(f"{name}: {shortened(str(error))}") from error
    object.__setattr__(network, "files", tuple(loaded.files))
    object.__setattr__(network, "softmax", loaded.softmax)
    object.__setattr__(network, "raw", loaded.raw)
    object.__setattr__(network, "labels", loaded.labels)
    if loaded.guessed is not None and network.sha256 not in RECOGNISED:
        warnings.warn(f"{name}: {loaded.guessed}", StreamevalWarning, stacklevel=2)
    return network


def shortened(text: str) -> str:
    """Return a message that a file may have made long, with names and shapes of its own, in at most so many letters."""
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def check_dropout(dropout: str | None) -> str | None:
    """Return `dropout`. Raises UsageError for what is no way to read it."""
    if dropout not in (None, *DROPOUT):
        raise UsageError(f"dropout: {str(dropout)[:40]!r}, expected {' or '.join(DROPOUT)}.")
    return dropout


def _network(loaded: Loaded, name: str, *, allow_nonfinite: bool) -> Mlp | Network:
    """The network that a reader found: an Mlp where it has dense layers alone."""
    dense = [layer for layer in loaded.layers if isinstance(layer, Dense)]
    if len(dense) == len(loaded.layers) and dense and dense[-1].activation == "identity":
        return Mlp(dense, allow_nonfinite=allow_nonfinite, path=name, notes=loaded.notes)
    return Network(
        loaded.layers, shape=loaded.shape, allow_nonfinite=allow_nonfinite, path=name, notes=loaded.notes
    )


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file of weights, of no more bytes than a network may have."""
    if Path(name).is_dir():
        raise StorageError(
            f"{name or 'the path'}: is a folder, expected a file of weights. Give the file in it."
        )
    with regular_file(name, "a file of weights") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST:
            raise ModelError(f"{name}: {size} bytes, expected a network of at most {MOST}.")
        yield file


def _named_format(name: str, head: bytes, path: str) -> str:
    """As `_format`, with the file's name in the error."""
    try:
        return _format(head, Path(path).suffix)
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
