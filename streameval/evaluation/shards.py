"""A pass cut into shards for several machines, and put together again from the files that each one leaves.

Knows state files. Does not know schedulers, nor how rows are computed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streameval.arguments import describe_value, integer
from streameval.errors import DataError, IncompleteError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.events import Advanced, Started
from streameval.evaluation.identity import Identity
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.report import DataName, ModelName, Report, data_dict, model_dict
from streameval.evaluation.resources import Resources
from streameval.evaluation.tally import stored_tallies
from streameval.files import storage_errors
from streameval.storage.source import Span

SCHEMA, READABLE = "streameval/state/2", ("streameval/state/1", "streameval/state/2")


def shard_span(shard: tuple[int, int] | None, total: int) -> Span:
    """The rows of shard i of n, counted from 0: the n spans tile 0:total, and differ by at most one row.

    Raises UsageError unless 0 <= i < n.
    """
    if shard is None:
        return Span(0, total)
    try:
        index, count = shard
    except (TypeError, ValueError):
        raise UsageError(f"shard: {describe_value(shard)}, expected (i, n), such as (0, 16).") from None
    index, count = integer("shard[0]", index), integer("shard[1]", count)
    if not 0 <= index < count:
        raise UsageError(
            f"shard {index}/{count}: expected I/N with 0 <= I < N; the first of {max(count, 1)} is 0/{max(count, 1)}."
        )
    return Span(total * index // count, total * (index + 1) // count)


def parse_shard(text: str) -> tuple[int, int]:
    """Return (I, N) from "I/N". Raises UsageError."""
    if not re.fullmatch(r"[0-9]{1,18}/[0-9]{1,18}", text):
        raise UsageError(
            f"shard {describe_value(text)}: expected I/N counted from 0, such as 0/16 for the first of sixteen."
        )
    index, count = map(int, text.split("/"))
    shard_span((index, count), 0)
    return index, count


def write_state(report: Report, path: str | os.PathLike[str]) -> None:
    """Write what `merge` needs of a report of a shard, whole or not at all.

    Raises:
        UsageError: the report is not of a shard: `PassOptions(shard=(i, n))`.
        StorageError: the file cannot be written.
    """
    if report.identity is None or report.tally is None:
        raise UsageError(
            "a state file needs a report of evaluate(options=PassOptions(shard=(i, n))); (0, 1) for all rows."
        )
    content = {
        "schema": SCHEMA,
        "identity": report.identity.to_dict(),
        "model": model_dict(report.model),
        "data": data_dict(report.data, report.model.outputs),
        "scorer": report.scorer,
        "resources": report.resources.to_dict(),
        "tallies": [report.tally.to_dict()],
    }
    sealed.write(path, content)


@dataclass(frozen=True, slots=True)
class StateFile:
    """A callback of a shard that writes the state file before the checkpoint is removed."""

    path: str | os.PathLike[str]

    def started(self, event: Started) -> None:
        """See `Callback`. Raises StorageError now, not after hours, if the folder is not there."""
        with storage_errors(self.path):
            Path(self.path).parent.resolve(strict=True)

    def advanced(self, event: Advanced) -> None:
        """See `Callback`."""

    def finished(self, report: Report) -> None:
        """See `Callback`."""
        write_state(report, self.path)

    def stopped(self, error: BaseException) -> None:
        """See `Callback`."""


def merge(paths: Sequence[str | os.PathLike[str]]) -> Report:
    """Put the state files of all shards together: the report of the whole pass, with the same digest.

    Any order; the shards may be of different counts as long as they tile the rows. A file given twice counts once.

    Raises:
        DataError: a file is damaged, of another model, data set, loss or selection of rows, or overlaps with another.
        IncompleteError: rows are missing; they are named.
        StreamevalError: two files hold different results of the same rows.
        StorageError: a file cannot be read.
        UsageError: no file is given.
    """
    if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
        raise UsageError(f"paths: {describe_value(paths)}, expected a list of the paths of state files.")
    if not paths:
        raise UsageError("no state file was given. Give those of all shards: streameval merge shard-*.json")
    files = [(os.fspath(path), sealed.read(path, READABLE, "the state of a shard")) for path in paths]
    name, first = files[0]
    identity = Identity.from_dict(first["identity"])
    results = PartialResults(Span(0, identity.total))
    costs = []
    for path, content in files:
        differences = identity.differences(Identity.from_dict(content["identity"]))
        if differences:
            raise DataError(
                f"{path}: of another pass than {name}: {differences}. Merge shards of one model, data set, eps and "
                "selection of rows only."
            )
        new = [results.add_tally(tally, origin=path) for tally in stored_tallies(path, content)]
        if any(new):
            costs.append(content["resources"])
    model, data = ModelName.from_dict(first["model"]), DataName.from_dict(first["data"])
    classes = first["tallies"][0]["state"].get("classes")
    try:
        tally = results.whole(None if classes is None else len(classes))
    except IncompleteError as error:
        raise IncompleteError(f"{error} Run the shards that hold them, and give their files too.") from None
    scorer = str(first.get("scorer", "native"))
    return Report(tally.state, identity.loss, model, data, _resources(costs), scorer, tally, identity)


def _resources(costs: Sequence[dict[str, Any]]) -> Resources:
    """Of all shards: seconds and rows a second together, the largest peaks."""
    seconds = sum(one["seconds"] for one in costs)
    rows = sum(one["seconds"] * one["rows_per_second"] for one in costs)

    def largest(name: str) -> int:
        return max((one[name] for one in costs), default=0)

    return Resources(
        seconds,
        rows / seconds if seconds > 0 else 0.0,
        largest("threads"),
        largest("peak_anon_bytes"),
        largest("peak_file_bytes"),
    )
