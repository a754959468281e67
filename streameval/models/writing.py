"""Write a network as safetensors, which `load` reads back. Knows how its arrays are named, not how they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streameval.errors import UsageError
from streameval.files import atomic_file
from streameval.models import architecture
from streameval.models.formats import by_ending
from streameval.models.mlp import Mlp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streameval.models.network import Network


def save(model: Network, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, whole or not at all.

    Dense layers alone: W1, b1, W2, b2, … and the activations as metadata; other layers: their arrays, and the layers
    as metadata (see `architecture`). The same network gives the same bytes.

    Raises:
        UsageError: the name ends as another weight format's does.
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save as serialize

    if by_ending(Path(path).suffix.lower()) not in (None, "safetensors"):
        raise UsageError(
            f"{path}: a network is written as safetensors. Give a name that ends with .safetensors."
        )
    if isinstance(model, Mlp):
        arrays, metadata = _dense(model)
    else:
        text, arrays = architecture.describe(model.layers, model.shape)
        metadata = {architecture.METADATA: text}
    content = serialize(arrays, metadata=metadata)
    with atomic_file(path) as file:
        file.write(content)


def _dense(model: Mlp) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(model.layers, start=1):
        arrays[f"W{number}"] = layer.weight
        arrays[f"b{number}"] = layer.bias
    return arrays, {"activations": ",".join(model.activations)}
