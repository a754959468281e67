"""A pass cut into shards for several machines, and put together again from the files that each one leaves.

Knows state files. Does not know schedulers, nor how rows are computed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from streameval.arguments import describe_value
from streameval.arguments import integer as whole_number
from streameval.errors import DataError, IncompleteError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.events import Advanced, Started
from streameval.evaluation.fields import differing, intact, only, text
from streameval.evaluation.hashing import check_shard
from streameval.evaluation.identity import RESULT_VERSION, Identity
from streameval.evaluation.names import DataName, ModelName, data_dict, model_dict
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Resources, check_costs
from streameval.evaluation.tally import Tally, stored_tallies
from streameval.files import storage_errors
from streameval.frozen import frozen
from streameval.scoring.rounding import Rounding
from streameval.storage.checked import CheckedSource, Hashed
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
    index, count = whole_number("shard[0]", index), whole_number("shard[1]", count)
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


def write_state(report: Report, path: str | os.PathLike[str], key: bytes | None = None) -> None:
    """Write what `merge` needs of a report of a shard, whole or not at all; signed where a key is given.

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
        "check": _check_of(report),
        "rounding": None if report.rounding is None else report.rounding.to_dict(),
        "resources": report.resources.to_dict(),
        "tallies": [report.tally.to_dict()],
    }
    sealed.write(path, content, key)


@frozen
class StateFile:
    """A callback of a shard that writes the state file before the checkpoint is removed."""

    path: str | os.PathLike[str]
    key: bytes | None = field(default=None, repr=False)

    def started(self, event: Started) -> None:
        """See `Callback`. Raises StorageError now, not after hours, if the folder is not there."""
        with storage_errors(self.path):
            Path(self.path).parent.resolve(strict=True)

    def advanced(self, event: Advanced) -> None:
        """See `Callback`."""

    def finished(self, report: Report) -> None:
        """See `Callback`."""
        write_state(report, self.path, self.key)

    def stopped(self, error: BaseException) -> None:
        """See `Callback`."""


def merge(paths: Sequence[str | os.PathLike[str]], *, key: bytes | None = None) -> Report:
    """Put the state files of all shards together: the report of the whole pass, with the same digest.

    Any order; the shards may be of different counts as long as they tile the rows. A file given twice counts once.
    With a key, each file must be signed with it. What is in the files is checked to be possible, and to belong
    together; whether it is what the rows come to, only `verify` finds out.

    Raises:
        DataError: a file is damaged, of another model, data set, loss or selection of rows, or overlaps with another.
        IncompleteError: rows are missing; they are named.
        CheckError: a file is not signed with the key.
        StreamevalError: two files hold different results of the same rows.
        StorageError: a file cannot be read.
        UsageError: no file is given.
    """
    if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
        raise UsageError(f"paths: {describe_value(paths)}, expected a list of the paths of state files.")
    if not paths:
        raise UsageError("no state file was given. Give those of all shards: streameval merge shard-*.json")
    shards = [_read(path, key) for path in paths]
    first = shards[0]
    results = PartialResults(Span(0, first.identity.total))
    costs = []
    for shard in shards:
        differences = first.differences(shard)
        if differences:
            raise DataError(
                f"{shard.name}: of another pass than {first.name}: {differences}. Merge shards of one model, data set, "
                "eps and selection of rows only."
            )
        new = [results.add_tally(tally, origin=shard.name) for tally in shard.tallies]
        if any(new):
            costs.append(shard.resources)
    try:
        tally = results.whole(first.classes)
    except IncompleteError as error:
        raise IncompleteError(f"{error} Run the shards that hold them, and give their files too.") from None
    return Report(
        tally.state, first.identity.loss, first.model, first.data, _resources(costs), first.scorer, tally,
        first.identity, hashed=_merged_checks(shards), measured=first.rounding, anatomy=tally.anatomy,
    )  # fmt: skip


def _check_of(report: Report) -> dict[str, Any] | None:
    """What was hashed, with the numbers of the blocks, and the hashes of those that nothing is recorded of."""
    if report.hashed is None or not isinstance(report.data, CheckedSource):
        return None
    return report.hashed.to_dict() | {"numbers": report.data.numbers(), "hashes": report.data.hashes()}


def _merged_checks(shards: Sequence[_Shard]) -> Hashed | None:
    """What of the rows was hashed as it was read, None if nothing was, or all was and nothing is recorded.

    Raises DataError if two shards read different content of one block.
    """
    seen: dict[int, tuple[str, list[str]]] = {}
    for shard in shards:
        for block, *hashes in shard.check["hashes"] if shard.check else ():
            name, earlier = seen.setdefault(block, (shard.name, hashes))
            if hashes != earlier:
                raise DataError(
                    f"{shard.name}: it read other content of block {block} than {name}. Evaluate both again, from one "
                    "copy of the data."
                )
    checks = [shard.check for shard in shards if shard.check]
    if not checks:
        return None
    done, others = PartialResults(Span(0, shards[0].identity.total)), 0
    consecutive = shards[0].identity.first() is not None
    for shard in shards:
        hashed = shard.check["rows"] if shard.check else 0
        if consecutive and hashed >= sum(len(tally.span) for tally in shard.tallies):
            for tally in shard.tallies:
                done.add_tally(tally, origin=shard.name)
        else:
            # Of a selection, or where a part of the rows was read without: blocks, which others may have as well.
            others = max(others, hashed)
    recorded, data = all(one["recorded"] for one in checks), shards[0].data
    rows = max(done.rows, others)
    whole = rows == data.rows
    if whole and not recorded:
        # What all rows are is known of recorded hashes, or to who read them all: here to nobody.
        return None
    return Hashed(
        rows, len(set().union(*(one["numbers"] for one in checks))), recorded,
        data.fingerprint if whole else None,
    )  # fmt: skip


@frozen(eq=False)
class _Shard:
    """A state file, read: what is in it is of the right form, and agrees with itself."""

    name: str
    identity: Identity
    model: ModelName
    data: DataName
    scorer: str
    check: dict[str, Any] | None
    rounding: Rounding | None
    resources: dict[str, Any]
    tallies: list[Tally]

    @property
    def classes(self) -> int | None:
        """Classes of the rows, None where they have none."""
        classification = self.tallies[0].state.classification
        return None if classification is None else len(classification.classes)

    def differences(self, other: _Shard) -> str:
        """What the other has that is not the same here, paths apart: shards may read copies."""
        more = differing(other._described(), self._described())
        return "; ".join(filter(None, [self.identity.differences(other.identity), more]))

    def _described(self) -> dict[str, Any]:
        """What must be the same in all shards beside the identity, which has the hash of the model and the data's."""
        data = {f"data.{name}": getattr(self.data, name) for name in ("rows", "features", "classes")}
        model = {f"model.{name}": value for name, value in self.model.content.items()}
        return {"scorer": self.scorer, "classes": self.classes} | model | data


FIELDS = ("schema", "identity", "model", "data", "scorer", "check", "rounding", "resources", "tallies")


def _read(path: str | os.PathLike[str], key: bytes | None) -> _Shard:
    """Read a state file. Raises DataError, naming it, for what no evaluation has written."""
    name = os.fspath(path)
    content = sealed.read(path, READABLE, "the state of a shard", key)
    with intact(name, "the state of a shard"):
        only(content, (*FIELDS, sealed.SEAL, sealed.SIGNATURE))
        identity = Identity.from_dict(content["identity"])
        model, data = ModelName.from_dict(content["model"]), DataName.from_dict(content["data"])
        if (identity.model, identity.data) != (model.sha256, data.fingerprint):
            raise ValueError("model and data are not those of its identity")
        if identity.meaning != RESULT_VERSION:
            raise ValueError(f"its sums have meaning {identity.meaning}, here they have {RESULT_VERSION}")
        layers = model.description["layers"]
        if len(layers) > 1 and layers[0] != data.features:
            raise ValueError(f"the model takes {layers[0]} features, not {data.features}")
        first = identity.first()
        if identity.rows == "all" and identity.total != data.rows:
            raise ValueError(f"all rows are {identity.total}, but the data have {data.rows}")
        if first is not None and first + identity.total > data.rows:
            raise ValueError(f"rows are {identity.rows}, but the data have {data.rows}")
        scorer = text(content, "scorer") if "scorer" in content else "native"
        tallies = stored_tallies(content["tallies"], identity, data.rows, earlier=content["schema"] != SCHEMA)
        if not tallies or any(len(one.state.classes) not in (0, model.outputs) for one in tallies):
            raise ValueError(f"no tallies of {model.outputs} classes")
        if any(of.rows for one in tallies for of in one.state.classes[data.classes :]):
            raise ValueError(f"rows of more classes than {data.classes}, which the data have")
        check_costs(content["resources"], sum(len(one.span) for one in tallies))
        rounding = None if content.get("rounding") is None else Rounding.from_dict(content["rounding"])
        check = content.get("check")
        if check is not None:
            check_shard(check, data.rows, data.fingerprint)
    return _Shard(name, identity, model, data, scorer, check, rounding, content["resources"], tallies)


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
