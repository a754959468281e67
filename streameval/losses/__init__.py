"""What a row costs: one file for each loss, one row each in the table `LOSSES`. Imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from streameval.errors import DataError, UsageError

if TYPE_CHECKING:
    from streameval.losses.absolute import Absolute as Absolute
    from streameval.losses.binary_cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
    from streameval.losses.clipped_cross_entropy import ClippedCrossEntropy as ClippedCrossEntropy
    from streameval.losses.cross_entropy import CrossEntropy as CrossEntropy
    from streameval.losses.huber import Huber as Huber
    from streameval.losses.loss import Loss
    from streameval.losses.recorded import Recorded as Recorded
    from streameval.losses.squared import Squared as Squared

# Name, as reports and options say it -> (module of this package, class there).
LOSSES: Final = {
    "cross-entropy": ("cross_entropy", "CrossEntropy"),
    "clipped-cross-entropy": ("clipped_cross_entropy", "ClippedCrossEntropy"),
    "binary-cross-entropy": ("binary_cross_entropy", "BinaryCrossEntropy"),
    "squared": ("squared", "Squared"),
    "absolute": ("absolute", "Absolute"),
    "huber": ("huber", "Huber"),
    "recorded": ("recorded", "Recorded"),
}
_HOMES: Final = {name: module for module, name in LOSSES.values()}

__all__ = [
    "LOSSES",
    "Absolute",
    "BinaryCrossEntropy",
    "ClippedCrossEntropy",
    "CrossEntropy",
    "Huber",
    "Recorded",
    "Squared",
    "choose_loss",
    "from_dict",
    "losses_class",
]


def choose_loss(loss: Loss | None = None, eps: float | None = None) -> Loss:
    """The loss that the arguments `loss` and `eps` mean together: cross-entropy unless another one is given.

    Raises UsageError for something that is no loss, and where both are given.
    """
    if loss is None:
        from streameval.losses.cross_entropy import CrossEntropy

        return CrossEntropy() if eps is None else CrossEntropy(eps=eps)
    if eps is not None:
        raise UsageError(
            f"eps {eps!r} and loss {loss!r}: eps belongs to the loss. Give loss=streameval.CrossEntropy(eps=...) alone."
        )
    if not hasattr(loss, "parameters") or isinstance(loss, type):
        raise UsageError(f"loss: {loss!r}, expected a loss as a value, such as CrossEntropy(eps=1e-7).")
    return loss


def losses_class(name: str) -> Any:
    """The class of the loss that is called so; it has no Numba loaded."""
    module, kind = LOSSES[name]
    return getattr(import_module(f"{__name__}.{module}"), kind)


def from_dict(stored: Any) -> Loss:
    """The loss that `to_dict` wrote. Raises DataError if it is damaged, or of a later version."""
    try:
        loss: Loss = losses_class(stored["name"]).from_dict(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"a stored loss is damaged or not known here: {error!r:.200}. Compute it again."
        ) from error
    return loss


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
