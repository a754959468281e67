"""State files and checkpoints that no evaluation has written, sealed anew: refused by name, never a traceback."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from lies import altered, inside, lies, places
from long_runs import drawn, network

import streameval as se
from streameval.errors import DataError, StreamevalError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.shards import write_state
from streameval.evaluation.tally import BLOCK_ROWS

ROWS = BLOCK_ROWS + 700
CHUNK = 8192
# What cannot be known where neither model nor data are at hand: `verify` compares it. The sums are those of the result.
UNKNOWN = {
    "state": (
        "resources", "rounding", "model", "data.path",
        "data.classes", "scorer", "identity.loss.eps", "identity.nonfinite",
    ),
    # A file without a schema is no checkpoint: the pass starts again. Losses that do not fit are computed again.
    "checkpoint": ("schema", "tallies", "losses", "checked", "hashes"),
}  # fmt: skip


def unknown(kind: str, place: tuple[Any, ...]) -> bool:
    """Whether it is a field of the table, or the number of a row that is among the worst of its block alone."""
    name = ".".join(map(str, place))
    in_table = any(name == one or (name.startswith(f"{one}.") and one != "tallies") for one in UNKNOWN[kind])
    return in_table or ("partial" in place and "worst" in place and place[-1] == 1)


class StoppedError(Exception):
    """The pass was stopped."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a state file and a checkpoint hold."""
    folder = tmp_path_factory.mktemp("forged")
    write_state(se.evaluate(network(), drawn(ROWS), options=se.PassOptions(shard=(0, 1))), folder / "state")

    def stop(done: int, total: int) -> None:
        if done > BLOCK_ROWS:
            raise StoppedError

    with pytest.raises(StoppedError):
        se.evaluate(
            network(), drawn(ROWS), chunk_rows=CHUNK, progress=stop,
            options=se.PassOptions(checkpoint=Checkpoint(folder / "checkpoint", 0.0), losses=folder / "losses.arrow"),
        )  # fmt: skip
    return {name: json.loads((folder / name).read_text()) for name in ("state", "checkpoint")}


def read(kind: str, content: dict[str, Any], path: Path) -> se.Report:
    path.write_text(json.dumps(content))
    if kind == "state":
        return se.merge([path])
    return se.evaluate(network(), drawn(ROWS), options=se.PassOptions(checkpoint=path))


@pytest.mark.parametrize("kind", ["state", "checkpoint"])
@pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
def test_one_false_field_is_refused(kind: str, files: dict[str, Any], tmp_path: Path) -> None:
    """No total, block, class or row number can be changed alone; what is not checked is what merging says it cannot."""
    content, path, believed = files[kind], tmp_path / "file", []
    whole = se.evaluate(network(), drawn(ROWS)).digest
    # A checkpoint holds the same tallies as a state: a third of its places will do.
    for place in list(places(content))[:: 3 if kind == "checkpoint" else 1]:
        if place[0] == "sha256":
            continue
        for lie in lies(inside(content, place)):
            try:
                report = read(kind, altered(content, place, lie), path)
            except DataError:
                continue
            if not unknown(kind, place) or report.digest != whole:
                believed.append((place, lie))
    assert believed == []


@pytest.mark.parametrize("kind", ["state", "checkpoint"])
@pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
def test_no_field_can_be_left_out(kind: str, files: dict[str, Any], tmp_path: Path) -> None:
    believed = []
    for place in [one for one in places(files[kind]) if isinstance(one[-1], str) and one[0] != "sha256"]:
        content = copy.deepcopy(files[kind])
        del inside(content, place[:-1])[place[-1]]
        try:
            read(kind, sealed.seal(content), tmp_path / "file")
        except DataError:
            continue
        believed.append(place)
    # An earlier version did not say who scored; memory limits and losses may be there or not.
    assert set(believed) <= {
        ("schema",), ("scorer",), ("losses",), ("check",), ("rounding",), ("model", "notes"),
        ("resources", "max_memory_bytes"), ("resources", "base_bytes"),
    }  # fmt: skip


def test_shards_that_do_not_belong_together_are_refused(files: dict[str, Any], tmp_path: Path) -> None:
    """Model, data and scorer of every shard are looked at, not of the first alone."""
    paths = []
    for k in range(2):
        paths.append(tmp_path / f"{k}.json")
        write_state(se.evaluate(network(), drawn(900), options=se.PassOptions(shard=(k, 2))), paths[-1])
    assert se.merge(paths).rows == 900
    for change in (
        lambda said: said.update(scorer="onnxruntime"),
        lambda said: said["model"].update(activations=["relu", "identity"]),
        lambda said: said["data"].update(features=17),
        lambda said: said["data"].update(rows=901),
    ):
        content = json.loads(paths[1].read_text())
        change(content)
        sealed.write(tmp_path / "other.json", {k: v for k, v in content.items() if k != "sha256"})
        with pytest.raises(DataError, match=r"other\.json"):
            se.merge([paths[0], tmp_path / "other.json"])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(sealed.MOST_BYTES + 1)
    with pytest.raises(StreamevalError, match="expected JSON of at most"):
        se.merge([tmp_path / "large"])


def test_what_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(StreamevalError, match=r"/dev/zero: more than .* expected JSON of at most"):
        se.merge(["/dev/zero"])
    with pytest.raises(UsageError, match="/dev/urandom: a key of more than 65536 bytes"):
        sealed.read_key("/dev/urandom")


def test_a_key_may_come_through_a_pipe() -> None:
    readable, writeable = os.pipe()
    os.write(writeable, b"k" * 32)
    os.close(writeable)
    assert sealed.read_key(f"/dev/fd/{readable}") == b"k" * 32
    os.close(readable)
