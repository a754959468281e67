"""What metrics have of the rows that came: exact sums of any batches, or a table that has each row once.

Knows values of rows. Does not know what they are of, nor how they were computed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.evaluation.state import State, fold_classes, fold_losses
from streameval.scoring.scorer import Scores

# Rows that are held before they are folded: of thousands of classes, folding each batch would take longer than it.
HELD_ROWS: Final = 65_536


class Sums:
    """The exact sums of batches, in fixed memory: whatever comes counts. Row numbers are not known."""

    def __init__(self, classes: int | None) -> None:
        self._classes = classes
        self._state = State.empty(classes)
        self._held: list[Scores] = []
        self._held_rows = 0
        self.repeated, self.disagreement = 0, 0.0

    def add(self, scores: Scores, rows: NDArray[np.int64] | None) -> None:
        """Take in the rows of a batch."""
        self._held.append(scores)
        self._held_rows += len(scores.loss)
        if self._held_rows >= HELD_ROWS:
            self._fold()

    def join(self, other: Any, classes: int | None) -> None:
        """Take in what another has."""
        self._fold()
        self._state = self._state + other.state(classes)

    def state(self, classes: int | None) -> State:
        """The exact state of what came: without the worst rows, of which no numbers are known."""
        self._fold()
        return self._state

    def _fold(self) -> None:
        if self._held:
            self._state = self._state + fold(joined(self._held), self._classes, None)
            self._held, self._held_rows = [], 0

    def to_dict(self, classes: int | None) -> dict[str, Any]:
        """As JSON, losing nothing."""
        return {"state": self.state(classes).to_dict()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any], classes: int | None) -> Sums:
        """What `to_dict` wrote. Raises DataError if no rows come to it."""
        made = cls(classes)
        made._state = State.from_dict(stored["state"])
        if (made._state.classification is None) != (classes is None) or len(made._state.classes) != (
            classes or 0
        ):
            raise DataError(f"a stored state of {len(made._state.classes)} classes, expected {classes}.")
        check_sums(made._state)
        return made


# The columns of a table, as they are stored.
COLUMNS: Final = {"row": "<i8", "low": "<f8", "high": "<f8", "target": "<i8", "predicted": "<i8"}


class RowTable:
    """A value for each row, by its number: a row that comes again counts once. It takes 40 bytes a row.

    Of a row's results the smaller one is kept, whichever came first; `within` is how far they may lie apart, in nats.
    """

    def __init__(self, within: float) -> None:
        self._within = within
        self._table: dict[str, NDArray[Any]] = {name: np.empty(0, kind[1:]) for name, kind in COLUMNS.items()}
        self._held: list[dict[str, NDArray[Any]]] = []
        self._held_rows = self._given = 0

    def add(self, scores: Scores, rows: NDArray[np.int64] | None) -> None:
        """Take in the rows of a batch. Raises DataError, now or later, if a row came with another result."""
        assert rows is not None
        nothing = np.zeros(len(rows), np.int64)
        self._held.append(
            {
                "row": rows,
                "low": scores.loss,
                "high": scores.loss,
                "target": nothing if scores.target is None else scores.target,
                "predicted": nothing if scores.predicted is None else scores.predicted,
            }
        )
        self._given += len(rows)
        self._held_rows += len(rows)
        if self._held_rows > max(HELD_ROWS, len(self._table["row"])):
            self._settle()

    def join(self, other: Any, classes: int | None) -> None:
        """Take in what another has; rows that both have count once."""
        self._held += [*other._held, other._table]
        self._given += other._given
        self._settle()

    @property
    def repeated(self) -> int:
        """How many of the rows that came had come before."""
        self._settle()
        return self._given - len(self._table["row"])

    @property
    def disagreement(self) -> float:
        """The most that the results of one row lie apart, in nats."""
        self._settle()
        return float((self._table["high"] - self._table["low"]).max(initial=0.0))

    def state(self, classes: int | None) -> State:
        """The exact state: that of an evaluation of these rows, worst rows included."""
        self._settle()
        table = self._table
        with_classes = classes is not None
        scores = Scores(
            table["low"],
            table["target"] if with_classes else None,
            table["predicted"] if with_classes else None,
        )
        return fold(scores, classes, table["row"])

    def to_dict(self, classes: int | None) -> dict[str, Any]:
        """As JSON, losing nothing: columns as base64 of little-endian numbers."""
        self._settle()
        columns = {
            name: base64.b64encode(self._table[name].astype(kind).tobytes()).decode()
            for name, kind in COLUMNS.items()
        }
        return {"given": self._given, "table": columns}

    @classmethod
    def from_dict(cls, stored: dict[str, Any], classes: int | None, within: float) -> RowTable:
        """What `to_dict` wrote. Raises DataError if it is damaged."""
        made = cls(within)
        made._table = {
            name: np.frombuffer(base64.b64decode(stored["table"][name], validate=True), kind).astype(kind[1:])
            for name, kind in COLUMNS.items()
        }
        made._given = int(stored["given"])
        table = made._table
        lengths = {len(column) for column in table.values()}
        sound = (
            len(lengths) == 1
            and made._given >= len(table["row"])
            and bool((np.diff(table["row"]) > 0).all())
            and bool(np.isfinite(table["low"]).all() and (table["low"] <= table["high"]).all())
            and all(
                bool(((table[name] >= 0) & (table[name] < (classes or 1))).all())
                for name in ("target", "predicted")
            )
        )
        if not sound:
            raise DataError("a stored table of rows is damaged. Compute it again.")
        return made

    def _settle(self) -> None:
        """Bring in what is held: rows in order, each once."""
        if not self._held:
            return
        parts = [self._table, *self._held]
        every = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
        order = np.lexsort((every["predicted"], every["low"], every["row"]))
        every = {name: column[order] for name, column in every.items()}
        first = np.flatnonzero(np.diff(every["row"], prepend=-1))
        high = np.maximum.reduceat(every["high"], first) if len(first) else every["high"]
        one_target = np.array_equal(
            np.repeat(every["target"][first], np.diff(first, append=len(order))), every["target"]
        )
        if not one_target:
            raise self._other_target(every)
        table = {name: column[first] for name, column in every.items()} | {"high": high}
        apart = table["high"] - table["low"]
        if (apart > self._within).any():
            k = int(np.argmax(apart))
            raise DataError(
                f"row {table['row'][k]} came more than once, with results {apart[k]:.6g} apart "
                f"({table['low'][k]:.9g} and {table['high'][k]:.9g}), more than repeats_within={self._within:g}. Are "
                "rows= the numbers of rows in the data set, and the model in evaluation mode? Numbers of low precision "
                "differ more: give a larger repeats_within."
            )
        self._table, self._held, self._held_rows = table, [], 0

    def _other_target(self, every: dict[str, NDArray[Any]]) -> DataError:
        row, target = every["row"], every["target"]
        k = int(np.argmax((row[1:] == row[:-1]) & (target[1:] != target[:-1])))
        return DataError(
            f"row {row[k]} came with target {target[k]} and with target {target[k + 1]}: rows= must be the numbers of "
            "rows in the data set, the same in every batch, epoch and process; not places in the batch."
        )


def joined(parts: Iterable[Scores]) -> Scores:
    """The rows of several batches as one."""
    every = list(parts)
    if len(every) == 1:
        return every[0]
    targets = [one.target for one in every if one.target is not None]
    predicted = [one.predicted for one in every if one.predicted is not None]
    return Scores(
        np.concatenate([one.loss for one in every]),
        np.concatenate(targets) if len(targets) == len(every) else None,
        np.concatenate(predicted) if len(predicted) == len(every) else None,
    )


def fold(scores: Scores, classes: int | None, rows: NDArray[np.int64] | None) -> State:
    """The exact state of rows; without their numbers, no worst ones are remembered."""
    numbers = np.zeros(len(scores.loss), np.int64) if rows is None else rows
    sums, left_out = fold_losses(scores.loss, numbers)
    assert left_out is None  # who computes them refuses such rows
    if rows is None:
        sums = replace(sums, worst=())
    if classes is None or scores.target is None or scores.predicted is None:
        return State(sums)
    return State(sums, fold_classes(scores.loss, scores.target, scores.predicted, classes))


def check_sums(state: State) -> None:
    """Raise DataError if no rows come to such a state."""
    sums = state.sums
    if sums.rows < 0 or sums.units_squared < 0 or sums.units**2 > sums.rows * sums.units_squared:
        raise DataError("a stored state has sums that no rows come to. Compute it again.")


def same_kind(one: Sums | RowTable, other: Sums | RowTable) -> None:
    """Raise UsageError for metrics of which one knows its rows' numbers and the other does not."""
    if type(one) is not type(other):
        raise UsageError(
            "rows= was given to some updates and not to others: repeats among them could not be told. Give it always, "
            "or never."
        )
