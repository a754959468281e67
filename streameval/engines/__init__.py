"""Engines: a `map` from spans to what comes of them. Nothing is imported until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from streameval.errors import UsageError

if TYPE_CHECKING:
    from streameval.engines.dask import Dask as Dask
    from streameval.engines.local import Local as Local
    from streameval.evaluation.passes import Engine

# Name on the command line -> (module of this package, class there).
ENGINES: Final = {
    "local": ("local", "Local"),
    "dask": ("dask", "Dask"),
}
_HOMES: Final = {name: module for module, name in ENGINES.values()}

__all__ = ["ENGINES", "Dask", "Local", "engine"]


def engine(name: str, *, address: str | None = None) -> Engine:
    """The engine of that name; `address` is that of a scheduler that runs already.

    Raises UsageError for a name that is not in the table, and for an address that the engine has no use for.
    """
    if name not in ENGINES:
        raise UsageError(f"engine {name!r}, expected one of {', '.join(ENGINES)}.")
    module, kind = ENGINES[name]
    made: Engine = getattr(import_module(f"{__name__}.{module}"), kind).at(address)
    return made


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
