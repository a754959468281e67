"""Labels and soft targets that do not fit their images or classes."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_files import drawn, idx_bytes, idx_pair, names, stored

import streameval as se
from streameval import storage
from streameval.errors import DataError, LabelError, StreamevalWarning, UsageError
from streameval.storage import Span
from streameval.storage.source import Chunk, largest_label
from streameval.storage.stored import StoredSource


def test_more_labels_than_images_are_refused(tmp_path):
    images, _ = idx_pair(tmp_path, 100)
    (tmp_path / "more").write_bytes(idx_bytes(drawn(101)[1]))
    for call in (storage.open, lambda pair: storage.convert(*pair, tmp_path / "out")):
        with pytest.raises(DataError, match="100 images were found, but 101 labels"):
            call((images, tmp_path / "more"))


@pytest.mark.parametrize("dest", ["out.arrow", "out"])
def test_labels_out_of_range_stop_a_conversion_with_the_first_row_and_their_number(tmp_path, dest):
    images, labels = idx_pair(tmp_path, 20_000)
    _, t = drawn(20_000)
    t[[17_000, 19_999]] = 10, 255
    labels.write_bytes(idx_bytes(t))
    with pytest.raises(
        LabelError, match=r"row 17000: label 10 \(2 such rows\), expected 10 classes \(0\.\.9\)"
    ):
        storage.convert(images, labels, tmp_path / dest, classes=10)
    assert names(tmp_path) == ["images", "labels"]
    assert storage.open(storage.convert(images, labels, tmp_path / dest)).classes is None


def test_labels_that_count_from_one_are_shifted(tmp_path):
    images, labels = idx_pair(tmp_path, 1_000)
    _, t = drawn(1_000)
    labels.write_bytes(idx_bytes((t + 1).astype(np.uint8)))
    path = storage.convert(images, labels, tmp_path / "a.arrow", classes=10, first_label=1)
    assert np.array_equal(storage.open(path).take(np.arange(1_000)).t, t)
    zeros = int(np.argmin(t))
    said = rf"row {zeros}: label 0 \({(t == 0).sum()} such rows\), expected labels counted from 1\. .*--first-label"
    with pytest.raises(LabelError, match=said):
        storage.convert(*idx_pair(tmp_path, 1_000), tmp_path / "b.arrow", first_label=1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"classes": 9}, r"row 100: label 9 \(20001 such rows\), expected 9 classes \(0\.\.8\)"),
        ({"first_label": 1}, r"row 0: label 0 \(19999 such rows\), expected labels counted from 1\."),
        (
            {"classes": 8, "first_label": 1},
            r"row 0: label 0 \(40000 such rows\), expected 8 classes \(1\.\.8\)",
        ),
    ],
)
def test_labels_that_a_conversion_refuses_are_those_of_the_file_and_all_are_counted(tmp_path, asked, said):
    """Whatever form the file has, and however many blocks."""
    x, t = np.zeros((40_000, 2), np.uint8), np.zeros(40_000, np.int64)
    t[100], t[20_000:] = 9, 9
    path = storage.create(tmp_path / "a", [(x, t)], rows=40_000, shape=(2,), dtype=np.uint8)
    for data, name in ((path, str(path)), ((x, t), "<arrays>")):
        with pytest.raises(LabelError, match=rf"{name}, {said}"):
            storage.convert(data, tmp_path / "b.arrow", **asked)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("way", ["mmap", "pread"])
def test_a_label_beyond_the_recorded_classes_never_leaves_the_source(tmp_path, way):
    """Written into the file behind the library's back."""
    path = stored(tmp_path / "a")
    with (path / "labels.npy").open("r+b") as file:
        for row in (30_000, 39_000):
            file.seek(row - 40_000, os.SEEK_END)
            file.write(b"\x63")
    source = storage.open(path, io=way)
    with pytest.raises(LabelError, match=r"row 30000: label 99 \(2 such rows\), expected 10 classes"):
        list(source.chunks(Span(0, 40_000), 1_000))
    assert len(list(source.chunks(Span(0, 30_000), 1_000))) == 30
    source.take(np.array([1, 2, 3]))
    with pytest.raises(LabelError, match=r"row 39000: label 99 \(1 such rows\)"):
        source.take(np.array([1, 39_000]))


def test_labels_that_count_from_one_are_told_with_a_cure_for_arrays_and_for_files():
    model = se.Mlp([se.Layer(np.ones((2, 3), np.float32), np.zeros(3, np.float32), "identity")])
    x, t = np.zeros((3, 2), np.uint8), np.array([1, 2, 3])
    with pytest.raises(
        LabelError, match=r"row 2: label 3 .* t - 1 of arrays, streameval convert --first-label 1"
    ):
        se.evaluate(model, (x, t))
    assert se.evaluate(model, (x, t - 1)).rows == 3


@pytest.mark.parametrize("how", ["network", "callable"])
def test_labels_with_a_0_among_them_do_not_count_from_one(how):
    """Nor are those that no chunk has shown yet counted."""
    network = se.Mlp([se.Layer(np.ones((2, 3), np.float32), np.zeros(3, np.float32), "identity")])
    model = network if how == "network" else lambda x: np.zeros((len(x), 3))
    t = np.tile([0, 1, 2, 3], 1_000)
    said = r"row 3: label 3 \(25 such rows among the 100 looked at\), expected 3 classes \(0\.\.2\)\. Correct"
    with pytest.raises(LabelError, match=said):
        se.evaluate(model, (np.zeros((4_000, 2), np.uint8), t), chunk_rows=100)


@pytest.mark.parametrize("t", [[0, -1, 3], [0, -(2**40), 1]])
def test_negative_labels_of_arrays_are_refused(t):
    source = storage.open((np.zeros((3, 2), np.uint8), np.array(t)))
    with pytest.raises(
        LabelError, match=rf"row 1: label {t[1]} \(1 such rows\), expected labels counted from 0"
    ):
        source.take(np.arange(3))
    with pytest.raises(LabelError, match="row 1"):
        list(source.chunks(Span(0, 3), 3))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]), st.lists(st.integers(-300, 300)))
def test_the_largest_label_counts_negative_ones_as_larger_than_any_class(dtype, numbers):
    """In whatever width they are stored: as the numbers modulo 2**64."""
    labels = np.array(numbers, np.int64).astype(dtype)
    wanted = max((int(label) % 2**64 for label in labels), default=0)
    assert largest_label(labels) == wanted
    assert Chunk(range(len(labels)), labels, labels, 1, labels).largest_label == wanted


def test_every_source_says_the_largest_label_of_a_chunk(tmp_path):
    """So that whoever knows the classes compares one number and looks at no label again."""
    x, t = drawn(40_000)
    path = stored(tmp_path / "a.arrow")
    idx_pair(tmp_path, 40_000)
    (tmp_path / "parts").mkdir()
    for part in np.split(np.arange(40_000), [100, 20_000]):
        dest = tmp_path / "parts" / f"{part[0]}.arrow"
        storage.create(dest, [(x[part], t[part])], rows=len(part), shape=(4, 5), dtype="u1")
    for data in (path, (tmp_path / "images", tmp_path / "labels"), tmp_path / "parts", drawn(40_000)):
        source = storage.open(data)
        for chunk in source.chunks(Span(0, 40_000), 7):
            assert chunk.largest_label == int(t[chunk.rows.start : chunk.rows.stop].max())
        rows = np.array([5, 39_999, 150])
        assert source.take(rows).largest_label == int(t[rows].max())
        assert source.take(rows[:0]).largest_label == 0


def test_a_model_with_fewer_classes_names_the_first_row_that_it_does_not_know(tmp_path):
    """The source knows ten classes, the model eight."""
    _, t = drawn(40_000)
    model = se.Mlp([se.Layer(np.zeros((20, 8), np.float32), np.zeros(8, np.float32), "identity")])
    first = int(np.argmax(t >= 8))
    with pytest.raises(LabelError, match=rf"row {first}: label {t[first]} .*expected 8 classes"):
        se.evaluate(model, stored(tmp_path / "a.arrow"))
    with pytest.raises(
        LabelError, match=rf"row {first}: label {t[first]} \(1 such rows among the 1 looked at\)"
    ):
        se.evaluate(model, drawn(40_000), rows=np.array([first]))


@pytest.mark.parametrize("label", [2**64 - 1, 2**63, 2**63 + 7])
def test_a_label_that_no_int64_holds_is_told_as_it_is(tmp_path, label):
    x, t = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, label, label], np.uint64)
    folder = tmp_path / "npy"
    folder.mkdir()
    np.save(folder / "images.npy", x)
    np.save(folder / "labels.npy", t)
    table = pa.table({"image": pa.FixedSizeListArray.from_arrays(x.reshape(-1), 4), "label": t})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    for data in ((x, t), folder, tmp_path / "a.arrow"):
        source = storage.open(data)
        with pytest.raises(
            LabelError, match=rf"row 2: label {label} \(2 such rows\), expected labels counted"
        ):
            list(source.chunks(Span(0, 4), 4))
        with pytest.raises(LabelError, match=rf"row 3: label {label} \(1 such rows\)"):
            source.take(np.array([0, 3]))
    for classes in (None, 10):
        with pytest.raises(LabelError, match=rf"row 2: label {label} \(2 such rows\)"):
            storage.create(tmp_path / "out", [(x, t)], rows=4, shape=(2, 2), dtype="uint8", classes=classes)


def test_masked_values_are_refused_not_read_as_if_they_were_not(tmp_path):
    x, t = np.ones((3, 4), np.uint8), np.zeros(3, np.int64)
    soft = np.full((3, 2), 0.5)
    for masked in (
        (np.ma.masked_array(x, x == 1), t),
        (x, np.ma.masked_array(t, [False, True, False])),
        (x, np.ma.masked_array(soft, soft == 0.5)),
    ):
        with pytest.raises(DataError, match="are masked"):
            storage.open(masked)
    with pytest.raises(DataError, match=r"row 0: a batch with masked values"):
        storage.create(
            tmp_path / "out", [(np.ma.masked_array(x, x == 1), t)], rows=3, shape=(4,), dtype="uint8"
        )
    assert names(tmp_path) == []
    # A mask that hides nothing has nothing to lose.
    assert storage.open((np.ma.masked_array(x), np.ma.masked_array(t, False))).rows == 3
    model = se.Mlp([se.Layer(np.ones((4, 2), np.float32), np.zeros(2, np.float32), "identity")])
    with pytest.raises(UsageError, match=r"row numbers are masked.*compressed"):
        se.evaluate(model, (x, t), rows=np.ma.masked_array([0, 1], [True, False]))


@pytest.mark.parametrize("kind", [">f4", ">i8", ">u2"])
def test_numbers_in_another_byte_order_are_refused_alike_for_features_and_targets(kind):
    x, t = np.zeros((3, 4), np.float32), np.zeros((3, 2) if kind == ">f4" else 3, kind)
    with pytest.raises(DataError, match=rf"t is {kind}, expected .*byte order.*newbyteorder"):
        storage.open((x, t))
    with pytest.raises(DataError, match=r"x is >f4, expected .*byte order.*newbyteorder"):
        storage.open((x.astype(">f4"), np.zeros(3, np.int64)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5])
def test_soft_targets_that_are_no_weights_are_refused(bad):
    t = np.full((4, 3), 1 / 3)
    t[2, 1] = bad
    source = storage.open((np.zeros((4, 2), np.uint8), t))
    with pytest.raises(LabelError, match=r"row 2: target \[.*\] \(1 such rows\), expected finite"):
        source.take(np.arange(4))


@pytest.mark.parametrize("total", [0.0, 0.5, 0.998, 1.002, 2.0])
def test_soft_rows_that_do_not_sum_to_1_are_told_once_with_the_first_of_them(total):
    t = np.full((50, 4), 0.25)
    t[[20, 30]] *= total
    source = storage.open((np.zeros((50, 2), np.uint8), t))
    with pytest.warns(StreamevalWarning, match=rf"<arrays>, row 20: .* sum to {total:g}, not to 1") as told:
        assert len([*source.chunks(Span(0, 50), 7), *source.chunks(Span(0, 50), 10)]) == 8 + 5
    assert len(told) == 1
    source = storage.open((np.zeros((50, 2), np.uint8), t))
    source.take(np.array([1, 2]))
    with pytest.warns(StreamevalWarning, match="row 30"):
        source.take(np.array([1, 30]))


@pytest.mark.parametrize("row", [[1, 0, 1, 1], [0, 0, 0, 0]])
def test_rows_of_several_classes_are_told_of_the_loss_for_them(row):
    """To divide them by their sum would be no cure: ones say that a class is there."""
    t = np.eye(4)[[0, 1, 2, 3, 0]]
    t[3] = row
    cure = r"--loss binary-cross-entropy \(loss=streameval\.BinaryCrossEntropy\(\)\)"
    with pytest.warns(StreamevalWarning, match=rf"row 3: .* sum to {sum(row)}, not to 1\. .*{cure}") as told:
        storage.open((np.zeros((5, 2), np.uint8), t)).take(np.arange(5))
    assert "divide" not in str(told[0].message)
    t[4] = 0.5  # weights after all
    with pytest.warns(StreamevalWarning, match="row 3: .* divide each row by its sum"):
        storage.open((np.zeros((5, 2), np.uint8), t)).take(np.arange(5))
    # The cure cures.
    model = se.Mlp([se.Layer(np.zeros((2, 4), np.float32), np.zeros(4, np.float32), "identity")])
    report = se.evaluate(model, (np.zeros((5, 2), np.uint8), np.eye(4)[[0] * 5] + [0, 1, 0, 0]),
                         loss=se.BinaryCrossEntropy())  # fmt: skip
    assert report.loss == pytest.approx(np.log(2), rel=1e-9)


def test_soft_rows_that_sum_to_1_as_far_as_float16_knows_are_not_warned_of():
    rng = np.random.default_rng(3)
    t = rng.dirichlet(np.ones(10), 500).astype(np.float16).astype(np.float32)
    list(storage.open((np.zeros((500, 2), np.uint8), t)).chunks(Span(0, 500), 100))


def test_a_row_s_weights_count_as_they_are():
    """The loss is -sum_k t_k log(y_k + eps), the mean is over rows: weights of 2 count twice, of 0 not at all."""
    model = se.Mlp([se.Layer(np.zeros((2, 4), np.float32), np.zeros(4, np.float32), "identity")])
    t = np.full((3, 4), 0.25) * np.array([[1.0], [2.0], [0.0]])
    with pytest.warns(StreamevalWarning, match="row 1"):
        losses = se.per_sample_losses(model, (np.zeros((3, 2), np.uint8), t), eps=0.0)
    assert losses == pytest.approx(np.log(4) * np.array([1.0, 2.0, 0.0]), rel=1e-6)


@pytest.mark.parametrize("pattern", [0x7F800001, 0xFFC00000, 0x7F800000])
def test_a_soft_target_of_any_nan_or_infinity_is_refused_and_nothing_else_is_said(tmp_path, pattern):
    """A signalling NaN, which NumPy would warn of, a quiet one, and infinity."""
    weights = np.full((4, 3), 1 / 3, np.float32)
    weights.view(np.uint32)[2, 1] = pattern
    target = pa.FixedSizeListArray.from_arrays(pa.array(weights.reshape(-1)), 3)
    image = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20, np.uint8)), 5)
    table = pa.table({"image": image, "label": target})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = storage.open(path)
        with pytest.raises(LabelError, match="row 2"):
            list(source.chunks(Span(0, 4), 4))
        with pytest.raises(LabelError, match="row 2"):
            source.take(np.array([2]))


def test_a_label_that_is_made_good_again_after_it_was_copied_is_refused(monkeypatch):
    """What is copied is what kernels write by: memory and mapped files may be changed by another at any time."""
    x, t = drawn(100)
    t = t.astype(np.int64)
    source, cast = storage.open((x, t)), StoredSource._cast

    def changing(self, labels):
        good, t[7] = t[7], 1 << 40
        copied = cast(self, labels)
        t[7] = good
        return copied

    monkeypatch.setattr(StoredSource, "_cast", changing)
    weights = np.zeros((x[0].size, 10), np.float32)
    model = se.Mlp([se.Layer(weights, np.zeros(10, np.float32), "identity")])
    with pytest.raises(LabelError, match="10 classes"):
        se.evaluate(model, source)
