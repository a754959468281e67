"""Shards of a pass tile the rows, and merge to the bits of the whole; nothing else merges."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_runs import drawn, network, write

import streameval as se
from streameval.errors import DataError, IncompleteError, StreamevalError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.shards import merge, parse_shard, shard_span, write_state
from streameval.evaluation.verify import verify

ROWS = 200_003


def states(data: object, folder: Path, count: int, **options: object) -> list[Path]:
    """The state files of all shards."""
    paths = []
    for index in range(count):
        paths.append(folder / f"shard-{index}.json")
        shard = PassOptions(shard=(index, count))
        write_state(se.evaluate(network(), data, options=shard, **options), paths[-1])  # type: ignore[arg-type]
    return paths


@given(st.integers(0, 1000), st.integers(1, 50))
def test_shards_tile_the_rows_and_are_of_one_size(rows: int, count: int) -> None:
    """Every row is in exactly one shard, and no shard is more than one row longer than another."""
    spans = [shard_span((index, count), rows) for index in range(count)]
    assert [row for span in spans for row in range(span.start, span.stop)] == list(range(rows))
    assert max(map(len, spans)) - min(map(len, spans)) <= 1


@pytest.mark.parametrize("text", ["3/3", "4/3", "-1/3", "1", "1/", "/2", "0/0", "a/b", "1/2/3", "¹/2"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    """Shards count from 0."""
    with pytest.raises(UsageError, match="expected I/N"):
        parse_shard(text)
    assert parse_shard("2/3") == (2, 3)


@pytest.mark.parametrize("count", [1, 3, 16])
def test_merged_shards_are_the_whole(data: Path, whole: se.Report, tmp_path: Path, count: int) -> None:
    """In any order, some given twice: all that a report says of the loss is the same, to the bit."""
    paths = states(data, tmp_path, count)
    np.random.default_rng(0).shuffle(paths)  # type: ignore[arg-type]
    merged = merge([*paths, paths[0]])
    assert merged.digest == whole.digest
    ours, theirs = merged.to_dict(), whole.to_dict()
    assert ours.keys() == theirs.keys()
    differing = {key for key in ours if ours[key] != theirs[key]}
    assert differing <= {"resources", "sha256"}
    assert ours["resources"].keys() == theirs["resources"].keys()
    assert merged.resources.seconds > 0


def test_the_same_rows_with_another_anatomy_are_refused_in_any_order(data: Path, tmp_path: Path) -> None:
    """Their digest is the same: it is of the state alone."""
    paths = states(data, tmp_path, 3, anatomy=True)
    content = json.loads(paths[0].read_text())
    content["tallies"][0]["anatomy"]["chances"]["top"][1] -= 1
    del content["sha256"]
    false = tmp_path / "false.json"
    false.write_text(json.dumps(sealed.seal(content)))
    for order in ([false, *paths], [*paths, false], [paths[1], false, *paths]):
        with pytest.raises(StreamevalError, match="an anatomy, but another came from"):
            merge(order)
    assert merge([*paths, paths[0]]).anatomy is not None


@pytest.mark.parametrize("total", [2**63, 2**100])
def test_more_rows_than_can_be_counted_are_refused(data: Path, tmp_path: Path, total: int) -> None:
    (path,) = states(data, tmp_path, 1)
    content = json.loads(path.read_text())
    del content["sha256"]
    for of, name in (("identity", "total"), ("data", "rows")):
        false = content | {of: content[of] | {name: total}}
        path.write_text(json.dumps(sealed.seal(false)))
        with pytest.raises(DataError, match=rf"{name} is .*expected an integer"):
            merge([path])


@pytest.mark.parametrize("count", [1, 3])
def test_merged_shards_that_hashed_what_nothing_is_recorded_of_are_verified(
    tmp_path: Path, count: int
) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    x, t = drawn(ROWS)
    np.save(folder / "images.npy", x)
    np.save(folder / "labels.npy", t)
    merged = merge(states(se.open(folder, check=True), tmp_path, count))
    # Each knows what it read, and nobody the fingerprint of it all: nothing is said of it.
    assert merged.hashed is None
    assert verify(json.loads(json.dumps(merged.to_dict())), network(), folder).whole


def test_shards_of_different_counts_merge_if_they_tile(data: Path, whole: se.Report, tmp_path: Path) -> None:
    """The first half, and the last two quarters."""
    halves, quarters = tmp_path / "halves", tmp_path / "quarters"
    halves.mkdir()
    quarters.mkdir()
    merged = merge([states(data, halves, 2)[0], *states(data, quarters, 4)[2:]])
    assert merged.digest == whole.digest


def test_shards_of_chosen_rows_and_more_shards_than_rows_merge(data: Path, tmp_path: Path) -> None:
    """Repeats count, and empty shards change nothing."""
    rows = [5, 3, 3, 150_000, 7]
    paths = states(data, tmp_path, 8, rows=rows)
    assert merge(paths).digest == se.evaluate(network(), data, rows=rows).digest


def test_missing_shards_are_named_by_their_rows(data: Path, tmp_path: Path) -> None:
    """The others are kept where they are: 7."""
    paths = states(data, tmp_path, 4)
    span = shard_span((2, 4), ROWS)
    with pytest.raises(
        IncompleteError, match=f"{len(span)} of {ROWS} rows are missing: {span.start}:{span.stop}"
    ):
        merge([paths[0], paths[1], paths[3]])


def test_overlaps_are_refused_with_the_files_named(data: Path, tmp_path: Path) -> None:
    """Row 66,668 is in the first half and in the second third."""
    two, three = tmp_path / "two", tmp_path / "three"
    two.mkdir()
    three.mkdir()
    halves, thirds = states(data, two, 2), states(data, three, 3)
    with pytest.raises(DataError, match=rf"{thirds[1]}: rows 66667:133335 overlap .*{halves[0]}"):
        merge([halves[0], thirds[1]])


@pytest.mark.parametrize("what", ["model", "data", "eps", "rows"])
def test_other_passes_are_refused_with_file_and_difference(data: Path, tmp_path: Path, what: str) -> None:
    """Nothing merges that was not computed of the same thing in the same sense."""
    source = write(tmp_path / "other.arrow", ROWS, seed=2) if what == "data" else data
    model = network(3 if what == "model" else 0)
    options = {"eps": 1e-9} if what == "eps" else {"rows": slice(0, 99)} if what == "rows" else {}
    named = "loss" if what == "eps" else what  # to which it belongs
    first, other = tmp_path / "first.json", tmp_path / "other.json"
    write_state(se.evaluate(network(), data, options=PassOptions(shard=(0, 2))), first)
    write_state(se.evaluate(model, source, options=PassOptions(shard=(1, 2)), **options), other)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=rf"{other}: of another pass than {first}: {named} .*, expected"):
        merge([first, other])


def test_what_differs_is_told_field_by_field_and_nothing_by_its_name(tmp_path: Path) -> None:
    """No empty text, and none of Python's own names."""

    def shard(k: int, name: str, rows: int = 900, model: se.Mlp | None = None, **settings: Any) -> Path:
        options = PassOptions(shard=(k, 2))
        write_state(
            se.evaluate(model or network(), drawn(rows), options=options, **settings), tmp_path / name
        )
        return tmp_path / name

    first, layer = shard(0, "first"), se.Layer(np.ones((16, 5), "f4"), np.zeros(5, "f4"), "identity")
    plain, apart, more, small = (
        shard(1, "plain"),
        shard(1, "apart", anatomy=True),
        shard(1, "more", rows=902),
        shard(1, "small", model=se.Mlp([layer])),
    )
    for paths, message in (
        ((first, apart), "anatomy anatomy, expected none. Merge"),
        ((shard(0, "other", anatomy=True), plain), "anatomy none, expected anatomy. Merge"),
        ((first, more), "total 902, expected 900; data.rows 902, expected 900. Merge"),
        (
            (first, small),
            "; classes 5, expected 4; model.layers [16, 5], expected [16, 8, 4]; model.activations ",
        ),
    ):
        with pytest.raises(DataError) as raised:
            merge(paths)
        assert message in str(raised.value)
        assert "(" not in str(raised.value)


def test_different_results_of_the_same_rows_are_an_error(data: Path, tmp_path: Path) -> None:
    """One of the machines computed wrongly: exit code 1, and both files are named."""
    paths = states(data, tmp_path, 2)
    x, t = drawn(ROWS)
    wrong = tmp_path / "wrong.json"
    write_state(se.evaluate(network(), (x, t[::-1].copy()), options=PassOptions(shard=(1, 2))), wrong)
    true = json.loads(paths[1].read_bytes())
    content = json.loads(wrong.read_bytes()) | {name: true[name] for name in ("identity", "data")}
    sealed.write(wrong, content)
    with pytest.raises(
        StreamevalError, match=rf"{wrong}: rows .* have digest .* came from {paths[1]}"
    ) as caught:
        merge([*paths, wrong])
    assert caught.value.exit_code == 1


def test_an_altered_state_file_is_refused(data: Path, tmp_path: Path) -> None:
    """One digit, anywhere."""
    path = states(data, tmp_path, 1)[0]
    raw = bytearray(path.read_bytes())
    at = raw.index(b'"units": ') + 10
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="altered or damaged"):
        merge([path])


def test_only_a_shard_has_a_state_file(whole: se.Report, tmp_path: Path) -> None:
    """And nothing merges out of nothing."""
    with pytest.raises(UsageError, match="shard"):
        write_state(whole, tmp_path / "state.json")
    with pytest.raises(UsageError, match="no state file"):
        merge([])


def test_one_file_and_many_give_one_digest(data: Path, whole: se.Report, tmp_path: Path) -> None:
    """Twenty files of a folder, evaluated in 16 shards: shards cross files."""
    with se.open(data) as source:  # type: ignore[attr-defined]
        chunk = source.take(np.arange(ROWS))
        cuts = np.linspace(0, ROWS, 21).astype(int).tolist()
        folder = tmp_path / "parts"
        folder.mkdir()
        from streameval.storage.writing import create

        for number, (a, b) in enumerate(pairwise(cuts)):
            x, t = chunk.x[a:b].reshape(-1, 4, 4), chunk.t[a:b]
            create(folder / f"part-{number}.arrow", [(x, t)], rows=b - a, shape=(4, 4), dtype="u1", classes=4)
    assert merge(states(folder, tmp_path, 16)).digest == whole.digest
