"""Write a network as safetensors, which `load` reads back. Knows how its arrays are named, not how they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streameval.errors import UsageError
from streameval.files import atomic_file
from streameval.models.formats import by_ending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streameval.models.mlp import Mlp


def save(model: Mlp, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, whole or not at all: W1, b1, W2, b2, … and the activations as metadata.

    The same network gives the same bytes.

    Raises:
        UsageError: the name ends as another weight format's does.
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save as serialize

    if by_ending(Path(path).suffix.lower()) not in (None, "safetensors"):
        raise UsageError(
            f"{path}: a network is written as safetensors. Give a name that ends with .safetensors."
        )
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(model.layers, start=1):
        arrays[f"W{number}"] = layer.weight
        arrays[f"b{number}"] = layer.bias
    content = serialize(arrays, metadata={"activations": ",".join(model.activations)})
    with atomic_file(path) as file:
        file.write(content)
