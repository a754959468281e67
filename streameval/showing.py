"""How a result is looked at: printed, in a notebook, as a page or a picture. The one door from results to `reports`.

Knows that `reports` can show a result, and asks it at the moment when someone looks. Nothing is loaded before.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Shown:
    """A result that can be looked at; the types of results that are shown are rows of `reports.views.VIEWS`."""

    __slots__ = ()

    def __str__(self) -> str:
        text: str = _views().text(self)
        return text

    def _repr_html_(self) -> str:
        """What a notebook shows: the page's facts and pictures, whole in itself, in light and dark."""
        html: str = _views().html(self)
        return html

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write a page with pictures to `path`, whole or not at all: one file, no script, light and dark.

        Raises UsageError for a result that has no page; StorageError, LockedError.
        """
        _views().write(self, path)

    def plot(self, name: str | None = None) -> Any:
        """Draw the pictures of the page with matplotlib, and return the `matplotlib.figure.Figure`.

        name  of one picture ("classes", "confusion", ...); None: all of them, two side by side

        Raises UsageError for a result without pictures, for a name that there is none of, which lists those that there
        are, and where matplotlib is not installed (pip install 'streameval[report]').
        """
        return _views().plot(self, name)


def with_progress(doing: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function that takes `progress`, a function to call with (done, total), take True for a bar as well.

    doing  what is being done, for instance "evaluating"
    """

    def changed(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs.get("progress") is not True:
                return function(*args, **kwargs)
            with import_module("streameval.reports.progress").progress(doing) as on_progress:
                kwargs["progress"] = on_progress
                return function(*args, **kwargs)

        return call

    return changed


def _views() -> Any:
    return import_module("streameval.reports.views")
