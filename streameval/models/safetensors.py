"""Read a network from safetensors: a JSON header, then the numbers.

Knows the format through its own library, and bfloat16, which NumPy lacks. Does not know which array is
which layer. The header's metadata may record `activations`: names with commas between them, one per layer.

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval import json_text
from streameval.errors import DamagedModelError, ModelError
from streameval.models.architecture import METADATA, read
from streameval.models.checksum import fits
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.naming import Weights, assemble, check_recorded

# Ten thousand arrays take a tenth of it.
MAX_HEADER = 16 << 20
COUNTER = "num_batches_tracked"
TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}


def load_layers(file: ModelFile, choices: Choices) -> Loaded:
    """Return the layers in a safetensors file, and what had to be decided.

    Raises:
        DamagedModelError: not what was saved. ModelError: numbers that are not floating point; or see
            `naming.assemble`.
    """
    data = file.data
    library: Any = import_module("safetensors")  # it comes without types
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER:
        raise DamagedModelError(f"the safetensors header claims {size} bytes, expected at most {MAX_HEADER}.")
    try:
        header = json_text.parse(data[8 : 8 + size])
        tensors = library.deserialize(data)
    except library.SafetensorError as error:
        raise DamagedModelError(f"the safetensors file is damaged ({str(error)[:200]}).") from None
    except json_text.MalformedJsonError as error:
        raise DamagedModelError(f"the safetensors header is {error}.") from None
    # PyTorch counts batches beside each normalisation: no weight.
    arrays = {name: _array(name, tensor) for name, tensor in tensors if not name.endswith(COUNTER)}
    # The library has checked by now that the header is an object, and that all values of its metadata are text.
    metadata = header.get("__metadata__") or {}
    if not fits(header, data[8 + size :]):
        raise DamagedModelError(
            "its checksum is not the one that was recorded when it was saved: it is damaged, or was altered since. "
            "Restore it from a good copy, or save it anew."
        )
    if METADATA in metadata:
        loaded = read(metadata[METADATA], arrays, len(data))
        check_recorded(loaded.layers, choices.activation)
        return loaded
    names = metadata.get("activations")
    recorded = None if names is None else tuple(names.split(","))
    return assemble(Weights(arrays, recorded, ordered=False), choices)


def _array(name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    kind = tensor["dtype"]
    if kind not in TYPES:
        raise ModelError(f"{name[:60]!r}: numbers of type {kind}, expected one of {', '.join(TYPES)}.")
    values = np.frombuffer(tensor["data"], dtype=TYPES[kind])
    if kind == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(tensor["shape"])
