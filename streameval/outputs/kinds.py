"""How the columns of a row become the numbers that are kept of it: one for each kind of output, in a literal table.

Knows columns and formulas. Does not know files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import BELOW_ZERO, no_distributions, warn_of_probabilities
from streameval.elementary import exp, log
from streameval.errors import DataError
from streameval.outputs.columns import Roles
from streameval.outputs.table import Values
from streameval.outputs.values import classes, floats, matrix

Floats = NDArray[np.float64]

# From here on a value does not fit into the exact sums: see `kernels.folding`.
TOO_LARGE: Final = float(1 << 22)


class Rows(Protocol):
    """What reduces rows, batch after batch: to `features` numbers each, `kept` as `SavedModel` says, with true
    classes out of `classes`."""

    features: int
    classes: int | None
    kept: str

    def reduce(self, batch: Mapping[str, Values], first: int) -> tuple[Floats, NDArray[np.int64]]:
        """The numbers (n, features), NaN for a row that has none, and the true classes (n,), 0 where there are none."""


class SavedValues:
    """A value a row, as it is. Raises DataError for one too large for the exact sums: left out, it would be
    missing."""

    features = 1

    kept = "value"

    def __init__(self, name: str, roles: Roles, **_: Any) -> None:
        self.classes: int | None = None
        self._column = roles.columns[0]
        self._where = f"{name}, column {roles.named}"

    def reduce(self, batch: Mapping[str, Values], first: int) -> tuple[Floats, NDArray[np.int64]]:
        """See `Rows`."""
        values = floats(self._where, batch[self._column], first)
        large = np.isfinite(values) & (np.abs(values) >= TOO_LARGE)
        if large.any():
            row = int(np.argmax(large))
            raise DataError(
                f"{self._where}, row {first + row}: {values[row]:g} ({int(large.sum())} such rows), and exact sums "
                f"hold values below {TOO_LARGE:.0f} in size. Measure them in a larger unit: divide all by a constant."
            )
        return values[:, None], np.zeros(len(values), np.int64)


class ClassOutputs:
    """Logits or probabilities: the log-probability of the true class, and the class with the largest.

    whole: those of all classes instead of the true one's.
    """

    features = 2

    def __init__(self, name: str, roles: Roles, *, whole: bool = False, ignored: int | None = None) -> None:
        self._name, self._roles, self._whole, self._ignored = name, roles, whole, ignored
        self.kept = "whole" if whole else "chosen"
        self.classes: int | None = None

    def reduce(self, batch: Mapping[str, Values], first: int) -> tuple[Floats, NDArray[np.int64]]:
        """See `Rows`."""
        roles, where = self._roles, f"{self._name}, column {self._roles.named}"
        parts = [matrix(where, batch[one], first) for one in roles.columns]
        given = parts[0] if len(parts) == 1 else np.hstack(parts)
        # One number a row is that of class 1 of two.
        both = (
            given if given.shape[1] > 1 else np.hstack([1.0 - given if self._shares else 0.0 * given, given])
        )
        if self.classes is None:
            self.classes = both.shape[1]
            self.features = self.classes + 1 if self._whole else 2
        if both.shape[1] != self.classes:
            raise DataError(
                f"{where}, row {first}: {both.shape[1]} classes, but {self.classes} in the rows before. Correct "
                "the file."
            )
        label = roles.label or ""
        target = classes(f"{self._name}, column {label}", batch[label], first, self.classes, self._ignored)
        true = np.where(target == self._ignored, 0, target) if self._ignored is not None else target
        if self._shares:
            _check_probabilities(where, both, first)
        elif first == 0 and given.shape[1] > 1:
            warn_of_probabilities(f"{where}:", given, "probabilities= (--probabilities)")
        logs = self._logs(both)
        kept = logs if self._whole else logs[np.arange(len(both)), true][:, None]
        return np.hstack([kept, np.argmax(both, axis=1)[:, None]]), target

    @property
    def _shares(self) -> bool:
        return self._roles.kind == "probabilities"

    def _logs(self, given: Floats) -> Floats:
        """The logarithms of the probabilities (n, classes); NaN where a row has none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._shares:
                return np.asarray(log(np.maximum(given, 0.0)))
            below = given - given.max(axis=1, keepdims=True)
            return np.asarray(below - log(exp(below).sum(axis=1, keepdims=True)))


class OutputsWithNumbers:
    """Outputs of any kind, and as many numbers to compare them with."""

    kept = "pairs"

    def __init__(self, name: str, roles: Roles, **_: Any) -> None:
        self._name, self._roles = name, roles
        self.classes: int | None = None
        self.features = 0

    def reduce(self, batch: Mapping[str, Values], first: int) -> tuple[Floats, NDArray[np.int64]]:
        """See `Rows`."""
        roles, where = self._roles, f"{self._name}, column {self._roles.named}"
        parts = [matrix(where, batch[one], first) for one in roles.columns]
        given = np.hstack(parts)
        label = roles.target or ""
        numbers = matrix(f"{self._name}, column {label}", batch[label], first)
        self.features = self.features or 2 * given.shape[1]
        if 2 * given.shape[1] != self.features or numbers.shape != given.shape:
            raise DataError(
                f"{where}, row {first}: {given.shape[1]} outputs and {numbers.shape[1]} numbers in {label}, expected "
                f"{self.features // 2} of each. Name columns of the same length: predictions= (--predictions), target= "
                "(--label-column)."
            )
        if roles.kind == "probabilities":
            wrong = ((given < -BELOW_ZERO) | (given > 1.0 + BELOW_ZERO)).any(axis=1)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise DataError(
                    f"{where}, row {first + row}: {given[row].min():.6g} to {given[row].max():.6g}, expected "
                    "probabilities from 0 to 1. If these are logits: logits= (--logits)."
                )
            given = np.clip(given, 0.0, 1.0)
        return np.hstack([given, numbers]), np.zeros(len(given), np.int64)


def _check_probabilities(where: str, given: Floats, first: int) -> None:
    """Raise DataError for a row that is no distribution; one with NaN is told elsewhere."""
    bad = no_distributions(given) & ~np.isnan(given).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{where}, row {first + row}: smallest {given[row].min():.6g}, sum {given[row].sum():.6g}, expected "
            "probabilities that sum to 1. If these are logits: logits= (--logits)."
        )


KINDS: Final[dict[str, Callable[..., Rows]]] = {
    "values": SavedValues,
    "logits": ClassOutputs,
    "probabilities": ClassOutputs,
}


def reducer(name: str, roles: Roles, *, whole: bool, ignored: int | None) -> Rows:
    """What reduces the rows of these columns."""
    kind = KINDS[roles.kind] if roles.target is None else OutputsWithNumbers
    return kind(name, roles, whole=whole, ignored=ignored)
