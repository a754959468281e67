"""Anatomies that no rows could come to are refused, whatever their seal says; those of any rows are accepted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from long_runs import drawn, network

import streameval as se
from streameval.errors import CheckError, DataError, StreamevalWarning
from streameval.evaluation import sealed
from streameval.evaluation.anatomizing import Anatomist
from streameval.evaluation.anatomy import Anatomy, cell_of
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.shards import write_state
from streameval.evaluation.state import UNITS
from streameval.evaluation.tally import Places, Tally, fold_tally
from streameval.scoring.scorer import Scores

ROWS = 3001


@pytest.fixture(scope="module")
def arrays() -> Any:
    return drawn(ROWS)


def shard(arrays: Any, path: Path, **settings_: Any) -> dict[str, Any]:
    """What is in the state file of all rows."""
    options = se.PassOptions(shard=(0, 1))
    write_state(se.evaluate(network(), arrays, options=options, anatomy=True, **settings_), path)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="module")
def content(arrays: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return shard(arrays, tmp_path_factory.mktemp("whole") / "state", by=arrays[1] % 3)


def in_brier(**change: Any) -> Callable[[Any], None]:
    return lambda said: said["chances"]["brier"].update(change)


def in_slice(**change: Any) -> Callable[[Any], None]:
    return lambda said: said["slices"][1][1].update(change)


def all_in_one_bin(said: Any) -> None:
    """All rows in the bin of the least confidence, with the confidences that they have."""
    bins = said["chances"]["bins"]
    bins[0] = [sum(one[k] for one in bins) for k in range(3)]
    bins[1:] = [[0, 0, 0]] * (len(bins) - 1)


def moved(said: Any, place: int, cell: int) -> None:
    said["grid"][place][0] = cell


def shifted(said: Any) -> None:
    """A unit of loss from one value to another."""
    said["slices"][0][1]["units"] += 1
    said["slices"][1][1]["units"] -= 1


def all_right(said: Any) -> None:
    said["slices"][1][2] = said["slices"][1][1]["rows"] + 1


def nobody(said: Any) -> None:
    zero = {"rows": 0, "units": 0, "units_squared": 0, "smallest": "inf", "largest": "-inf", "worst": []}
    said["slices"].append(["9", {**zero, "left_out": 0}, 0])


def twice(said: Any) -> None:
    """The worst row of one value as one of another's too: its loss is that of the row that it takes the place of."""
    mine, theirs = said["slices"][0][1]["worst"], said["slices"][1][1]["worst"]
    mine[-1][1] = theirs[-1][1]


def narrowed(said: Any, first: int) -> None:
    """The cells from the `first` to that before the worst rows' as the one that their mean lies in."""
    grid = said["grid"]
    inner = grid[first:-12]
    rows, units = sum(one[1] for one in inner), sum(one[2] for one in inner)
    grid[first:-12] = [[cell_of(units / rows / UNITS), rows, units]]


def of_worst(said: Any) -> None:
    """A unit of the largest loss in the cell below."""
    said["grid"][-1][2] -= 1
    said["grid"][-2][2] += 1


FORGED: dict[str, Callable[[Any], None]] = {
    "Brier scores of no units": in_brier(units=0),
    "Brier scores without squares": in_brier(units_squared=0),
    "squares over the largest Brier score": in_brier(units_squared=1 << 180),
    "a smallest Brier score that is none": in_brier(smallest="nan"),
    "a largest Brier score that is none": in_brier(largest="inf"),
    "a Brier score below zero": in_brier(smallest=(-0.125).hex()),
    "a smallest Brier score over the largest": in_brier(smallest=(3.0).hex(), largest=(1.0).hex()),
    "a largest Brier score below the mean": in_brier(largest=(2.0**-20).hex()),
    "Brier scores left out": in_brier(left_out=-5),
    "worst rows of Brier scores": in_brier(worst=[[(1.0).hex(), 1]]),
    "a smallest loss of a value that is none": in_slice(smallest="nan"),
    "a largest loss of a value that is none": in_slice(largest="nan"),
    "rows of a value left out": in_slice(left_out=-5),
    "no worst rows of a value": in_slice(worst=[]),
    "worst rows of a value beyond the data": lambda said: said["slices"][1][1]["worst"][3].__setitem__(1, ROWS),
    "a worst row of two values": twice,
    "loss of one value in another": shifted,
    "more right rows of a value than rows": all_right,
    "right rows of no value": lambda said: said["slices"][0].__setitem__(2, said["slices"][0][2] - 1),
    "a value of no rows": nobody,
    "a value twice": lambda said: said["slices"].append(said["slices"][0]),
    "confidences outside of their bin": all_in_one_bin,
    "confidence beyond one": lambda said: said["chances"]["bins"][-1].__setitem__(2, 2**60),
    "confidence of no rows": lambda said: said["chances"]["bins"][0].__setitem__(2, 1),
    "more right among two than among three classes": lambda said: said["chances"]["top"].__setitem__(1, ROWS),
    "other classes": lambda said: said["chances"].update(classes=5),
    "a cell beyond the grid": lambda said: moved(said, -1, 62 * 64 + 1),
    "a cell of much larger losses": lambda said: moved(said, -1, 60 * 64),
    "a cell without rows": lambda said: said["grid"][3].__setitem__(1, 0),
    "no cell of the smallest loss": lambda said: narrowed(said, 0),
    "cells whose squares are too few": lambda said: narrowed(said, 1),
    "another largest loss": of_worst,
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_an_anatomy_that_no_rows_come_to_is_refused_by_merge(
    content: dict[str, Any], tmp_path: Path, what: str
) -> None:
    """Sealed anew, as anybody can who has the file."""
    changed = copy.deepcopy(content)
    FORGED[what](changed["tallies"][0]["anatomy"])
    assert changed != content
    sealed.write(tmp_path / "forged", changed)
    with pytest.raises(DataError, match=r"forged: .*(anatomy|stored).*Compute it again"):
        se.merge([tmp_path / "forged"])


@pytest.mark.parametrize(
    "what", ["Brier scores of no units", "rows of a value left out", "a value of no rows"]
)
def test_and_by_a_pass_that_goes_on_and_by_verify(arrays: Any, tmp_path: Path, what: str) -> None:
    by, path = arrays[1] % 3, tmp_path / "checkpoint"

    def stop(done: int, total: int) -> None:
        if done > 2000:
            raise KeyboardInterrupt

    def run(progress: Any = None) -> se.Report:
        options = se.PassOptions(checkpoint=Checkpoint(path, every=0.0))
        return se.evaluate(network(), arrays, by=by, chunk_rows=500, progress=progress, options=options)

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    changed = json.loads(path.read_text())
    FORGED[what](changed["tallies"][0]["anatomy"])
    sealed.write(path, changed)
    with pytest.raises(DataError, match=r"checkpoint: .*anatomy"):
        run()
    assert json.loads(path.read_text())["tallies"] == changed["tallies"]  # it is not lost
    report = json.loads(json.dumps(se.evaluate(network(), arrays, by=by).to_dict()))
    FORGED[what](report["anatomy"]["state"])
    with pytest.raises(CheckError, match="not whole"):
        se.verify(sealed.seal(report), network(), arrays)


def test_an_anatomy_that_the_pass_does_not_have_is_refused_by_name(
    arrays: Any, content: dict[str, Any], tmp_path: Path
) -> None:
    """One that was taken out, put in, or is by another column than the identity of the pass says."""
    without = copy.deepcopy(content)
    del without["tallies"][0]["anatomy"]
    other = copy.deepcopy(content)
    other["tallies"][0]["anatomy"]["column"] = "other"
    more = copy.deepcopy(content)
    del more["identity"]["anatomy"]
    for changed, message in (
        (without, "has no anatomy, expected 'anatomy by by"),
        (other, "has anatomy by other .*, expected 'anatomy by by"),
        (more, "has anatomy by by .*, expected none"),
    ):
        sealed.write(tmp_path / "state", changed)
        with pytest.raises(DataError, match=rf"state: .*{message}"):
            se.merge([tmp_path / "state"])


@pytest.mark.parametrize("what", ["anatomy", "probabilities", "classes", "twice"])
def test_a_checkpoint_that_does_not_go_with_what_is_computed_is_named(
    arrays: Any, tmp_path: Path, what: str
) -> None:
    def stop(done: int, total: int) -> None:
        if done > 2000:
            raise KeyboardInterrupt

    def run(progress: Any = None) -> se.Report:
        options = se.PassOptions(checkpoint=Checkpoint(tmp_path / "kept", every=0.0))
        apart = what in ("anatomy", "probabilities")
        return se.evaluate(
            network(), arrays, anatomy=apart, chunk_rows=500, progress=progress, options=options
        )

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    content = json.loads((tmp_path / "kept").read_text())
    (tally,) = content["tallies"]
    if what == "anatomy":
        del tally["anatomy"]
    elif what == "probabilities":
        tally["anatomy"]["chances"] = None
    elif what == "twice":
        content["tallies"].append(tally)
    else:
        for state in (tally["state"], tally["partial"][0][1]):
            state["classes"].append([0, 0, 0])
            state["confusion"] = [[*row, 0] for row in state["confusion"]] + [[0] * 5]
    sealed.write(tmp_path / "kept", content)
    message = {
        "anatomy": "has no anatomy, expected 'anatomy'",
        "probabilities": "do not go with those before: anatomies of probabilities and of losses alone",
        "classes": "do not go with those before: states of 5 and 4 classes",
        "twice": "overlap with rows 0:",
    }
    with pytest.raises(DataError, match=rf"^{tmp_path}/kept\b.*{message[what]}"):
        run()
    assert (tmp_path / "kept").exists()


values = st.floats(-30.0, 30.0) | st.sampled_from([0.0, -0.0, 2.0**-40, -1e-13, 3e6, np.nan])


@settings(deadline=None, max_examples=80)
@given(
    st.lists(values, max_size=60), st.integers(2, 12), st.integers(0, 2**32 - 1), st.booleans(), st.booleans()
)
def test_what_any_rows_come_to_is_accepted(
    losses: list[float], classes: int, seed: int, soft: bool, numbered: bool
) -> None:
    n, draws = len(losses), np.random.default_rng(seed)
    y = draws.dirichlet(np.full(classes, 0.2), n)
    y[draws.random(n) < 0.2] = 1.0 / classes
    target = draws.integers(0, classes, n)
    weights = draws.exponential(size=(n, classes)) * 10.0 ** draws.integers(-2, 4) if soft else None
    scores = Scores(np.array(losses), target, np.argmax(y, axis=1), y, weights)
    rows = np.arange(n) if numbered else draws.integers(0, max(n // 2, 1), n)
    if not numbered:  # a row that is taken again has the same loss, and the same value
        first = {int(row): k for k, row in reversed(list(enumerate(rows)))}
        scores = replace(scores, loss=scores.loss[[first[int(row)] for row in rows]]) if n else scores
    anatomist = Anatomist(
        se.open((np.zeros((max(n, 1), 1), "f4"), np.zeros(max(n, 1), int))), np.arange(max(n, 1)) % 3
    )
    tally, _ = fold_tally(0, scores, rows, classes, anatomist)
    places = Places(0 if numbered else None, max(n, 1))
    assert Tally.from_dict(json.loads(json.dumps(tally.to_dict())), places) == tally


def test_weights_of_classes_that_sum_to_more_than_one_merge_and_verify(arrays: Any, tmp_path: Path) -> None:
    """Their Brier scores are over 2, and over what counts: a warning says what they mean, nothing refuses them."""
    weights = np.eye(4)[arrays[1]] * 3.0
    weights[:5] = [3000.0, 0.0, 0.0, 0.0]
    x = np.zeros_like(arrays[0])
    x[5:] = arrays[0][5:]
    layer = se.Layer(np.zeros((16, 4), "f4"), np.array([60.0, 0.0, 0.0, 0.0], "f4"), "identity")
    model, data = se.Mlp([layer]), (x, weights)
    with pytest.warns(StreamevalWarning, match="not to 1"):
        whole = se.evaluate(model, data, anatomy=True, options=se.PassOptions(shard=(0, 1)))
    write_state(whole, tmp_path / "state")
    assert whole.anatomy is not None
    assert whole.anatomy.chances is not None
    assert whole.anatomy.chances.brier.left_out == 5
    merged = se.merge([tmp_path / "state"])
    assert merged.anatomy == whole.anatomy
    report = json.loads(json.dumps(merged.to_dict()))
    with pytest.warns(StreamevalWarning, match="not to 1"):
        assert se.verify(report, model, data).whole


def test_a_chunk_of_rows_that_are_all_left_out_has_an_anatomy(arrays: Any) -> None:
    x = arrays[0][:300].reshape(300, -1).astype("f4") / 255
    x[100:200] = np.nan
    labels, kept = arrays[1][:300], np.r_[0:100, 200:300]
    found = se.evaluate(network(), (x, labels), by=labels, chunk_rows=100, allow_nonfinite=True)
    rest = se.evaluate(network(), (x[kept], labels[kept]), by=labels[kept])
    assert found.anatomy is not None
    assert rest.anatomy is not None
    assert found.rows == 200
    assert replace(found.anatomy, slices=None) == replace(rest.anatomy, slices=None)
    assert found.to_dict()["anatomy"]["by"] == rest.to_dict()["anatomy"]["by"]


def test_saved_outputs_and_predictors_merge(tmp_path: Path) -> None:
    draws = np.random.default_rng(1)
    z, t = draws.normal(size=(900, 12)).astype(np.float32) * 3, draws.integers(0, 12, 900)
    y = np.exp(z.astype(np.float64))
    y *= 1.0009 / y.sum(axis=1, keepdims=True)
    table = {"y": y, "label": t}
    saved = se.open_outputs(table, label="label", whole=True, probabilities="y")
    predictor = se.Predictor(predict=lambda x: x, returns="probabilities", identity="the rows themselves")
    for model, data in ((saved, None), (predictor, (y.astype("f4"), t))):
        report = se.evaluate(model, data, anatomy=True, options=se.PassOptions(shard=(0, 1)))
        write_state(report, tmp_path / "state")
        assert se.merge([tmp_path / "state"]).anatomy == report.anatomy
        assert isinstance(report.anatomy, Anatomy)
