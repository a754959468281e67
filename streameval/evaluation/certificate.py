"""A report as a certificate: what it states, and whether that follows from what it carries.

Knows the report alone. Whether it is true of a model and data, `verify` finds out.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from streameval import losses
from streameval.errors import CheckError, DataError
from streameval.evaluation.consistency import check_state
from streameval.evaluation.identity import RESULT_VERSION
from streameval.evaluation.report import READABLE, SCHEMA, DataName, ModelName, Report, data_dict, model_dict
from streameval.evaluation.resources import Resources
from streameval.evaluation.sealed import is_sealed
from streameval.evaluation.state import ClassSums, LossSums, State
from streameval.evaluation.tally import BLOCK_ROWS, Block
from streameval.files import storage_errors
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.storage.source import Source, Span

# What follows from the model, the data and the state, and is compared value by value.
DERIVED = (
    *("loss", "loss_sum", "rows", "correct", "accuracy", "stddev", "stderr", "min", "max", "left_out", "eps"),
    *("digest", "per_class", "confusion", "worst", "meaning", "state", "loss_name"),
)
# What an altered report may raise where it is read.
UNSOUND = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """A report that agrees with itself.

    name    of the report, for messages · said: its content
    state   the exact sums that it states · loss: what a row costs
    blocks  what it states of each block of rows
    """

    name: str
    said: dict[str, Any]
    state: State
    loss: Loss
    blocks: tuple[Block, ...]

    @property
    def adds_up(self) -> bool:
        """Whether the total follows from the blocks: an earlier version stated no sums of them."""
        return all(block.sums is not None for block in self.blocks)

    def rows_of(self, block: int) -> Span:
        """The rows of a block."""
        return Span(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, int(self.said["data"]["rows"])))

    def check_named(self, model: Model, source: Source) -> None:
        """Compare what is stated of model and data with these, paths apart, which may differ between copies.

        Needs only what is recorded beside the rows. Raises CheckError.
        """
        if model.sha256 != self.said["model"]["sha256"]:
            raise CheckError(
                f"{model.path or 'the model'}: SHA-256 {model.sha256}, but {self.name} is about "
                f"{self.said['model']['sha256']} ({self.said['model']['path']}). Give the model that was evaluated."
            )
        if source.rows != self.said["data"]["rows"]:
            raise CheckError(
                f"{source.name}: {source.rows} rows, but {self.name} is about {self.said['data']['rows']}."
            )
        try:
            fingerprint = source.fingerprint
        except DataError as error:
            raise CheckError(f"{error} The data are not those of {self.name}.") from error
        if fingerprint != self.said["data"]["fingerprint"]:
            raise CheckError(
                f"{source.name}: fingerprint {fingerprint}, but {self.name} is about "
                f"{self.said['data']['fingerprint']} ({self.said['data']['path']}). Give the data that were evaluated."
            )
        for what, mine in (("model", model_dict(model)), ("data", data_dict(source, model.outputs))):
            for field in sorted(mine.keys() | self.said[what].keys()):
                stated, true = self.said[what].get(field), mine.get(field)
                if field != "path" and stated != true:
                    raise CheckError(
                        f"{self.name}: {what}.{field} is {str(stated)[:80]}, but of what was given it is "
                        f"{str(true)[:80]}. The report was altered: evaluate again."
                    )


def read_certificate(report: str | os.PathLike[str] | dict[str, Any]) -> Certificate:
    """Read a report over all rows, and compare it with itself: its hash, every number with the exact state, the state
    with the blocks.

    Raises:
        CheckError: something does not follow from the rest.
        DataError: no report of this kind, or one over a part of the rows. StorageError: a file cannot be read.
    """
    name, said = _content(report)
    if not is_sealed(said):
        raise CheckError(f"{name}: it was altered or damaged: its own SHA-256 does not fit. Evaluate again.")
    try:
        _check_version(name, said)
        return _checked(name, said)
    except (*UNSOUND, DataError) as error:
        if type(error) is DataError and said.get("blocks", ()) is None:
            raise
        raise CheckError(f"{name}: it is not whole ({error!r}). Evaluate again.") from error


def _content(report: str | os.PathLike[str] | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The report's name for messages, and its content."""
    name, content = "the report", report
    if not isinstance(report, dict):
        name = os.fspath(report)
        with storage_errors(name):
            raw = Path(name).read_bytes()
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{name}: no JSON ({error}), expected the output of: streameval evaluate --json"
            ) from None
    if not isinstance(content, dict) or content.get("schema") not in READABLE:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise DataError(
            f"{name}: schema {repr(schema)[:80]}, expected a report of streameval evaluate --json, {SCHEMA!r}."
        )
    return name, content


def _check_version(name: str, said: dict[str, Any]) -> None:
    version = said["meaning"]["version"]
    if version != RESULT_VERSION:
        raise CheckError(
            f"{name}: the digests have meaning {str(version)[:80]}, this version of streameval computes "
            f"{RESULT_VERSION}. Verify with the version that made the report, or evaluate again."
        )
    if said["blocks"] is None:
        raise DataError(
            f"{name}: a report over a part of the rows carries no digests of blocks. Evaluate all rows to get one "
            "that can be verified."
        )


def _checked(name: str, said: dict[str, Any]) -> Certificate:
    state, rows = State.from_dict(said["state"]), said["data"]["rows"]
    check_state(state, rows)
    # Earlier versions knew cross-entropy alone.
    parameters = said["meaning"].get("parameters") or {
        "name": "cross-entropy",
        "eps": float(said["eps"]).hex(),
    }
    loss = losses.from_dict(parameters)
    model, data = ModelName.from_dict(said["model"]), DataName.from_dict(said["data"])
    again = Report(state, loss, model, data, Resources(0.0, 0.0, 0, 0, 0), str(said.get("scorer"))).to_dict()
    wanted = json.loads(json.dumps(again))
    # What was not said yet when the report was written.
    if said["schema"] != SCHEMA:
        del wanted["meaning"]["parameters"], wanted["loss_name"]
    if "accuracy_interval" not in said:
        del wanted["accuracy_interval"]
    differing = [key for key in DERIVED if said.get(key) != wanted.get(key)]
    # Its ends go through logarithms, whose last bits may differ between machines.
    if not _alike(said.get("accuracy_interval"), wanted.get("accuracy_interval")):
        differing.append("accuracy_interval")
    if differing:
        key = differing[0]
        raise CheckError(
            f"{name}: {', '.join(differing)} do not follow from its exact state: {key} is "
            f"{str(said.get(key, 'not there'))[:80]}, expected {str(wanted[key])[:80]}. Evaluate again."
        )
    found = Certificate(name, said, state, loss, _blocks(name, said, rows))
    if found.adds_up:
        _check_sum(found)
    return found


def _alike(said: dict[str, Any] | None, wanted: dict[str, Any] | None) -> bool:
    """Whether two intervals agree, their ends to nine digits."""
    if said is None or wanted is None:
        return said is wanted
    ends = all(math.isclose(said[end], wanted[end], rel_tol=1e-9, abs_tol=1e-15) for end in ("low", "high"))
    return ends and said | {"low": 0, "high": 0} == wanted | {"low": 0, "high": 0}


def _blocks(name: str, said: dict[str, Any], rows: int) -> tuple[Block, ...]:
    digests, count = said["blocks"]["digests"], -(-rows // BLOCK_ROWS)
    if said["blocks"]["rows"] != BLOCK_ROWS or len(digests) != count:
        raise CheckError(
            f"{name}: {len(digests)} blocks of {said['blocks']['rows']} rows, expected {count} of {BLOCK_ROWS} for "
            f"{rows} rows. Evaluate again."
        )
    if "parts" not in said["blocks"]:  # an earlier version kept digests alone
        return tuple(Block(str(digest)) for digest in digests)
    return tuple(
        Block.from_dict({"digest": digest, **part}, min(BLOCK_ROWS, rows - k * BLOCK_ROWS))
        for k, (digest, part) in enumerate(zip(digests, said["blocks"]["parts"], strict=True))
    )


def _check_sum(certificate: Certificate) -> None:
    """Raise CheckError unless the blocks add up to the state."""
    blocks, state = certificate.blocks, certificate.state
    sums = sum((block.sums for block in blocks if block.sums is not None), LossSums())
    classes = (ClassSums(),) * len(state.classes)
    by_class = tuple(
        reduce(add, one) for one in zip(classes, *(block.classes for block in blocks), strict=True)
    )
    if sums != state.sums or by_class != state.classes:
        raise CheckError(
            f"{certificate.name}: its blocks come to {sums.units} units over {sums.rows} rows, but it states "
            f"{state.sums.units} over {state.sums.rows}. Evaluate again."
        )
