"""What a network is made of: one file for each family of layers, one row for each kind in the table `LAYERS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streameval.layers.conv2d import Conv2d as Conv2d
    from streameval.layers.dense import Dense as Dense
    from streameval.layers.normalization import BatchNorm as BatchNorm
    from streameval.layers.normalization import LayerNorm as LayerNorm
    from streameval.layers.plain import Activation as Activation
    from streameval.layers.plain import Dropout as Dropout
    from streameval.layers.plain import Flatten as Flatten
    from streameval.layers.pooling import AvgPool2d as AvgPool2d
    from streameval.layers.pooling import GlobalAvgPool2d as GlobalAvgPool2d
    from streameval.layers.pooling import MaxPool2d as MaxPool2d
    from streameval.layers.residual import Residual as Residual

# Name, as a network's content hash says it -> (module of this package, class there).
LAYERS: Final = {
    "dense": ("dense", "Dense"),
    "conv2d": ("conv2d", "Conv2d"),
    "max_pool2d": ("pooling", "MaxPool2d"),
    "avg_pool2d": ("pooling", "AvgPool2d"),
    "global_avg_pool2d": ("pooling", "GlobalAvgPool2d"),
    "batch_norm": ("normalization", "BatchNorm"),
    "layer_norm": ("normalization", "LayerNorm"),
    "flatten": ("plain", "Flatten"),
    "dropout": ("plain", "Dropout"),
    "activation": ("plain", "Activation"),
    "residual": ("residual", "Residual"),
}
_HOMES: Final = {name: module for module, name in LAYERS.values()}

__all__ = [
    "LAYERS",
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "LayerNorm",
    "MaxPool2d",
    "Residual",
    "layer_classes",
]


def layer_classes() -> tuple[type, ...]:
    """The classes of `LAYERS`."""
    return tuple(getattr(import_module(f"{__name__}.{module}"), name) for module, name in LAYERS.values())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
