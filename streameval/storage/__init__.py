"""Data sets as spans of rows: opening, converting, writing. See `source` for what a data set is.

Everything public is loaded at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval.storage.converting import convert
    from streameval.storage.opening import open
    from streameval.storage.source import Chunk, Source, Span
    from streameval.storage.writing import create

__all__ = ["Chunk", "Source", "Span", "convert", "create", "open"]

_HOMES = {
    "Chunk": "source",
    "Source": "source",
    "Span": "source",
    "convert": "converting",
    "create": "writing",
    "open": "opening",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
