"""Data sets by name: MNIST (`fetch`, `load_mnist`), and drawn digits in `streameval.datasets.digits`.

Nothing is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval.datasets.mnist import fetch as fetch
    from streameval.datasets.mnist import load_mnist as load_mnist

__all__ = ["fetch", "load_mnist"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("streameval.datasets.mnist"), name)
