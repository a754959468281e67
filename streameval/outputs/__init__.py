"""Saved outputs of a model that is not here: one value a row, from a file. Nothing is imported until it is used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from streameval.outputs.source import Outputs


def is_saved(thing: object) -> TypeGuard[Outputs]:
    """Whether something is saved outputs: who has not loaded their module has none."""
    # Another thread may be importing it.
    kind = getattr(sys.modules.get("streameval.outputs.source"), "Outputs", None)
    return kind is not None and isinstance(thing, kind)


def summary_of_saved(saved: dict[str, Any]) -> str:
    """One line on a model that is not here, by what a report says of its file."""
    return f"not here: {saved.get('kind', 'values')} saved as {saved.get('format', 'a table')}"
