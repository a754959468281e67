"""Whatever a report says is found out if it is false, field by field, but for what verify says it cannot know."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from lies import Place, altered, inside, lies, places
from long_runs import drawn, network

import streameval as se
from streameval.errors import CheckError, DataError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.certificate import UNKNOWN
from streameval.evaluation.tally import BLOCK_ROWS

ROWS = BLOCK_ROWS + 900
REPORT_ONLY = ("sha256",)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    said = json.loads(json.dumps(se.evaluate(network(), drawn(ROWS)).to_dict()))
    assert isinstance(said, dict)
    return said


def unknown(place: Place) -> bool:
    """Whether verify says that it cannot know this."""
    return place[0] in UNKNOWN or ".".join(map(str, place[:2])) in UNKNOWN


def sample(report: dict[str, Any]) -> list[tuple[Place, Any]]:
    """Every place that is not in a table of predictions, and one row of each table; with each lie."""
    return [
        (place, lie)
        for place in places(report)
        if place[0] not in REPORT_ONLY
        and not ("confusion" in place and place[-2:-1] not in (("confusion",), (3,)))
        for lie in lies(inside(report, place))
    ]


def test_there_is_much_to_lie_about(report: dict[str, Any]) -> None:
    tried = sample(report)
    assert len(tried) > 1500
    assert {place[0] for place, _ in tried} == set(report) - set(REPORT_ONLY)


def test_every_false_field_is_found(report: dict[str, Any]) -> None:
    """With one of two blocks computed again, the other one: what is false is found without reading its rows."""
    model, data = network(), drawn(ROWS)
    seed = next(one for one in range(99) if se.verify(report, model, data, blocks=1, seed=one).blocks == (1,))
    believed = []
    for place, lie in sample(report):
        # Nothing said of rounding is nothing false: shards of an earlier version did not measure it.
        if unknown(place) or (place, lie) == (("rounding",), None):
            continue
        try:
            se.verify(altered(report, place, lie), model, data, blocks=1, seed=seed)
        except (CheckError, DataError):
            continue
        believed.append((place, lie))
    assert believed == []


def test_no_field_can_be_left_out(report: dict[str, Any]) -> None:
    model, data = network(), drawn(ROWS)
    believed = []
    for place in [one for one in places(report) if isinstance(one[-1], str) and one[0] not in REPORT_ONLY]:
        content = copy.deepcopy(report)
        del inside(content, place[:-1])[place[-1]]
        try:
            se.verify(sealed.seal(content), model, data, blocks=1, seed=0)
        except (CheckError, DataError):
            continue
        believed.append(place)
    # How much memory there was may be said or not, and what had to be decided to read the model.
    allowed = {("resources", "max_memory_bytes"), ("resources", "base_bytes"), ("model", "notes")}
    assert set(believed) <= allowed


def test_what_verify_cannot_know_it_says(report: dict[str, Any]) -> None:
    model, data = network(), drawn(ROWS)
    other = altered(report, ("model", "path"), "/other/model.onnx")
    other = altered(other, ("resources", "peak_anon_bytes"), 1)
    found = se.verify(other, model, data)
    assert found.unknown["model.path"] == "/other/model.onnx"
    assert found.unknown["resources"]["peak_anon_bytes"] == 1
    assert set(found.to_dict()["unknown"]) <= set(UNKNOWN)
    # What it cost cannot be compared; what no pass can cost is refused.
    for name, value in (("rows_per_second", 1e18), ("seconds", -1.0), ("threads", 0.5), ("threads", -1)):
        with pytest.raises(CheckError, match="not whole"):
            se.verify(altered(report, ("resources", name), value), model, data)


def test_a_table_of_many_classes_is_known_of_the_blocks_that_are_computed() -> None:
    """Over 16 classes, a block keeps only the digest of its table: verify does not know those of the others."""
    draws = np.random.default_rng(3)
    x, t = draws.integers(0, 256, (ROWS, 8), dtype=np.uint8), draws.integers(0, 20, ROWS)
    layer = se.Layer(draws.normal(size=(8, 20)).astype("f4"), np.zeros(20, "f4"), "identity")
    model = se.Mlp([layer])
    said = json.loads(json.dumps(se.evaluate(model, (x, t)).to_dict()))
    false = altered(said, ("blocks", "digests", 0), "0" * 64)
    outcomes = set()
    for seed in range(20):
        try:
            outcomes.add(se.verify(false, model, (x, t), blocks=1, seed=seed).blocks)
        except CheckError:
            outcomes.add(())
    assert outcomes == {(1,), ()}
    with pytest.raises(CheckError, match="block 0"):
        se.verify(false, model, (x, t))


def test_blocks_are_drawn_anew_where_no_seed_is_given(report: dict[str, Any]) -> None:
    """Who makes a report cannot know which blocks will be computed again; who verified can say which seed it was."""
    model, data = network(), drawn(ROWS)
    found = [se.verify(report, model, data, blocks=1) for _ in range(24)]
    assert len({one.seed for one in found}) == 24
    # Each block alone 24 times has probability 1.2e-7.
    assert {one.blocks for one in found} == {(0,), (1,)}
    assert all(
        se.verify(report, model, data, blocks=1, seed=one.seed).blocks == one.blocks for one in found[:2]
    )
    assert found[0].missed == 0.5
    whole = se.verify(report, model, data)
    assert (whole.seed, whole.missed) == (None, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "streameval/evaluate/2", "loss": 1, "loss": 2}',
        '{"schema": NaN}',
        '{"schema": 1e999}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\\ud800"',
        "",
        "[]",
        "null",
    ],
)
def test_json_that_two_readers_could_understand_differently_is_refused(tmp_path: Any, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(DataError):
        se.verify(path, network(), drawn(10))
    with pytest.raises(DataError):
        se.merge([path])


def test_a_name_that_is_twice_in_a_true_report_is_refused(report: dict[str, Any], tmp_path: Any) -> None:
    """Python takes the last one, and with it the hash fits; a reader sees the first."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report).replace("{", '{"loss": 1e-9, ', 1))
    with pytest.raises(DataError, match="'loss' is there twice"):
        se.verify(path, network(), drawn(ROWS))


def test_a_signed_report_is_told_from_a_sealed_one(report: dict[str, Any]) -> None:
    model, data, key = network(), drawn(ROWS), b"a key of some length"
    signed = sealed.seal(report, key)
    assert se.verify(signed, model, data, key=key).signed
    assert not se.verify(signed, model, data).signed
    with pytest.raises(CheckError, match="no signature"):
        se.verify(report, model, data, key=key)
    with pytest.raises(CheckError, match="not of this key"):
        se.verify(sealed.seal(report, b"another key of some length"), model, data, key=key)
    # The hash can be made anew without the key, the signature cannot.
    forged = altered(signed, ("resources", "peak_anon_bytes"), 1) | {"hmac": signed["hmac"]}
    bare = {name: value for name, value in forged.items() if name != "sha256"}
    rehashed = bare | {"sha256": hashlib.sha256(sealed.canonical(bare).encode()).hexdigest()}
    assert se.verify(rehashed, model, data).unknown["resources"]["peak_anon_bytes"] == 1
    with pytest.raises(CheckError, match="not of this key"):
        se.verify(rehashed, model, data, key=key)


def test_a_short_key_is_refused(tmp_path: Any) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(UsageError, match="a key of 5 bytes"):
        sealed.read_key(tmp_path / "key")
