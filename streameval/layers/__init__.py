"""What a network is made of: one file for each kind of layer, one row each in the table `LAYERS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streameval.layers.dense import Dense as Dense

# Name, as a network's content hash says it -> (module of this package, class there).
LAYERS: Final = {
    "dense": ("dense", "Dense"),
}
_HOMES: Final = {name: module for module, name in LAYERS.values()}

__all__ = ["LAYERS", "Dense", "layer_classes"]


def layer_classes() -> tuple[type, ...]:
    """The classes of `LAYERS`."""
    return tuple(getattr(import_module(f"{__name__}.{module}"), name) for module, name in LAYERS.values())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
