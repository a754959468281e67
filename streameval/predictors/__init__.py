"""Models that somebody else computes: a callable, a torch module, a session. Nobody is imported to be recognised."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from streameval.predictors.predictor import Predictor


def is_predictor(thing: object) -> TypeGuard[Predictor]:
    """Whether something is a model of another library: who has not loaded their module has none."""
    # Another thread may be importing it.
    kind = getattr(sys.modules.get("streameval.predictors.predictor"), "Predictor", None)
    return kind is not None and isinstance(thing, kind)
