"""What a study is of: the loss of each row, or whether the row is predicted right. Does not know who reads rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import OF
from streameval.errors import UsageError
from streameval.losses.loss import Loss
from streameval.scoring.right import RightScorer
from streameval.scoring.scorer import Scorer
from streameval.statistics.bounds import Bounds

Floats = NDArray[np.float64]


def checked_quantity(of: str, *scorers: Scorer) -> str:
    """Return `of`, or raise UsageError for another name, and for an accuracy of rows that have no classes."""
    if of not in OF:
        raise UsageError(f"of (--of): {of!r} is not known. Expected {' or '.join(OF)}.")
    if of == "accuracy" and any(scorer.classes is None for scorer in scorers):
        raise UsageError("of (--of) accuracy: these rows have no classes. Expected --of loss.")
    return of


def measuring(of: str, scorer: Scorer) -> Scorer:
    """The scorer of what a study is of: the one given, or one that scores whether its rows are right."""
    if checked_quantity(of) == "loss":
        return scorer
    return RightScorer(scorer)


def bounds_of(of: str, loss: Loss) -> Bounds | None:
    """The bounds of a row's value: those of the loss, or 0 and 1."""
    return loss.bounds if of == "loss" else (0.0, 1.0)


class Wrong:
    """The zero-one loss of rows, from which of them are right: 1.0 where a row is not. Sliced, it is an array.

    right  (n,) bool, an array or a mapped file
    """

    def __init__(self, right: Any) -> None:
        self._right, self.shape, self.ndim = right, right.shape, 1

    def __len__(self) -> int:
        return self.shape[0]  # type: ignore[no-any-return]

    def __getitem__(self, rows: Any) -> Floats:
        return 1.0 - np.asarray(self._right[rows], np.float64)
