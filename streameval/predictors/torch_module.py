"""A torch module as a predictor. torch is imported by whoever has one."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.predictors.predictor import Predictor


def adapt(module: Any) -> Predictor:
    """A `torch.nn.Module` in evaluation mode: called without gradients, where its parameters lie, in their dtype.

    Raises ModelError for a module in training mode: dropout and batch statistics would make its outputs random.
    """
    name = type(module).__name__
    if module.training:
        raise ModelError(
            f"{name} is in training mode: its outputs depend on the batch. Call .eval() on it first."
        )
    parameters = [*module.parameters()]
    # A convolution's weight has four dimensions: such a network takes images.
    images_first = any(one.ndim == 4 for one in parameters[:1])
    return Predictor(
        predict=_Call(module),
        shapes=("image", ()) if images_first else ((), "image"),
        kind="torch",
        name=name,
        identity=_content(module, name),
    )


class _Call:
    """Calls the module on NumPy's rows."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __call__(self, x: NDArray[Any]) -> Any:
        import torch

        first = next(iter(self._module.parameters()), None)
        given = torch.from_numpy(np.ascontiguousarray(x))
        if first is not None:
            given = given.to(device=first.device, dtype=first.dtype)
        with torch.inference_mode():
            out = self._module(given)
        # What Hugging Face's models return.
        return getattr(out, "logits", out)


def _content(module: Any, name: str) -> str | None:
    """SHA-256 of the code, the plain attributes, the parameters and buffers of the module and of those in it.

    None where an attribute is none of these: what it holds may decide what is computed, and cannot be read.
    """
    digest = hashlib.sha256(f"{name}\n{module!r}\n".encode())
    for path, one in module.named_modules():
        code = getattr(getattr(type(one), "forward", None), "__code__", None)
        said = {key: value for key, value in vars(one).items() if not key.startswith("_")}
        if not all(_plain(value) for value in said.values()):
            return None
        digest.update(
            f"{path} {type(one).__module__}.{type(one).__qualname__} {sorted(said.items())}\n".encode()
        )
        if code is not None:
            digest.update(
                code.co_code + repr((code.co_names, [c for c in code.co_consts if _plain(c)])).encode()
            )
    for key, value in module.state_dict().items():
        if hasattr(value, "detach"):
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
            # As bytes: NumPy has no bfloat16.
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(dtype=_bytes_dtype()).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def _plain(value: Any) -> bool:
    """Whether a value prints all that it is."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    return value is None or isinstance(value, bool | int | float | complex | str | bytes)


def _bytes_dtype() -> Any:
    import torch

    return torch.uint8
