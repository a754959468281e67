"""State files and checkpoints that no evaluation has written, sealed anew: refused by name, never a traceback."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lies import altered, inside, lies, places
from long_runs import drawn, network, write

import streameval as se
from streameval.errors import DataError, StreamevalError
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


def chosen(folder: Path, rows: Any, **opened: Any) -> dict[str, Any]:
    """What the state file of these rows holds, of data that record hashes."""
    path = folder / "data.arrow"
    if not path.exists():
        write(path, ROWS)
    options = se.PassOptions(shard=(0, 1))
    write_state(se.evaluate(network(), se.open(path, **opened), rows=rows, options=options), folder / "state")
    content: dict[str, Any] = json.loads((folder / "state").read_text())
    return content


IMPOSSIBLE: dict[str, tuple[Any, Callable[[Any], None], str]] = {
    "more rows than it was of in its seconds": (
        None, lambda said: said["resources"].update(seconds=1.0, rows_per_second=ROWS + 1.0), "rows a second",
    ),
    "a part that ends behind the data": (
        slice(9, 999), lambda said: said["data"].update(rows=998), "rows are 9:999, but the data have 998",
    ),
    "a worst row of a selection behind the data": (
        np.arange(700)[::-1], lambda said: said["tallies"][0]["state"]["worst"][4].__setitem__(1, ROWS),
        rf"worst rows that are not each one of 0:{ROWS}",
    ),
    "rows of classes that the data do not have": (
        None, lambda said: said["data"].update(classes=3), "rows of more classes than 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_state_that_these_data_cannot_have_is_refused(tmp_path: Path, what: str) -> None:
    rows, change, message = IMPOSSIBLE[what]
    content = chosen(tmp_path, rows)
    assert se.merge([tmp_path / "state"]).rows
    change(content)
    sealed.write(tmp_path / "state", content)
    with pytest.raises(DataError, match=rf"state: .*{message}.*Compute it again"):
        se.merge([tmp_path / "state"])


@pytest.mark.parametrize("kind", ["state", "checkpoint"])
def test_digests_in_place_of_blocks_are_of_the_first_version_alone(
    kind: str, files: dict[str, Any], tmp_path: Path
) -> None:
    content = copy.deepcopy(files[kind])
    for tally in content["tallies"]:
        tally["digests"] = [block["digest"] for block in tally.pop("blocks")]
    with pytest.raises(DataError, match="no 'blocks'"):
        read(kind, sealed.seal(content), tmp_path / "file")


UNHASHED: dict[str, Callable[[Any], None]] = {
    "more rows than there are": lambda check: check.update(rows=ROWS + 1),
    "fewer rows than blocks": lambda check: check.update(rows=1, content=None),
    "no rows": lambda check: check.update(rows=0, content=None),
    "all content of a part": lambda check: check.update(rows=ROWS - 1),
    "no content of all": lambda check: check.update(content=None),
    "other content": lambda check: check.update(content=f"sha256:{'0' * 64}"),
    "nothing recorded": lambda check: check.update(recorded=False),
    "hashes of a block that was not hashed": lambda check: check["hashes"].append([99, "0" * 64, "0" * 64]),
    "a block behind all rows": lambda check: check["numbers"].__setitem__(-1, ROWS + 1),
}


@pytest.mark.parametrize("what", UNHASHED)
def test_hashing_that_cannot_have_been_is_refused(tmp_path: Path, what: str) -> None:
    content = chosen(tmp_path, None, check=True)
    assert se.merge([tmp_path / "state"]).to_dict()["check"]["rows"] == ROWS
    UNHASHED[what](content["check"])
    sealed.write(tmp_path / "state", content)
    with pytest.raises(DataError, match="the state of a shard is damaged"):
        se.merge([tmp_path / "state"])


def test_rows_that_were_not_hashed_do_not_count_as_hashed(tmp_path: Path) -> None:
    """Whether a shard began without --check, or picked as many rows from one block as there are in all."""
    content = chosen(tmp_path, None, check=True)
    content["check"].update(rows=ROWS - 16384, content=None, blocks=4, numbers=[0, 1, 2, 3])
    sealed.write(tmp_path / "state", content)
    hashed = se.merge([tmp_path / "state"]).hashed
    assert hashed is not None
    assert (hashed.rows, hashed.content) == (ROWS - 16384, None)
    chosen(tmp_path, np.arange(ROWS) % 3, check=True)
    hashed = se.merge([tmp_path / "state"]).hashed
    assert hashed is not None
    assert (hashed.rows, hashed.blocks, hashed.content) == (16384, 1, None)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(sealed.MOST_BYTES + 1)
    with pytest.raises(StreamevalError, match="expected JSON of at most"):
        se.merge([tmp_path / "large"])


def test_what_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(StreamevalError, match="/dev/zero: is neither a file nor a pipe, expected JSON"):
        se.merge(["/dev/zero"])
    with pytest.raises(StreamevalError, match="/dev/urandom: is neither a file nor a pipe, expected a key"):
        sealed.read_key("/dev/urandom")


def test_a_key_may_come_through_a_pipe() -> None:
    readable, writeable = os.pipe()
    os.write(writeable, b"k" * 32)
    os.close(writeable)
    assert sealed.read_key(f"/dev/fd/{readable}") == b"k" * 32
    os.close(readable)
