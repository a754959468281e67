"""Saved outputs of a model that is not here: one value a row, from a file. Nothing is imported until it is used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from streameval.outputs.source import Outputs


def is_saved(thing: object) -> TypeGuard[Outputs]:
    """Whether something is saved outputs: who has not loaded their module has none."""
    module = sys.modules.get("streameval.outputs.source")
    return module is not None and isinstance(thing, module.Outputs)
