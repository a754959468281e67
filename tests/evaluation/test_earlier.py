"""Files that streameval wrote before losses were values (schemas /1): merged, gone on with, verified as ever.

The files in `earlier` were written by that version: network(), drawn(300), chunks of 100 rows, two shards; the report
with eps = 0.001.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_runs import drawn, network

import streameval as se
from streameval.errors import CheckError, DataError
from streameval.evaluation import sealed
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.shards import write_state
from streameval.losses import CrossEntropy

EARLIER = Path(__file__).with_name("earlier")
ROWS = 300


def stored(name: str) -> dict[str, Any]:
    content = json.loads((EARLIER / name).read_text())
    assert isinstance(content, dict)
    return content


class Counter:
    """A callback that counts the rows that are computed."""

    computed = 0

    def started(self, event: Any) -> None: ...

    def finished(self, report: Any) -> None: ...

    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self.computed += len(event.span)


def test_the_files_are_of_the_first_version() -> None:
    """Nothing in them is what only the second version writes."""
    for name, schema in (("state-0", "state"), ("state-1", "state"), ("checkpoint", "checkpoint")):
        content = stored(f"{name}.json")
        assert content["schema"] == f"streameval/{schema}/1"
        assert content["identity"]["eps"] == (1e-7).hex()
        assert "loss" not in content["identity"]
        assert "scorer" not in content
    report = stored("report.json")
    assert report["schema"] == "streameval/evaluate/1"
    assert not {"scorer", "loss_name"} & set(report)
    assert "parameters" not in report["meaning"]


@pytest.mark.parametrize("mixed", [False, True])
def test_state_files_merge_with_each_other_and_with_those_of_today(tmp_path: Path, mixed: bool) -> None:
    paths = [EARLIER / "state-0.json", EARLIER / "state-1.json"]
    whole = se.evaluate(network(), drawn(ROWS))
    if mixed:
        paths[1] = tmp_path / "state.json"
        write_state(se.evaluate(network(), drawn(ROWS), options=PassOptions(shard=(1, 2))), paths[1])
        assert json.loads(paths[1].read_text())["schema"] == "streameval/state/2"
    for order in (paths, paths[::-1]):
        merged = se.merge(order)
        assert merged.digest == whole.digest
        assert merged.blocks == whole.blocks
        assert merged.loss_function == CrossEntropy()
        ours, theirs = merged.to_dict(), whole.to_dict()
        assert {name for name in ours if ours[name] != theirs[name]} <= {"resources", "rounding", "sha256"}
        assert se.verify(ours, network(), drawn(ROWS)).whole


def test_a_state_file_of_another_eps_does_not_merge(tmp_path: Path) -> None:
    other = tmp_path / "state.json"
    write_state(se.evaluate(network(), drawn(ROWS), eps=1e-9, options=PassOptions(shard=(1, 2))), other)
    with pytest.raises(
        DataError, match=r"loss CrossEntropy\(eps=1e-09\), expected CrossEntropy\(eps=1e-07\)"
    ):
        se.merge([EARLIER / "state-0.json", other])


def test_a_pass_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    kept, counter = tmp_path / "kept", Counter()
    shutil.copy(EARLIER / "checkpoint.json", kept)
    with pytest.raises(
        DataError, match=r"another pass: loss CrossEntropy\(eps=1e-07\), expected CrossEntropy"
    ):
        se.evaluate(network(), drawn(ROWS), eps=1e-3, options=PassOptions(checkpoint=kept))
    report = se.evaluate(network(), drawn(ROWS), options=PassOptions(checkpoint=kept, callbacks=[counter]))
    assert counter.computed == ROWS - 100
    assert report.digest == se.evaluate(network(), drawn(ROWS)).digest
    assert not kept.exists()


def test_the_report_is_verified() -> None:
    found = se.verify(EARLIER / "report.json", network(), drawn(ROWS))
    assert found.whole
    assert found.digest == se.evaluate(network(), drawn(ROWS), eps=0.001).digest


@pytest.mark.parametrize(
    "forge",
    [
        lambda report: report.update(eps=0.5),
        lambda report: report.update(loss=1.0),
        lambda report: report["meaning"].update(loss="squared error"),
        lambda report: report.update(loss_name="squared-error"),
        lambda report: report["blocks"]["digests"].__setitem__(0, "0" * 64),
    ],
)
def test_a_forged_report_of_the_first_version_is_found(forge: Any) -> None:
    report = stored("report.json")
    forge(report)
    del report["sha256"]
    with pytest.raises(CheckError):
        se.verify(sealed.seal(report), network(), drawn(ROWS))


def test_the_losses_take_the_place_of_a_model() -> None:
    data, second = drawn(ROWS), network(1)
    found = se.paired([second], data, losses=EARLIER / "losses.arrow")
    gap = se.per_sample_losses(second, data) - se.per_sample_losses(network(), data)
    assert found.mean == pytest.approx(np.mean(gap), rel=1e-12)
    with pytest.raises(
        DataError, match=r"have loss CrossEntropy\(eps=1e-07\), expected CrossEntropy\(eps=0.5\)"
    ):
        se.paired([second], data, losses=EARLIER / "losses.arrow", eps=0.5)


READERS: dict[str, Callable[[Path], Any]] = {
    "state-0": lambda path: se.merge([path]),
    "checkpoint": lambda path: se.evaluate(network(), drawn(ROWS), options=PassOptions(checkpoint=path)),
    "report": lambda path: se.verify(path, network(), drawn(ROWS)),
}


@pytest.mark.parametrize("schema", ["streameval/{}/0", "streameval/{}/3", "streameval/other/1"])
def test_other_versions_are_refused(tmp_path: Path, schema: str) -> None:
    for name, kind in (("state-0", "state"), ("checkpoint", "checkpoint"), ("report", "evaluate")):
        content = stored(f"{name}.json") | {"schema": schema.format(kind)}
        del content["sha256"]
        path = tmp_path / name
        sealed.write(path, content)
        with pytest.raises(
            DataError, match=rf"schema.* '{content['schema']}', expected .*streameval/{kind}/2"
        ):
            READERS[name](path)
