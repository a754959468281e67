"""Whether a report is true of a model and a data set: hashes compared, random blocks computed again, bit by bit.

Knows what a report carries. Does not know who made it, nor how it was computed: alone, in shards, by an engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streameval import losses
from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS
from streameval.errors import CheckError, DataError
from streameval.evaluation.identity import RESULT_VERSION
from streameval.evaluation.opening import open_rows
from streameval.evaluation.passes import compute
from streameval.evaluation.report import READABLE, SCHEMA, DataName, ModelName, Report
from streameval.evaluation.resources import Resources
from streameval.evaluation.sealed import is_sealed
from streameval.evaluation.selection import Selection
from streameval.evaluation.state import State
from streameval.evaluation.tally import BLOCK_ROWS, Tally
from streameval.files import storage_errors
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring import check_model, make_scorer
from streameval.scoring.scorer import Budget
from streameval.storage.block_hashes import hash_block
from streameval.storage.source import Source, Span

VERIFIED = "streameval/verify/1"
# What follows from the model, the data and the state, and is compared value by value.
DERIVED = (
    *("loss", "loss_sum", "rows", "correct", "accuracy", "stddev", "stderr", "min", "max", "left_out", "eps"),
    *("digest", "per_class", "confusion", "worst", "meaning", "state", "blocks", "loss_name"),
)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared and found equal: `blocks` of `of` blocks, `rows` rows computed again, `hashes` of the data
    computed again. `whole` when that was all of them."""

    blocks: tuple[int, ...]
    of: int
    rows: int
    hashes: int
    digest: str

    @property
    def whole(self) -> bool:
        """Whether every block was computed again."""
        return len(self.blocks) == self.of

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": VERIFIED,
            "blocks": list(self.blocks),
            "of": self.of,
            "rows": self.rows,
            "hashes": self.hashes,
            "digest": self.digest,
            "whole": self.whole,
        }


def verify(
    report: str | os.PathLike[str] | dict[str, Any],
    model: Model,
    data: Any,
    *,
    blocks: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Compare a report of `evaluate` over all rows with the model and the data that it names.

    report   path of its JSON, or what `Report.to_dict` returned
    blocks   how many random blocks of 65,536 rows are computed again; None: all of them, and the total
    seed     chooses them
    progress called with (blocks done, blocks in all)

    The report's own SHA-256, the numbers against its exact state, the hashes of model and data, the recorded hashes
    of the rows of the chosen blocks, and the digest of each block must all be the same.

    Raises:
        CheckError: something differs; it is named.
        DataError: no report of this kind, or one over a part of the rows; data that cannot be opened.
        UsageError: blocks below 1. StorageError: a file cannot be read.
    """
    check_model(model)
    if blocks is not None:
        integer("blocks", blocks, least=1)
    integer("seed", seed, least=0)
    name, said = _read(report)
    state, loss = _check_itself(name, said)
    source = open_rows(data, model)
    _check_named(name, said, model, source)
    digests = said["blocks"]["digests"]
    chosen = _choose(len(digests), blocks, seed)
    hashes = _check_hashes(source, chosen)
    total = _check_blocks(name, said, _Again(model, source, loss, threads), chosen, progress)
    if len(chosen) == len(digests) and total.state.digest != said["digest"]:
        raise CheckError(
            f"{name}: digest {said['digest']}, but all rows together give {total.state.digest}. The report is not "
            "that of this model and data: evaluate again."
        )
    rows = sum(len(_rows_of(block, source.rows)) for block in chosen)
    return Verified(tuple(chosen), len(digests), rows, hashes, state.digest)


def _read(report: str | os.PathLike[str] | dict[str, Any]) -> tuple[str, dict[str, Any]]:
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
            f"{name}: schema {schema!r}, expected a report of streameval evaluate --json, {SCHEMA!r}."
        )
    return name, content


def _check_itself(name: str, said: dict[str, Any]) -> tuple[State, Loss]:
    """Compare the report with itself: its hash, and every number with the exact state; return that state, and what a
    row costs."""
    if not is_sealed(said):
        raise CheckError(f"{name}: it was altered or damaged: its own SHA-256 does not fit. Evaluate again.")
    meaning = said.get("meaning", {}).get("version")
    if meaning != RESULT_VERSION:
        raise CheckError(
            f"{name}: the digests have meaning {meaning}, this version of streameval computes {RESULT_VERSION}. "
            "Verify with the version that made the report, or evaluate again."
        )
    if said.get("blocks") is None:
        raise DataError(
            f"{name}: a report over a part of the rows carries no digests of blocks. Evaluate all rows to get one "
            "that can be verified."
        )
    try:
        state = State.from_dict(said["state"])
        model, data = ModelName.from_dict(said["model"]), DataName.from_dict(said["data"])
        loss = _loss(said)
        again = Report(
            state, loss, model, data, Resources(0.0, 0.0, 0, 0, 0), str(said.get("scorer"))
        ).to_dict()
        wanted = json.loads(json.dumps(again)) | {"blocks": said["blocks"]}
        if said["schema"] != SCHEMA:
            # What was not said yet when the report was written.
            del wanted["meaning"]["parameters"], wanted["loss_name"]
        differing = [key for key in DERIVED if said.get(key) != wanted.get(key)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckError(f"{name}: it is not whole ({error!r}). Evaluate again.") from error
    if differing:
        key = differing[0]
        raise CheckError(
            f"{name}: {', '.join(differing)} do not follow from its exact state: {key} is {str(said.get(key))[:80]}, "
            f"expected {str(wanted.get(key))[:80]}. Evaluate again."
        )
    count = -(-data.rows // BLOCK_ROWS)
    if said["blocks"]["rows"] != BLOCK_ROWS or len(said["blocks"]["digests"]) != count:
        raise CheckError(
            f"{name}: {len(said['blocks']['digests'])} blocks of {said['blocks']['rows']} rows, expected {count} of "
            f"{BLOCK_ROWS} for {data.rows} rows. Evaluate again."
        )
    if state.rows + state.sums.left_out != data.rows:
        raise CheckError(
            f"{name}: {state.rows + state.sums.left_out} rows, expected all {data.rows}. Evaluate again."
        )
    return state, loss


def _loss(said: dict[str, Any]) -> Loss:
    """What a row costs, as the report says it: earlier versions knew cross-entropy alone."""
    parameters = said["meaning"].get("parameters")
    return losses.from_dict(parameters or {"name": "cross-entropy", "eps": float(said["eps"]).hex()})


def _check_named(name: str, said: dict[str, Any], model: Model, source: Source) -> None:
    """Compare the hashes of the model and of the data, which only needs what is recorded beside the rows."""
    if model.sha256 != said["model"]["sha256"]:
        raise CheckError(
            f"{model.path or 'the model'}: SHA-256 {model.sha256}, but {name} is about {said['model']['sha256']} "
            f"({said['model']['path']}). Give the model that was evaluated."
        )
    if source.rows != said["data"]["rows"]:
        raise CheckError(f"{source.name}: {source.rows} rows, but {name} is about {said['data']['rows']}.")
    try:
        fingerprint = source.fingerprint
    except DataError as error:
        raise CheckError(f"{error} The data are not those of {name}.") from error
    if fingerprint != said["data"]["fingerprint"]:
        raise CheckError(
            f"{source.name}: fingerprint {fingerprint}, but {name} is about {said['data']['fingerprint']} "
            f"({said['data']['path']}). Give the data that were evaluated."
        )


def _choose(count: int, wanted: int | None, seed: int) -> list[int]:
    if wanted is None or wanted >= count:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, wanted, replace=False).tolist())


def _check_hashes(source: Source, chosen: Sequence[int]) -> int:
    """Compare the rows of the chosen blocks with the hashes that are recorded beside them; return how many."""
    wanted, count = set(chosen), 0
    for span, hashes in source.recorded():
        if wanted.isdisjoint(range(span.start // BLOCK_ROWS, (span.stop - 1) // BLOCK_ROWS + 1)):
            continue
        try:
            # A flipped bit may make a label impossible: then it is found here.
            again = hash_block((chunk.x, chunk.t) for chunk in source.chunks(span, CHUNK_ROWS))
        except DataError as error:
            raise CheckError(
                f"{error} Rows {span.start}:{span.stop} differ from what was recorded."
            ) from error
        for what, is_, was in zip(("features", "targets"), again, hashes, strict=True):
            if is_ != was:
                raise CheckError(
                    f"{source.name}, block {span.start // BLOCK_ROWS}, rows {span.start}:{span.stop}: the {what} have "
                    f"SHA-256 {is_}, expected {was} as recorded. Restore the file from a good copy."
                )
        count += 1
    return count


@dataclass(frozen=True, slots=True, eq=False)
class _Again:
    """What blocks are computed from again."""

    model: Model
    source: Source
    loss: Loss
    threads: int | None

    def block(self, rows: Span, *, allow_nonfinite: bool) -> Tally:
        """What comes of one block."""
        scorer = make_scorer(self.model, self.source, self.loss, Budget(self.threads))
        tasks = Selection(Span(0, self.source.rows)).tasks([rows])
        tally = Tally.empty(rows.start, scorer.classes)
        for part in compute(
            [scorer], self.source, tasks, chunk_rows=CHUNK_ROWS, allow_nonfinite=allow_nonfinite
        ):
            tally += part.tallies[0]
        return tally


def _check_blocks(
    name: str,
    said: dict[str, Any],
    again: _Again,
    chosen: Sequence[int],
    progress: Callable[[int, int], None] | None,
) -> Tally:
    """Compute the chosen blocks again; return what the first of them that lie side by side come to."""
    source, digests = again.source, said["blocks"]["digests"]
    total: Tally | None = None
    for done, block in enumerate(chosen, start=1):
        rows = _rows_of(block, source.rows)
        try:
            tally = again.block(rows, allow_nonfinite=said["left_out"] > 0)
        except DataError as error:
            raise CheckError(f"{error} Block {block} differs from {name}.") from error
        if tally.state.digest != digests[block]:
            raise CheckError(
                f"{source.name}, block {block}, rows {rows.start}:{rows.stop}: computed again their digest is "
                f"{tally.state.digest}, but {digests[block]} is in {name}. The report was not computed "
                "from this model and these data, or one of the two computations was disturbed: evaluate again."
            )
        if total is None:
            total = tally
        elif total.span.stop == rows.start:
            total += tally
        if progress is not None:
            progress(done, len(chosen))
    assert total is not None
    return total


def _rows_of(block: int, total: int) -> Span:
    return Span(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, total))
