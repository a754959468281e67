"""Metrics for loops of one's own: outputs and targets in, batch by batch; exact sums out, the same for any batches.

Knows arrays and tensors of any library. Does not know data sets, files or models. Names are loaded when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streameval.metrics.accuracy import Accuracy as Accuracy
    from streameval.metrics.cross_entropy import CrossEntropy as CrossEntropy
    from streameval.metrics.mean import Mean as Mean
    from streameval.metrics.metric import Metric as Metric
    from streameval.metrics.metric import merge as merge

# Where each public name lives.
_HOMES: Final = {
    "Accuracy": "accuracy",
    "CrossEntropy": "cross_entropy",
    "Mean": "mean",
    "Metric": "metric",
    "merge": "metric",
}

__all__ = ["Accuracy", "CrossEntropy", "Mean", "Metric", "merge"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
