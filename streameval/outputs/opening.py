"""`open_outputs`: from a file of saved outputs to a data set of one value a row.

Knows which columns are asked for, and how each row becomes a value. Does not know formats: `formats` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.losses import Recorded
from streameval.outputs.columns import Roles, choose
from streameval.outputs.formats import open_table
from streameval.outputs.ids import Ids, IdWriter, grouped, id_writer
from streameval.outputs.kinds import Rows, reducer
from streameval.outputs.model import SavedModel
from streameval.outputs.source import Groups, Outputs
from streameval.outputs.table import Table, Values
from streameval.outputs.unchanged import unchanged
from streameval.outputs.values import codes
from streameval.storage.spool import Column, column


def open_outputs(
    data: Any,
    *,
    loss: str | None = None,
    score: str | None = None,
    metric: str | None = None,
    logits: str | Sequence[str] | None = None,
    probabilities: str | Sequence[str] | None = None,
    predictions: str | Sequence[str] | None = None,
    label: str | None = None,
    target: str | None = None,
    row_id: str | Sequence[str] | None = None,
    group: str | None = None,
    bounds: tuple[float, float] | None = None,
    format: str | None = None,
    allow_nonfinite: bool = False,
    whole: bool = False,
    ignore_index: int | None = None,
) -> Outputs:
    """Open the saved outputs of a model, for `evaluate`, `compare`, `evaluate_until`, `minibatch` and `paired` alone.

    data     a path: Arrow, Feather, Parquet, CSV, JSON lines, a JSON list, .npy, .npz, or what lm-evaluation-harness,
             inspect_ai, HELM, OpenAI evals, lighteval and MLflow write; a table with `__arrow_c_stream__` (pyarrow,
             pandas, Polars); a dict of arrays
    loss, score   column of a value a row; of a score more is better. metric: the same, by the name that a tool gave
             it. One of these, or logits or probabilities: a column of lists, or several columns, with `label`, the
             column of true classes (integers from 0). Inside others a column is "outer.inner"
    predictions   column of numbers, or of lists of them; with target, the column of what they are compared with, for
             losses of numbers, such as squared. logits or probabilities with target are those of labels each by itself,
             for binary cross-entropy
    row_id   column, or columns, that tell rows apart: what two runs are joined on. Tools' files have their own
    group    column of the cluster that a row belongs to
    bounds   (low, high) that no value can pass, for intervals with a guarantee; scores within 0 and 1 have those
    format   a row of `outputs.formats.FORMATS`; None: told by the content
    allow_nonfinite   leave rows without a finite value out, and count them, instead of raising
    whole    keep what was saved of all classes, 8 bytes each in TMPDIR, not of the true one alone: label smoothing
             takes it
    ignore_index   a label that is no class: its rows are for `evaluate_weighted` with the same one

    The file is read once, here: each row becomes one float64 in a nameless temporary file (TMPDIR), so that memory
    does not grow with the rows. Repetitions of a sample (epochs, trials) are averaged first.

    Raises:
        UsageError: a column or metric that is not there: those that are there are listed.
        DataError, LabelError: a damaged file; a row without a finite value, a class or an id; a value over 4e6 or
            outside the bounds. StorageError: the file cannot be read, or there is no room in TMPDIR.
    """
    with unchanged(data):
        table = open_table(data, format)
        roles = choose(
            table,
            {
                "loss": loss, "score": score, "metric": metric,
                "logits": logits, "probabilities": probabilities, "predictions": predictions,
            },
            label=label, target=target, row_id=row_id, group=group,
        )  # fmt: skip
        found = _read(table, roles, allow_nonfinite, whole, ignore_index)
    if table.repeats and found.ids is not None:
        found = _averaged(table, found)
    return _outputs(table, roles, found, bounds)


@frozen(eq=False)
class _Found:
    """What was read: see `Outputs`; and how many rows were left out, how many were averaged."""

    values: NDArray[np.float64]
    target: NDArray[np.int64]
    classes: int | None
    ids: Ids | None
    groups: Groups | None
    left_out: int
    averaged: int = 0
    kept: str = "value"


def _read(table: Table, roles: Roles, allow_nonfinite: bool, whole: bool, ignored: int | None) -> _Found:
    kind: Rows = reducer(table.name, roles, whole=whole, ignored=ignored)
    with ExitStack() as stack:
        spool = _Spool(
            table.name, roles,
            stack.enter_context(column(np.float64)), stack.enter_context(column(np.int64)),
            stack.enter_context(column(np.int64)), stack.enter_context(id_writer()),
        )  # fmt: skip
        first, missing, first_missing = 0, 0, -1
        for batch in table.batches(roles.wanted):
            values, target = kind.reduce(batch, first)
            # The logarithm of a probability may be that of 0.
            lacking = np.isnan(values) if kind.kept in ("chosen", "whole") else ~np.isfinite(values)
            usable = np.asarray(~lacking.any(axis=1))
            if not usable.all():
                first_missing = first + int(np.argmin(usable)) if missing == 0 else first_missing
                missing += int(np.count_nonzero(~usable))
            spool.add(batch, values, target, usable, first)
            first += len(values)
        if missing and not allow_nonfinite:
            raise DataError(
                f"{table.name}, row {first_missing}: {roles.named} is missing, NaN or infinite ({missing} "
                f"such rows of {first}). To leave them out and have them counted: allow_nonfinite=True "
                "(--allow-nonfinite)."
            )
        if first == missing:
            raise DataError(f"{table.name}: no rows with a value of {roles.named}. Expected at least one.")
        return spool.found(kind, missing)


class _Spool:
    """Where the rows go, column by column."""

    def __init__(
        self, name: str, roles: Roles, values: Column, target: Column, groups: Column, ids: IdWriter
    ) -> None:
        self._name, self._roles = name, roles
        self._values, self._target, self._groups, self._ids = values, target, groups, ids
        self._codes: dict[str, int] = {}

    def add(
        self,
        batch: Mapping[str, Values],
        values: NDArray[np.float64],
        target: NDArray[np.int64],
        usable: NDArray[np.bool_],
        first: int,
    ) -> None:
        """Add the usable rows of a batch whose first row is `first`."""
        self._values.write(values[usable])
        self._target.write(target[usable])
        roles = self._roles
        if roles.group is not None:
            where = f"{self._name}, column {roles.group}"
            self._groups.write(codes(where, batch[roles.group], usable, first, self._codes))
        if roles.row_id:
            where = f"{self._name}, column {', '.join(roles.row_id)}"
            self._ids.add(where, [batch[one] for one in roles.row_id], first, usable)

    def found(self, kind: Rows, left_out: int) -> _Found:
        """All that was added."""
        roles, groups = self._roles, None
        if roles.group is not None:
            groups = Groups(roles.group, self._groups.mapped(), tuple(self._codes))
        values = self._values.mapped().reshape(-1, kind.features)
        ids = self._ids.finished() if roles.row_id else None
        return _Found(values, self._target.mapped(), kind.classes, ids, groups, left_out, kept=kind.kept)


def _averaged(table: Table, found: _Found) -> _Found:
    """One row for each sample, in the order in which samples begin: the mean of its repetitions."""
    if found.ids is None or len(found.values) == 0:
        return found
    order, sample = grouped(found.ids.keys)
    samples = int(sample[-1]) + 1
    if samples == len(order):
        return found
    means = np.bincount(sample, found.values[order, 0]) / np.bincount(sample)
    first = np.full(samples, len(order))
    np.minimum.at(first, sample, order)
    place = np.argsort(first)
    rows = first[place]
    ids = _picked(found.ids, rows)
    groups = found.groups and replace(found.groups, codes=found.groups.codes[rows])
    return _Found(means[place][:, None], found.target[rows], None, ids, groups, found.left_out, len(order))


def _picked(ids: Ids, rows: NDArray[np.int64]) -> Ids:
    """The ids of some rows; their texts stay where they are."""
    starts, ends = ids.offsets[rows], ids.offsets[rows + 1]
    lengths = np.concatenate([[0], np.cumsum(ends - starts)])
    pieces = [ids.text[start:end] for start, end in zip(starts, ends, strict=True)]
    return Ids(ids.keys[rows], lengths, np.concatenate(pieces) if pieces else ids.text)


def _outputs(table: Table, roles: Roles, found: _Found, bounds: tuple[float, float] | None) -> Outputs:
    value = _value(table, roles, found, bounds)
    sha256 = _hash(found, roles.kind)
    saved: dict[str, Any] = {
        "format": table.format,
        "kind": roles.kind if value is None else ("scores" if value.score else "losses"),
        "column": roles.named,
        "row_id": list(roles.row_id),
        "group": roles.group,
        "left_out": found.left_out,
        "repetitions": found.averaged,
        "bounds": None if value is None or value.bounds is None else list(value.bounds),
    }
    if roles.target is not None:
        saved["target"] = roles.target
    outputs = found.values.shape[1] // 2 if found.kept == "pairs" else found.classes or 1
    model = SavedModel(table.path, sha256, outputs, 0, saved, tuple(_notes(found)), kept=found.kept)
    return Outputs(
        table.name, table.path, found.values, found.target, found.classes, (model,), value, sha256,
        () if table.path is None else (table.path,), found.ids, found.groups,
    )  # fmt: skip


def _notes(found: _Found) -> Iterator[str]:
    if found.left_out:
        yield f"{found.left_out} rows without a finite value were left out"
    if found.averaged:
        yield f"{found.averaged} repetitions were averaged into {len(found.values)} samples"


def _value(table: Table, roles: Roles, found: _Found, bounds: tuple[float, float] | None) -> Recorded | None:
    """What the saved values are; None for logits and probabilities."""
    if roles.kind != "values":
        if bounds is not None:
            raise UsageError(
                "bounds: those of saved values. A loss of outputs knows its own. Leave them out."
            )
        return None
    least, most = float(found.values.min()), float(found.values.max())
    said = _checked(bounds) if bounds is not None else table.bounds if not roles.score else None
    if said is None and roles.score and least >= 0.0 and most <= 1.0:
        said = (0.0, 1.0)
    value = Recorded(roles.named, roles.score, *(said or (None, None)))
    if said is not None and (least < said[0] - 1e-6 or most > said[1] + 1e-6):
        worst = int(np.argmin(found.values) if least < said[0] else np.argmax(found.values))
        raise DataError(
            f"{table.name}, row {worst}: {roles.named} is {float(found.values[worst, 0])}, outside the bounds "
            f"{said[0]:g} to {said[1]:g}. Give bounds that no value can pass: bounds= (--bounds LOW:HIGH)."
        )
    return value


def _checked(bounds: Any) -> tuple[float, float]:
    expected = "two finite numbers, the smaller first, such as (0, 1)"
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise UsageError(f"bounds: {bounds!r}, expected {expected}.")
    return real("bounds", bounds[0], expected), real("bounds", bounds[1], expected)


def _hash(found: _Found, kind: str) -> str:
    """SHA-256 of what is used of the rows, in their order; little-endian."""
    kind = {"whole": f"{kind} of all classes", "pairs": f"{kind} and targets"}.get(found.kept, kind)
    head = {"outputs": 1, "kind": kind, "rows": len(found.values), "classes": found.classes}
    total = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    arrays: list[NDArray[Any]] = [found.values, found.target]
    for array in arrays:
        for start in range(0, len(array), 1 << 16):
            total.update(np.ascontiguousarray(array[start : start + (1 << 16)]).tobytes())
    return total.hexdigest()
