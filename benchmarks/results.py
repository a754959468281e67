"""Reading results: whose line is whose, who is fastest, by how much.

A result is what JSON holds: `name`, `kind` (race, rates, memory), `title`, `lines`, `notes`. Knows their fields only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.workloads import OURS

Result = Mapping[str, Any]
Results = Mapping[str, Result]
FieldsOfLine = Mapping[str, Any]


def is_ours(line: FieldsOfLine) -> bool:
    """Whether the line is streameval's."""
    return str(line["who"]).startswith(OURS)


def ours(result: Result) -> FieldsOfLine | None:
    """streameval's line: None if there is none, or its loss was wrong."""
    return next((line for line in result["lines"] if line["who"] == OURS and line["right"]), None)


def peers(result: Result) -> list[FieldsOfLine]:
    """Lines of the others that did the whole job and got the right loss."""
    return [
        line for line in result["lines"] if not is_ours(line) and line["loss"] is not None and line["right"]
    ]


def fastest_peer(result: Result) -> FieldsOfLine | None:
    """The peer with the smallest median."""
    return min(peers(result), key=lambda line: float(line["median"]), default=None)


def by_who(result: Result, start: str) -> FieldsOfLine | None:
    """The first line of whoever's name begins so."""
    return next((line for line in result["lines"] if str(line["who"]).startswith(start)), None)


def rate(line: FieldsOfLine) -> float:
    """Rows a second, by the median."""
    return float(line["rows"]) / float(line["median"])


def wrong(results: Results) -> list[str]:
    """A sentence for each contestant whose loss was off: its time is not counted."""
    return [
        f"{name}: {line['who']} gave a loss of {line['loss']!r}, expected {line['exact']!r}: not counted."
        for name, result in results.items()
        for line in result["lines"]
        if not line.get("right", True)
    ]
