"""Reports, states and checkpoints: trees of JSON that are changed and sealed anew, and bytes damaged.

What is accepted must come to the digest that the rows come to: who reads these files believes what they say.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import streameval as se
from streameval.errors import CheckError, DataError, StorageError, StreamevalWarning
from streameval.evaluation import sealed
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.shards import write_state
from streameval.evaluation.tally import BLOCK_ROWS
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target, content_hash

FILE = "file.json"
ROWS = BLOCK_ROWS + 300
VALUES = (*mutators.VALUES, "all", "0:5", "sha256:" + "0" * 64, "0" * 64, "native", (0.5).hex(), (-1.0).hex())
REFUSALS = (CheckError, DataError, StorageError)


class _StoppedError(Exception):
    """The pass was stopped."""


@cache
def network() -> se.Mlp:
    """Return a network of 4 values and 3 classes."""
    draws = np.random.default_rng(5)
    return se.Mlp([se.Layer(draws.normal(size=(4, 3)).astype("f4"), np.zeros(3, "f4"), "identity")])


@cache
def rows() -> tuple[Any, Any]:
    """Return the rows: a whole block and some more."""
    draws = np.random.default_rng(6)
    return draws.integers(0, 256, (ROWS, 4), dtype=np.uint8), draws.integers(0, 3, ROWS)


@cache
def true() -> se.Report:
    """Return what the rows come to."""
    return se.evaluate(network(), rows())


def answer(digest: str) -> bytes:
    """Return what a reader found."""
    return content_hash([digest.encode()])


def oracle(folder: Path) -> bytes:
    """Know what is true, whatever the file says."""
    return answer(true().digest)


def changed(rng: Random, case: Case) -> Case:
    """Change the tree and seal it anew; or bytes; or nothing."""
    kind = rng.random()
    if kind < 0.15:
        return case
    if kind < 0.3:
        return {FILE: mutators.damaged(rng, case[FILE])}
    tree = mutators.tree_changed(rng, json.loads(case[FILE]), VALUES)
    if isinstance(tree, dict):
        tree = sealed.seal(tree, b"a key of some length" if rng.random() < 0.1 else None)
    data = mutators.json_bytes(tree)
    if rng.random() < 0.05:
        data = data.replace(b"{", b'{"schema": "streameval/evaluate/2", ', 1)
    if rng.random() < 0.05:
        data = data.replace(b"[", b"[" * 60_000, 1)
    return {FILE: data}


def reports() -> list[Case]:
    """Whole reports."""
    return [{FILE: json.dumps(true().to_dict()).encode()}]


def read_report(folder: Path, rng: Random) -> bytes:
    """Verify it, wholly or in a block."""
    found = se.verify(
        folder / FILE, network(), rows(), blocks=rng.choice((None, 1, 1, 1)), seed=rng.randrange(99)
    )
    return answer(found.digest)


def states() -> list[Case]:
    """A state of all rows."""
    true()  # the oracle is asked in forks, where no kernel runs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE)
        write_state(se.evaluate(network(), rows(), options=se.PassOptions(shard=(0, 1))), path)
        return [{FILE: path.read_bytes()}]


def read_state(folder: Path, rng: Random) -> bytes:
    """Merge it with itself."""
    return answer(se.merge([folder / FILE] * rng.choice((1, 2))).digest)


def checkpoints() -> list[Case]:
    """A checkpoint after the first block, with the checksums of losses and without."""
    true()
    return [_interrupted(losses) for losses in (False, True)]


def _interrupted(losses: bool) -> Case:
    def stop(done: int, total: int) -> None:
        if done > BLOCK_ROWS:
            raise _StoppedError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE)
        options = se.PassOptions(
            checkpoint=Checkpoint(path, 0.0), losses=Path(folder, "losses.arrow") if losses else None
        )
        try:
            se.evaluate(network(), rows(), chunk_rows=8192, progress=stop, options=options)
        except _StoppedError:
            return {FILE: path.read_bytes()}
    raise AssertionError("the pass was not stopped")


def read_checkpoint(folder: Path, rng: Random) -> bytes:
    """Go on from it."""
    more = {"losses": folder / "losses.arrow"} if rng.random() < 0.3 else {}
    options = se.PassOptions(checkpoint=folder / FILE, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        return answer(se.evaluate(network(), rows(), options=options).digest)


def _target(seeds: Callable[[], list[Case]], read: Callable[[Path, Random], bytes]) -> Target:
    return Target(seeds, changed, read, REFUSALS, oracle, true)


REPORT, STATE, CHECKPOINT = (
    _target(reports, read_report), _target(states, read_state), _target(checkpoints, read_checkpoint),
)  # fmt: skip
