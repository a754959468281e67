"""What a model is to a report: a name, a hash, a description. Who computes with it is `scoring`'s to know."""

from __future__ import annotations

from typing import Any, Protocol


class Model(Protocol):
    """Something that turns a row into numbers.

    path  where it was loaded from, or None
    """

    @property
    def path(self) -> str | None: ...

    @property
    def sha256(self) -> str:
        """What identifies it: equal for models that compute the same."""

    @property
    def outputs(self) -> int:
        """Numbers that come out for a row: the classes, where rows have classes."""

    @property
    def summary(self) -> str:
        """What it is, in a line for people: "784-50-100-10, sigmoid, sigmoid, identity"."""

    def describe(self) -> dict[str, Any]:
        """What a report records of it beside path and hash, ready for JSON."""
