"""Several runs on the same rows, joined on their ids: the rows that all of them have, each once.

Knows ids and values. Does not know what is compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.defaults import LEAST_JOINED
from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.losses import Recorded
from streameval.outputs.ids import grouped
from streameval.outputs.source import Groups, Outputs
from streameval.storage.spool import column

NAMED = 3  # ids that a message shows
PIECE = 1 << 16


@frozen(eq=False)
class _Matched:
    """Rows of each run that belong together, (runs, n); of each run, rows that others lack and repeated ones."""

    rows: NDArray[np.int64]
    unmatched: tuple[NDArray[np.int64], ...]
    repeated: tuple[NDArray[np.int64], ...]


def join_outputs(runs: Sequence[Outputs], *, least_joined: float = LEAST_JOINED) -> Outputs:
    """Put runs on the same samples together, for `paired`.

    runs          two or more, of one kind; joined on their row ids in any order, or by their place where none of them
                  has ids
    least_joined  share of each run's rows that must find their like in all others

    Rows whose id occurs more than once in a run are joined with none. What is left out is counted in `joined`.

    Raises:
        UsageError: fewer than two runs; losses with scores or logits; ids in some runs only.
        DataError: too few rows match; true classes or groups of a row differ.
    """
    _check(runs)
    least = real("least_joined", least_joined)
    if not 0.0 <= least <= 1.0:
        raise UsageError(f"least_joined: {least_joined!r}, expected a share from 0 to 1.")
    by_ids = runs[0].ids is not None
    matched = _by_ids(runs) if by_ids else _by_place(runs)
    said = _said(runs, matched, by_ids)
    count = matched.rows.shape[1]
    if count == 0 or any(count < least * run.rows for run in runs):
        raise DataError(_too_few(runs, matched, least))
    target = runs[0].target[matched.rows[0]]
    for run, rows in zip(runs[1:], matched.rows[1:], strict=True):
        _check_same(runs[0], run, matched.rows[0], rows, target)
    return _together(runs, matched, target, said)


def _check(runs: Sequence[Outputs]) -> None:
    if len(runs) < 2 or not all(isinstance(run, Outputs) and len(run.models) == 1 for run in runs):
        raise UsageError(
            f"{len(runs)} runs of saved outputs: at least two were expected, each as open_outputs returns it."
        )
    kinds = [_kind(run) for run in runs]
    for run, kind in zip(runs, kinds, strict=True):
        if kind != kinds[0]:
            raise UsageError(
                f"{runs[0].name} holds {kinds[0]}, {run.name} holds {kind}: they cannot be compared. Name the same "
                "kind of column in each."
            )
    without = [run.name for run in runs if run.ids is None]
    if without and len(without) < len(runs):
        raise UsageError(
            f"{', '.join(without)}: no row ids, but other runs have some. Name the column in each: row_id= (--row-id)."
        )


def _kind(run: Outputs) -> str:
    if run.value is None:
        if run.model.kept == "pairs":
            return f"{run.model.outputs} outputs with targets"
        return f"outputs of {run.classes} classes{', opened whole' if run.model.kept == 'whole' else ''}"
    return "scores" if run.value.score else "losses"


def _by_place(runs: Sequence[Outputs]) -> _Matched:
    if len({run.rows for run in runs}) > 1:
        counts = ", ".join(f"{run.name} has {run.rows}" for run in runs)
        raise DataError(
            f"runs without row ids are compared row by row, but {counts} rows. Name the column that tells rows apart: "
            "row_id= (--row-id)."
        )
    rows = np.arange(runs[0].rows)
    none = tuple(np.empty(0, np.int64) for _ in runs)
    return _Matched(np.stack([rows] * len(runs)), none, none)


def _by_ids(runs: Sequence[Outputs]) -> _Matched:
    """Rows of each run by the order of the first one's, where an id occurs once in each."""
    keys = np.concatenate([run.ids.keys for run in runs if run.ids is not None])
    run_of = np.repeat(np.arange(len(runs)), [run.rows for run in runs])
    row_of = np.concatenate([np.arange(run.rows) for run in runs])
    order, which = grouped(keys)
    run_of, row_of = run_of[order], row_of[order]
    ids = int(which[-1]) + 1
    counts = np.stack([np.bincount(which[run_of == k], minlength=ids) for k in range(len(runs))])
    whole, twice = (counts == 1).all(axis=0), (counts > 1)
    rows, unmatched, repeated = [], [], []
    for k in range(len(runs)):
        mine = run_of == k
        rows.append(row_of[mine & whole[which]])
        repeated.append(np.sort(row_of[mine & twice[k][which]]))
        unmatched.append(np.sort(row_of[mine & ~whole[which] & ~twice[k][which]]))
    place = np.argsort(rows[0])
    return _Matched(np.stack(rows)[:, place], tuple(unmatched), tuple(repeated))


def _said(runs: Sequence[Outputs], matched: _Matched, by_ids: bool) -> dict[str, Any]:
    """What a report says of the join."""
    return {
        "rows": matched.rows.shape[1],
        "by": list(runs[0].model.saved["row_id"]) if by_ids else None,
        "runs": [
            {
                "path": run.path,
                "rows": run.rows,
                "unmatched": len(alone),
                "repeated": len(twice),
                "left_out": run.model.saved["left_out"],
                "examples": [run.ids.name(int(row)) for row in alone[:NAMED]] if run.ids is not None else [],
            }
            for run, alone, twice in zip(runs, matched.unmatched, matched.repeated, strict=True)
        ],
    }


def _too_few(runs: Sequence[Outputs], matched: _Matched, least: float) -> str:
    parts = []
    for run, alone, twice in zip(runs, matched.unmatched, matched.repeated, strict=True):
        for rows, what in (
            (alone, "rows that others lack"),
            (twice, "rows whose id is there more than once"),
        ):
            if len(rows) and run.ids is not None:
                names = ", ".join(repr(run.ids.name(int(row))) for row in rows[:NAMED])
                parts.append(
                    f"{run.name} has {len(rows)} {what} (ids {names}{', ...' * (len(rows) > NAMED)})"
                )
    count = matched.rows.shape[1]
    cure = "Compare runs of the same samples, or name the columns that tell rows apart: row_id= (--row-id)."
    if count:
        share = min(count / run.rows for run in runs)
        cure += (
            f" To compare what matches all the same: least_joined={share:.2g} (--least-joined {share:.2g})."
        )
    return (
        f"{' and '.join(run.name for run in runs)}: {count} rows match, expected {least:.0%} of each run. "
        f"{'; '.join(parts)}. {cure}"
    )


def _check_same(
    first: Outputs,
    run: Outputs,
    rows_first: NDArray[np.int64],
    rows: NDArray[np.int64],
    target: NDArray[np.int64],
) -> None:
    """Raise DataError where the true class, or the group, of a row is not the same in both runs."""
    wrong, what = run.target[rows] != target, "true class"
    if run.model.kept == "pairs":
        width = run.model.outputs
        wrong = (run.values[rows, width:] != first.values[rows_first, width:]).any(axis=1)
        what = "target"
    if not wrong.any() and first.groups is not None and run.groups is not None:
        known = {name: code for code, name in enumerate(first.groups.names)}
        translated = np.array([known.get(name, -1) for name in run.groups.names])
        wrong = translated[run.groups.codes[rows]] != first.groups.codes[rows_first]
        what = "group"
    if wrong.any():
        k = int(np.argmax(wrong))
        named = f" (id {first.ids.name(int(rows_first[k]))!r})" if first.ids is not None else ""
        raise DataError(
            f"{first.name}, row {int(rows_first[k])}{named}: its {what} is another one in {run.name} "
            f"({int(wrong.sum())} such rows). Compare runs of the same samples."
        )


def _together(
    runs: Sequence[Outputs], matched: _Matched, target: NDArray[np.int64], said: dict[str, Any]
) -> Outputs:
    width, count = runs[0].features, matched.rows.shape[1]
    with column(np.float64) as spool:
        for start in range(0, count, PIECE):
            part = slice(start, start + PIECE)
            columns = [run.values[rows[part]] for run, rows in zip(runs, matched.rows, strict=True)]
            spool.write(np.hstack(columns))
        values = spool.mapped().reshape(count, width * len(runs))
    models = tuple(replace(run.model, column=k * width) for k, run in enumerate(runs))
    grouping = next((k for k, run in enumerate(runs) if run.groups is not None), None)
    groups = None
    if grouping is not None:
        whole = runs[grouping].groups
        groups = whole and Groups(whole.column, whole.codes[matched.rows[grouping]], whole.names)
    total = hashlib.sha256(b"joined")
    for run, rows in zip(runs, matched.rows, strict=True):
        total.update(run.sha256.encode() + rows.astype("<i8").tobytes())
    return Outputs(
        " and ".join(run.name for run in runs), runs[0].path, values, target, runs[0].classes, models,
        _value(runs), total.hexdigest(), tuple(name for run in runs for name in run.files), None, groups, said,
    )  # fmt: skip


def _value(runs: Sequence[Outputs]) -> Recorded | None:
    """What the values of all runs are, within the widest of their bounds."""
    first = runs[0].value
    if first is None:
        return None
    bounds = [run.value.bounds for run in runs if run.value is not None]
    known = [one for one in bounds if one is not None]
    if len(known) < len(bounds):
        return replace(first, low=None, high=None)
    return replace(first, low=min(low for low, _ in known), high=max(high for _, high in known))
