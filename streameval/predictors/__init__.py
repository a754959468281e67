"""Models that somebody else computes: a callable, a torch module, a session. Nobody is imported to be recognised."""

from __future__ import annotations

from streameval.predictors.predictor import Predictor

__all__ = ["Predictor"]
