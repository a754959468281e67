"""Networks: `Layer`, `Mlp`, and `load` for every weight format. Nothing is imported until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval.models.loading import load as load
    from streameval.models.mlp import Layer as Layer
    from streameval.models.mlp import Mlp as Mlp

_HOMES = {
    "Layer": "streameval.models.mlp",
    "Mlp": "streameval.models.mlp",
    "load": "streameval.models.loading",
}

__all__ = ["Layer", "Mlp", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
