"""A mini-batch in one compiled call: what it says is what the steps say, one after another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streameval as se
from streameval.errors import DataError, LabelError
from streameval.statistics import samples

WIDTHS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@given(seed=st.integers(0, 2**128 - 1), population=st.integers(1, 2**33), size=st.integers(0, 300))
def test_rows_are_those_of_numpy(seed: int, population: int, size: int) -> None:
    expected = np.random.Generator(np.random.PCG64(seed)).integers(0, population, size)
    assert samples.with_replacement(population, size, seed=seed).tolist() == expected.tolist()


@pytest.mark.parametrize("population", [2**31 + 1, 3 * 2**30, 2**32 - 1, 2**32, 2**32 + 1])
def test_rows_are_those_of_numpy_where_many_numbers_are_thrown_away(population: int) -> None:
    """Just over half of what 32 bits can be, every other number does not count."""
    for seed in (0, 1, 2**32, 2**64, 2**96, 2**128 - 1):
        expected = np.random.Generator(np.random.PCG64(seed)).integers(0, population, 2_000)
        assert samples.with_replacement(population, 2_000, seed=seed).tolist() == expected.tolist()


def _rows(n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    return generator.integers(0, 256, (n, 12), np.uint8), generator.integers(0, 4, n)


def _network(features: int = 12, classes: int = 4) -> se.Mlp:
    generator = np.random.default_rng(1)
    weight, bias = generator.normal(size=(features, classes)), generator.normal(size=classes)
    return se.Mlp([se.layers.Dense(weight.astype(np.float32), bias.astype(np.float32), "identity")])


def _arrow(folder: Path, x: np.ndarray, t: np.ndarray, batches: list[int]) -> Path:
    images = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1])
    table, start = pa.table({"image": images, "label": pa.array(t)}), 0
    with pa.ipc.new_file(folder / "a.arrow", table.schema) as writer:
        for rows in batches:
            writer.write_batch(table.slice(start, rows).combine_chunks().to_batches()[0])
            start += rows
    return folder / "a.arrow"


def _same(source: Any, model: se.Mlp, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Hold batches of one call to those of the steps."""
    from streameval.studies import sampler

    quick = se.Sampler(model, source, **options)
    assert quick._one is not None
    with monkeypatch.context() as patched:
        patched.setattr(sampler.MiniBatchScorer, "of", lambda *_: None)
        slow = se.Sampler(model, source, **options)
    assert slow._one is None
    for seed, size in ((0, 100), (1, 1), (2, 2), (2**64 + 5, 31), (2**127, 128)):
        assert quick._one(size, seed) is not None
        one, other = (sampler.first(1, size, seed=seed, replace=True)[0] for sampler in (quick, slow))
        assert one.to_dict() == other.to_dict()
        assert one.losses.tolist() == other.losses.tolist()
        assert one.stderr == other.stderr


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_every_width(width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, t = _rows()
    _same(se.open(_arrow(tmp_path, x, t.astype(width), [500])), _network(), monkeypatch)


@pytest.mark.parametrize("batches", [[500], [200, 200, 100], [250, 250]])
def test_files_of_even_batches(batches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _same(se.open(_arrow(tmp_path, *_rows(), batches)), _network(), monkeypatch)


@pytest.mark.parametrize("method", ["normal", "skew", "bernstein", "betting"])
@pytest.mark.parametrize("loss", [se.CrossEntropy(), se.CrossEntropy(eps=0.0)])
def test_methods_and_losses(method: str, loss: se.CrossEntropy, monkeypatch: pytest.MonkeyPatch) -> None:
    if method in ("bernstein", "betting") and loss.bounds is None:
        pytest.skip("a loss without bounds has no such interval")
    _same(se.open(_rows()), _network(), monkeypatch, method=method, loss=loss)


def test_features_that_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    x, t = _rows()
    _same(se.open((x.astype(np.float32) / 255, t.astype(np.int32))), _network(), monkeypatch)


def test_it_is_not_used_where_it_cannot_be(tmp_path: Path) -> None:
    x, t = _rows()
    for data in (
        (x, np.eye(4)[t]),
        _arrow(tmp_path, x, t, [100, 300, 100]),
        (x[:1], t[:1]),
    ):
        sampler = se.Sampler(_network(), data)
        assert sampler._one is None
        assert len(sampler.first(1, 1, seed=0, replace=True)) == 1
    grouped = se.Sampler(_network(), (x, t), groups=np.arange(500) // 5)
    assert grouped.first(1, 50, seed=0, replace=True)[0].clustered is not None


@pytest.mark.parametrize("options", [{"check": True}, {"mean": 0.3, "std": 0.5}])
def test_rows_that_are_changed_or_checked_on_their_way_are_read_step_by_step(
    options: dict[str, Any], tmp_path: Path
) -> None:
    path = _arrow(tmp_path, *_rows(), [500])
    source = se.open(path, **options)
    sampler = se.Sampler(_network(), source)
    assert sampler._one is None
    batch = se.minibatch(_network(), source, size=50, seed=3)
    assert (
        batch.batches[0].losses.tolist()
        == se.per_sample_losses(_network(), source)[batch.batches[0].rows].tolist()
    )


@pytest.mark.parametrize("label", [4, -1, 300])
def test_a_label_that_is_no_class_is_named_as_ever(label: int) -> None:
    x, t = _rows()
    t = np.where(np.arange(500) % 10 == 0, label, t).astype(np.int16)
    with pytest.raises(LabelError, match=rf"label {label}"):
        se.minibatch(_network(), (x, t))


def test_a_row_that_is_not_finite_is_named_as_ever() -> None:
    x, t = _rows()
    x = np.where(np.arange(500)[:, None] == 7, np.nan, x.astype(np.float32))
    source = se.open((x.astype(np.float32), t))
    seed = next(k for k in range(200) if 7 in samples.with_replacement(500, 20, seed=k))
    with pytest.raises(DataError, match="row 7"):
        se.minibatch(_network(), source, size=20, seed=seed)


def test_a_file_cut_short_is_told_and_kills_nobody(tmp_path: Path) -> None:
    path = _arrow(tmp_path, *_rows(20_000), [20_000])
    source = se.open(path)
    assert se.minibatch(_network(), source).loss > 0
    os.truncate(path, 4096)
    with pytest.raises(DataError, match="4096 bytes long now"):
        se.minibatch(_network(), source)
