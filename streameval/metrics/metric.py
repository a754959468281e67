"""What all metrics share: rows are gathered exactly, joined with those of other processes, kept and brought back."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import describe_value, integer, real
from streameval.errors import DataError, UsageError
from streameval.evaluation.fields import intact
from streameval.evaluation.state import State
from streameval.metrics.gathering import RowTable, Sums, same_kind
from streameval.metrics.value import Value
from streameval.scoring.scorer import Scores

SCHEMA = "streameval/metric/1"
V = TypeVar("V", bound=Value)
# One thread at a time changes or reads what metrics have: one lock for all, since two of them are joined at once.
_LOCK = threading.RLock()


def _after_fork() -> None:
    """The thread that had the lock is not here."""
    global _LOCK
    _LOCK = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class Metric(Generic[V]):
    """A mean over rows that come in batches. It is exact: any order, any batches, threads and processes give the same
    bits.

    repeats_within   how far the results of a row may lie apart that comes more than once, where rows= are given
    """

    kind: ClassVar[str]

    def __init__(self, repeats_within: float = 1e-2) -> None:
        expected = "a number, 0 or more, such as 0.01"
        self._within = real("repeats_within", repeats_within, expected)
        if not self._within >= 0.0:
            raise UsageError(f"repeats_within: {describe_value(repeats_within)}, expected {expected}.")
        self.reset()

    def reset(self) -> None:
        """Forget all rows."""
        with _LOCK:
            self._gathered: Sums | RowTable | None = None
            self._classes: int | None = None
            # Who was joined, so that nobody's rows count twice; a name is taken when the first rows come.
            self._own: str | None = None
            self._origins: frozenset[str] = frozenset()

    def compute(self, total_rows: int | None = None) -> V:
        """What all rows so far come to; more may follow.

        total_rows  how many rows there must be

        Raises DataError if there are others, and for a row that came with different results.
        """
        with _LOCK:
            gathered = self._gathered
            state = State.empty(None) if gathered is None else gathered.state(self._classes)
            repeats = (0, 0.0) if gathered is None else (gathered.repeated, gathered.disagreement)
        if total_rows is not None and state.rows != integer("total_rows", total_rows, least=0):
            more = state.rows > total_rows
            raise DataError(
                f"{state.rows} rows came to this metric, {total_rows} were expected. "
                + (
                    "A sampler that pads repeats rows: give their numbers, update(..., rows=...)."
                    if more and not isinstance(gathered, RowTable)
                    else "Merge the metrics of all processes, and reset() before each epoch."
                )
            )
        return self._value(state, *repeats)

    def merge(self, others: Metric[V] | Iterable[Metric[V]]) -> Self:
        """Take in the rows of other metrics, of other processes for instance, and return itself.

        Raises UsageError for a metric of another kind or other settings, and, unless rows have numbers, by which each
        counts once, for one whose rows are here already: of a list that all processes gathered, take
        `streameval.metrics.merge(list)`.
        """
        for other in [others] if isinstance(others, Metric) else others:
            self._join(other)
        return self

    def __add__(self, other: Metric[V]) -> Metric[V]:
        """A new metric with the rows of both."""
        return merge([self, other])

    def state_dict(self) -> dict[str, Any]:
        """What it has, as JSON, losing nothing; `load_state_dict` of one with the same settings goes on from it."""
        with _LOCK:
            gathered = self._gathered
            return {
                "schema": SCHEMA,
                "settings": self._settings(),
                "classes": self._classes,
                "own": self._own,
                "origins": sorted(self._origins),
                "table": isinstance(gathered, RowTable),
                "gathered": None if gathered is None else gathered.to_dict(self._classes),
            }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; what it had is forgotten.

        Raises DataError if it is damaged, UsageError if it is of a metric with other settings.
        """
        with intact("state_dict", "a metric's state"):
            if stored["schema"] != SCHEMA:
                raise DataError(f"a metric's state of schema {stored['schema']!r:.50}, expected {SCHEMA}.")
            settings = stored["settings"]
        if settings != self._settings():
            raise self._other(settings)
        with intact("state_dict", "a metric's state"):
            classes, gathered = stored["classes"], stored["gathered"]
            made: Sums | RowTable | None = None
            if gathered is not None:
                made = (
                    RowTable.from_dict(gathered, classes, self._within)
                    if stored["table"]
                    else Sums.from_dict(gathered, classes)
                )
            own, origins = stored["own"], frozenset(map(str, stored["origins"]))
        with _LOCK:
            self._gathered, self._classes, self._own, self._origins = made, classes, own, origins

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self._arguments(), self.state_dict())

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"streameval.metrics.{type(self).__name__}({said})"

    def _add(self, scores: Scores, rows: NDArray[np.int64] | None, classes: int | None) -> None:
        """Take in the rows of a batch, all of them checked."""
        table = rows is not None
        fresh: Sums | RowTable = RowTable(self._within) if table else Sums(classes)
        with _LOCK:
            if self._gathered is None:
                self._gathered, self._classes = fresh, classes
            same_kind(self._gathered, fresh)
            self._same_classes(classes)
            if self._own is None:
                self._own = secrets.token_hex(8)
                self._origins |= {self._own}
            self._gathered.add(scores, rows)

    def _join(self, other: Metric[V]) -> None:
        if type(other) is not type(self):
            raise UsageError(f"merge: {describe_value(other)}, expected a {type(self).__name__}.")
        if other._settings() != self._settings():
            raise self._other(other._settings())
        with _LOCK:
            if other._gathered is None:
                return
            if self._gathered is None:
                fresh: Sums | RowTable = Sums(other._classes)
                self._gathered = RowTable(self._within) if isinstance(other._gathered, RowTable) else fresh
                self._classes = other._classes
            same_kind(self._gathered, other._gathered)
            self._same_classes(other._classes)
            if isinstance(self._gathered, Sums) and self._origins & other._origins:
                raise UsageError(
                    "merge: the rows of that metric are in this one already, and would count twice. Of a list that all "
                    "processes gathered, this one's among them: streameval.metrics.merge(list).compute()."
                )
            self._gathered.join(other._gathered, self._classes)
            self._origins |= other._origins

    def _same_classes(self, classes: int | None) -> None:
        if classes != self._classes:
            raise DataError(
                f"outputs of {classes} classes, but of {self._classes} before. Use a metric for each model."
            )

    def _other(self, settings: Any) -> UsageError:
        return UsageError(
            f"a metric of other settings cannot be joined or loaded: {str(settings)[:300]}, expected "
            f"{self._settings()}. Make both with the same arguments."
        )

    def _settings(self) -> dict[str, Any]:
        """What it was made with, as JSON."""
        return {"kind": self.kind, **self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        """What the constructor takes, as plain values."""
        return {"repeats_within": self._within}

    def _value(self, state: State, repeated: int, disagreement: float) -> V:
        raise NotImplementedError


def merge(metrics: Iterable[Metric[V]]) -> Metric[V]:
    """A new metric with the rows of all of them: what `torch.distributed.all_gather_object` collected, for instance.

    Raises UsageError for none, for metrics of several kinds or settings, and, unless rows have numbers, for one that is
    there twice.
    """
    every = list(metrics)
    if not every or not all(isinstance(one, Metric) for one in every):
        raise UsageError(f"merge: {describe_value(every)}, expected a list of metrics, one at least.")
    made = type(every[0])(**every[0]._arguments())
    return made.merge(every)


def _remade(kind: type[Metric[V]], arguments: dict[str, Any], stored: dict[str, Any]) -> Metric[V]:
    made = kind(**arguments)
    made.load_state_dict(stored)
    return made
