"""Which columns of a table mean what: the value, the class, the id, the group. Knows names; reads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.outputs.table import Table, listed
from streameval.tables.columns import matching

# What is asked for -> how the library and the command line say it.
WORDS: Final = {
    "loss": "loss= (--loss-column)",
    "score": "score= (--score-column)",
    "metric": "metric= (--metric)",
    "logits": "logits= (--logits)",
    "probabilities": "probabilities= (--probabilities)",
    "label": "label= (--label-column)",
    "predictions": "predictions= (--predictions)",
    "target": "target= (--label-column)",
    "row_id": "row_id= (--row-id)",
    "group": "group= (--group)",
}
# The one column that means a loss without being named, since `evaluate --losses` writes it.
USUAL: Final = "loss"


@frozen
class Roles:
    """What is read of a table.

    kind    "values", "logits", "probabilities" or "predictions" · columns: of these · named: how a report calls them
    score   of values: whether more is better
    label   column of true classes, of logits and probabilities
    row_id, group   columns, where there are some
    target  column of the numbers that outputs are compared with, in place of classes
    """

    kind: str
    columns: tuple[str, ...]
    named: str
    score: bool
    label: str | None
    row_id: tuple[str, ...]
    group: str | None
    target: str | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        more = [one for one in (self.label, self.target, *self.row_id, self.group) if one is not None]
        return tuple(dict.fromkeys((*self.columns, *more)))


def choose(
    table: Table,
    asked: Mapping[str, str | Sequence[str] | None],
    *,
    label: str | None,
    target: str | None = None,
    row_id: str | Sequence[str] | None,
    group: str | None,
) -> Roles:
    """What is read of a table where this was asked for. Raises UsageError, listing what there is."""
    given = {role: names for role, names in asked.items() if names is not None}
    if len(given) > 1:
        raise UsageError(f"{' and '.join(WORDS[one] for one in given)} were given: expected one of them.")
    role, names = next(iter(given.items())) if given else _usual(table)
    ids = _several(row_id) if row_id is not None else () if table.row_id is None else (table.row_id,)
    if row_id is not None:
        _check(table, "row_id", ids)
    if group is not None:
        _check(table, "group", (group,))
    if role == "predictions" or target is not None:
        return _compared(table, role, names, label, target, ids, group)
    if role in ("logits", "probabilities"):
        columns = _outputs(table, role, names, label)
        if label is None:
            raise UsageError(
                f"{table.name}: {role} were named, but not the true classes. Name their column: {WORDS['label']}. "
                f"Its columns: {listed(table.columns)}."
            )
        _check(table, "label", (label,))
        return Roles(role, columns, _listed(names), False, label, ids, group)
    if label is not None:
        raise UsageError(
            f"{WORDS['label']} {label!r}: true classes belong to {WORDS['logits']} or {WORDS['probabilities']}; a "
            "value that was saved needs none. Leave it out."
        )
    return _value(table, role, str(names), ids, group)


def _compared(
    table: Table,
    role: str,
    names: Any,
    label: str | None,
    target: str | None,
    ids: tuple[str, ...],
    group: str | None,
) -> Roles:
    """Outputs that are compared with numbers."""
    if label is not None:
        raise UsageError(
            f"label {label!r}: true classes, but {role} are compared with numbers. Name their column: "
            f"{WORDS['target']}."
        )
    if role not in ("predictions", "logits", "probabilities"):
        raise UsageError(
            f"{WORDS['target']} {target!r}: numbers to compare outputs with, but none were named: "
            f"{WORDS['predictions']}, {WORDS['logits']} or {WORDS['probabilities']}. Its columns: "
            f"{listed(table.columns)}."
        )
    columns = _outputs(table, role, names, target)
    if target is None:
        raise UsageError(
            f"{table.name}: predictions were named, but not what they are compared with. Name its column: "
            f"{WORDS['target']}. Its columns: {listed(table.columns)}."
        )
    _check(table, "target", (target,))
    return Roles(role, columns, _listed(names), False, None, ids, group, target)


def _usual(table: Table) -> tuple[str, Any]:
    """What is meant where nothing was asked for: the only metric of a tool's file, or the column "loss"."""
    if len(table.metrics) == 1:
        return "metric", next(iter(table.metrics))
    if table.metrics:
        raise UsageError(
            f"{table.name}: metrics {listed([*table.metrics])}: which one? Name it: {WORDS['metric']}."
        )
    if USUAL in table.columns:
        return "loss", USUAL
    raise UsageError(
        f"{table.name}: which column holds what is wanted? Name it: {WORDS['loss']}, {WORDS['score']} where more is "
        f"better, {WORDS['logits']} or {WORDS['probabilities']}. Its columns: {listed(table.columns)}. (To evaluate a "
        "model, name the data too: MODEL DATA.)"
    )


def _value(table: Table, role: str, name: str, ids: tuple[str, ...], group: str | None) -> Roles:
    if role == "metric":
        metric = table.metrics.get(name)
        if metric is None:
            there = [*table.metrics]
            if not there:
                raise UsageError(
                    f"{table.name}: {WORDS['metric']} {name!r}, but this is no tool's file ({table.format}). Name a "
                    f"column: {WORDS['loss']} or {WORDS['score']}. Its columns: {listed(table.columns)}."
                )
            raise UsageError(
                f"{table.name}: no metric {name!r}. Its metrics: {listed(there)}. Name one of them."
            )
        return Roles("values", (metric.column,), name, metric.score, None, ids, group)
    if name in table.metrics and name not in table.columns:
        metric = table.metrics[name]
        return Roles("values", (metric.column,), name, role == "score", None, ids, group)
    _check(table, role, (name,))
    return Roles("values", (name,), name, role == "score", None, ids, group)


def _several(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Columns: one, several with commas between, or a sequence of them."""
    if isinstance(names, str):
        return tuple(one.strip() for one in names.split(","))
    # Frames may call their columns 0, 1, 2: as a table, they have these as text.
    return tuple(map(str, names or ()))


def _listed(names: str | Sequence[str]) -> str:
    return ",".join(_several(names))


def _outputs(table: Table, role: str, names: str | Sequence[str], target: str | None) -> tuple[str, ...]:
    """The columns of outputs that names and patterns mean; patterns leave out the `target`."""
    found: list[str] = []
    for name in _several(names):
        meant = () if name in table.columns else matching(table.columns, name, (target or "",))
        found += meant or (name,)
    _check(table, role, found)
    return tuple(found)


def _check(table: Table, role: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            metrics = f" Its metrics: {listed([*table.metrics])}." if table.metrics else ""
            raise UsageError(
                f"{table.name}: no column {name!r} for {WORDS[role]}. Its columns: {listed(table.columns)}.{metrics}"
            )
