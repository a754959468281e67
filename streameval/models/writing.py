"""Write a network as safetensors, which `load` reads back. Knows how its arrays are named, not how they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streameval.errors import UsageError
from streameval.files import atomic_file
from streameval.layers.dense import Dense
from streameval.models import architecture
from streameval.models.checksum import RECORDED, checksum
from streameval.models.formats import by_ending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streameval.models.network import Network


def save(model: Network, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, whole or not at all.

    Dense layers alone: W1, b1, W2, b2, … and the activations as metadata; other layers: their arrays, and the layers
    as metadata (see `architecture`). A checksum of all of it is recorded beside them, so that a damaged file is refused
    when it is loaded. The same network gives the same bytes.

    Raises:
        UsageError: the name ends as another weight format's does.
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save as serialize

    if by_ending(Path(path).suffix) not in (None, "safetensors"):
        raise UsageError(
            f"{path}: a network is written as safetensors. Give a name that ends with .safetensors."
        )
    dense = [layer for layer in model.layers if isinstance(layer, Dense)]
    if (
        len(dense) == len(model.layers)
        and model.shape == (dense[0].inputs,)
        and dense[-1].activation == "identity"
    ):
        arrays, metadata = _dense(dense)
    else:
        text, arrays = architecture.describe(model.layers, model.shape)
        metadata = {architecture.METADATA: text}
    content = _with_metadata(serialize(arrays), metadata)
    with atomic_file(path) as file:
        file.write(content)


def _dense(layers: Sequence[Dense]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(layers, start=1):
        arrays[f"W{number}"] = layer.weight
        arrays[f"b{number}"] = layer.bias
    return arrays, {"activations": ",".join(layer.activation for layer in layers)}


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """Return a safetensors file with metadata and the checksum, in an order that the library would change each time."""
    size = int.from_bytes(content[:8], "little")
    header = {"__metadata__": metadata, **json.loads(content[8 : 8 + size])}
    metadata[RECORDED] = checksum(header, content[8 + size :])
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + content[8 + size :]
