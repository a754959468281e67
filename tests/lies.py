"""Sealed JSON with something false in it: where there is something to lie about, and which lies there are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from streameval.evaluation import sealed

Place = tuple[Any, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where every leaf, list and object is, the whole apart."""
    if at:
        yield at
    pairs: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in pairs:
        yield from places(inner, (*at, name))


def lies(value: Any) -> list[Any]:
    """Other values than this, near and far, of the same type and of others."""
    return [one for one in _values(value) if sealed.canonical(one) != sealed.canonical(value)]


def _values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int):
        return [value + 1, value - 1, -value - 1, float(value), str(value), 10**300, None]
    if isinstance(value, float):
        return [value * (1 + 1e-6) + 1e-6, 0.0 if value else 1.0, None, str(value)]
    if isinstance(value, str):
        return [value + "0", "", value[::-1] if value[::-1] != value else "x", None, 7, "\x1b[2J"]
    if isinstance(value, list):
        return [[*value, 0], value[1:], None, {}]
    if isinstance(value, dict):
        return [{**value, "verified_by": "everyone"}, None, []]
    return [1, 0.5, "x", []]


def altered(report: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """A copy with another value at a place, hashed again."""
    content = copy.deepcopy(report)
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return sealed.seal(content)


def inside(value: Any, place: Place) -> Any:
    for step in place:
        value = value[step]
    return value
