"""Every format is the same rows: chunks, picks and fingerprints agree with the plain arrays."""

from __future__ import annotations

import gzip
import itertools
import re
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_files import stored

from streameval import storage
from streameval.errors import DataError, StorageError, StreamevalWarning, UsageError
from streameval.storage import Span

ROWS = 40_000
FORMS = (
    *("arrays", "arrow", "arrow pread", "arrow direct", "npy", "npy pread", "npy direct", "idx", "idx pread"),
    *("idx direct", "idx.gz", "many", "many direct"),
)


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (rows, 3, 4), dtype=np.uint8), rng.integers(0, 10, rows)


def write_idx(folder: Path, x: np.ndarray, t: np.ndarray, ending: str = "") -> tuple[Path, Path]:
    contents = {
        "images": struct.pack(">HBB3I", 0, 8, 3, *x.shape) + x.tobytes(),
        "labels": struct.pack(">HBBI", 0, 8, 1, len(t)) + t.astype(np.uint8).tobytes(),
    }
    for name, content in contents.items():
        raw = gzip.compress(content, 1) if ending == ".gz" else content
        (folder / (name + ending)).write_bytes(raw)
    return folder / ("images" + ending), folder / ("labels" + ending)


def make(folder: Path, x: np.ndarray, t: np.ndarray) -> None:
    """Write the rows in every format into `folder`."""
    write_idx(folder, x, t)
    zipped = write_idx(folder, x, t, ".gz")
    storage.convert(*zipped, folder / "all.arrow", classes=10)
    storage.convert(*zipped, folder / "all", classes=10)
    (folder / "parts").mkdir()
    cuts = [0, 1, 700, 17_000, 17_000, len(x)]
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        storage.create(
            folder
            / "parts"
            / f"part-{8 + number}.arrow",  # 8, 9, 10, 11, 12: the order of numbers, not of letters
            [(x[start:stop], t[start:stop])],
            rows=stop - start,
            shape=(3, 4),
            dtype=np.uint8,
            classes=10,
        )


def open_form(folder: Path, form: str, x: np.ndarray, t: np.ndarray) -> storage.Source:
    name, _, way = form.partition(" ")
    data = {
        "arrays": (x, t),
        "arrow": folder / "all.arrow",
        "npy": str(folder / "all"),
        "idx": (folder / "images", folder / "labels"),
        "idx.gz": (str(folder / "images.gz"), folder / "labels.gz"),
        "many": folder / "parts",
    }[name]
    return storage.open(data, io=way or "auto")


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    return drawn(ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: tuple[np.ndarray, np.ndarray]) -> Path:
    made = tmp_path_factory.mktemp("formats")
    make(made, *rows)
    return made


@pytest.fixture(scope="module", params=FORMS)
def source(
    request: pytest.FixtureRequest, folder: Path, rows: tuple[np.ndarray, np.ndarray]
) -> storage.Source:
    return open_form(folder, request.param, *rows)


def test_a_source_says_what_it_holds(source):
    assert isinstance(source, storage.Source)
    assert (source.rows, source.shape, source.features) == (ROWS, (3, 4), 12)
    assert source.dtype == np.uint8
    assert source.scale == 1 / 255
    assert source.soft is False
    assert source.classes in (10, None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, ROWS), st.integers(0, ROWS), st.sampled_from([700, 4096, 16_384, 16_385, ROWS]))
def test_chunks_tile_any_span_in_order(source, rows, one, other, chunk_rows):
    x, t = rows
    start, stop = sorted((one, other))
    at = start
    for chunk in source.chunks(Span(start, stop), chunk_rows):
        here = slice(at, at + len(chunk))
        assert 1 <= len(chunk) <= chunk_rows
        assert list(chunk.rows) == list(range(at, at + len(chunk)))
        assert np.array_equal(chunk.x.reshape(-1, 3, 4), x[here])
        assert np.array_equal(chunk.t, t[here])
        assert chunk.t.dtype == np.int64
        assert chunk.offsets.dtype == np.int64
        at += len(chunk)
    assert at == stop


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, ROWS - 1), max_size=60))
def test_take_returns_exactly_these_rows_repeats_and_order_kept(source, rows, wanted):
    x, t = rows
    chunk = source.take(np.array(wanted, np.int64))
    assert np.asarray(chunk.rows).tolist() == wanted
    assert np.array_equal(chunk.x.reshape(-1, 3, 4), x[wanted])
    assert np.array_equal(chunk.t, t[wanted])
    assert chunk.t.dtype == np.int64


def test_the_same_rows_have_the_same_fingerprint_in_every_format(source, rows):
    assert source.fingerprint == storage.open(rows).fingerprint
    assert source.fingerprint.startswith("sha256:")


def test_another_pixel_label_order_shape_or_scale_has_another_fingerprint(rows):
    x, t = rows
    changed_x, changed_t = x.copy(), t.copy()
    changed_x[39_999, 2, 3] ^= 1
    changed_t[0] = (t[0] + 1) % 10
    others = [(changed_x, t), (x, changed_t), (x[::-1], t[::-1]), (x.reshape(-1, 4, 3), t), (x[1:], t[1:])]
    prints = [storage.open(pair).fingerprint for pair in [(x, t), *others]]
    prints.append(storage.open((x, t), scale=1.0).fingerprint)
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("bad", [[-1], [ROWS], [0, 5, ROWS + 7], [[1]], [0.5]])
def test_rows_out_of_range_are_refused(source, bad):
    with pytest.raises(UsageError, match=r"row"):
        source.take(np.array(bad))


@pytest.mark.parametrize("span", [Span(-1, 4), Span(0, ROWS + 1), Span(5, 4)])
def test_spans_out_of_range_are_refused(source, span):
    with pytest.raises(UsageError, match="asked for"):
        list(source.chunks(span, 100))


def test_chunks_of_no_rows_are_refused(source):
    with pytest.raises(UsageError, match="at least 1"):
        list(source.chunks(Span(0, 10), 0))


def test_recorded_blocks_are_compared_and_counted(folder, rows):
    assert storage.open(folder / "all.arrow").check_content() == 3
    assert storage.open(folder / "all").check_content() == 3
    assert storage.open(folder / "parts").check_content() == 1 + 1 + 1 + 0 + 2
    assert storage.open(rows).check_content() == 0


@pytest.mark.parametrize("form", ["arrays", "arrow", "npy", "idx"])
def test_features_are_never_copied(folder, rows, form):
    """Chunks and picks of one source lie in the same memory: the whole file's, or the array's."""
    source = open_form(folder, form, *rows)
    pick = source.take(np.array([0, ROWS - 1]))
    for chunk in source.chunks(Span(0, ROWS), 5_000):
        assert chunk.values.ctypes.data == pick.values.ctypes.data
        assert np.shares_memory(chunk.x, pick.values)
    if form == "arrays":
        assert np.shares_memory(pick.values, rows[0])
    else:
        path = {"arrow": "all.arrow", "npy": "all/images.npy", "idx": "images"}[form]
        assert len(pick.values) == (folder / path).stat().st_size
        assert not pick.values.flags.writeable


def test_float32_features_are_seen_in_place_whatever_the_length_of_the_file(tmp_path):
    x = np.random.default_rng(1).random((1001, 5), dtype=np.float32)
    t = np.arange(1001) % 3
    for name in ("f.arrow", "f"):
        storage.create(tmp_path / name, [(x, t)], rows=1001, shape=(5,), dtype=np.float32, classes=3)
        source = storage.open(tmp_path / name)
        chunk = source.take(np.arange(1001))
        assert chunk.values.dtype == np.float32
        assert source.scale == 1.0
        assert np.array_equal(chunk.x, x)
        assert source.fingerprint == storage.open((x, t)).fingerprint


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
def test_one_hot_targets_come_as_float64_rows(tmp_path, dtype):
    x, labels = drawn(20_000)
    t = np.eye(10)[labels].astype(dtype)
    whole = storage.open((x, t))
    assert (whole.soft, whole.classes) == (True, 10)
    prints = {whole.fingerprint}
    for name, way in (("s.arrow", "mmap"), ("s", "mmap"), ("s.arrow", "pread"), ("s", "direct")):
        if way == "mmap":
            shape = (3, 4)
            storage.create(
                tmp_path / name, [(x, t)], rows=20_000, shape=shape, dtype="uint8", classes=10, soft=True
            )
        source = storage.open(tmp_path / name, io=way)
        assert (source.soft, source.classes) == (True, 10)
        chunk = source.take(np.array([3, 19_999, 3]))
        assert chunk.t.dtype == np.float64
        assert np.array_equal(chunk.t, t[[3, 19_999, 3]])
        assert np.array_equal(np.concatenate([c.t for c in source.chunks(Span(0, 20_000), 999)]), t)
        assert source.check_content() == 2
        prints.add(source.fingerprint)
    assert len(prints) == 1


def test_arrays_that_are_not_contiguous_are_accepted():
    x, t = drawn(100)
    source = storage.open((x[::2], t[::2]))
    assert np.array_equal(source.take(np.arange(50)).x.reshape(-1, 3, 4), x[::2])


@pytest.mark.parametrize(
    ("x", "t", "cure"),
    [
        (np.zeros((5, 2), ">f4"), np.zeros(5, int), r"x\.astype"),
        (np.full((5, 2), 256, np.int32), np.zeros(5, int), r"from 256 to 256, .* x\.astype\(np\.float32\)"),
        (np.full((5, 2), -1), np.zeros(5, int), r"from -1 to -1"),
        (np.zeros((5, 2), bool), np.zeros(5, int), "x is bool"),
        (np.zeros(5, np.uint8), np.zeros(5, int), r"x\.reshape\(1, -1\) for one row, x\.reshape\(-1, 1\)"),
        (np.zeros(5, int), np.zeros((5, 2), np.uint8), r"t has the shape \(5, 2\): is the order \(x, t\)\?"),
        (np.array([[0, 1], [-1e39, 0]]), np.zeros(2, int), r"row 1: feature 0 of x is -1e\+39, .*float32"),
        (np.zeros((5, 0), np.uint8), np.zeros(5, int), "shape"),
        (np.zeros((5, 2), np.uint8), np.zeros((5, 0)), r"t\.astype\(np\.int64\)"),
        (np.zeros((5, 2), np.uint8), np.zeros((5, 2, 2)), "t is float64"),
        (np.zeros((5, 2), np.uint8), np.zeros(5, bool), r"t is bool.*t\.astype\(np\.int64\)"),
        (
            np.zeros((5, 2), np.uint8),
            np.zeros(4, int),
            "5 rows and t has 4.* Give one target for each row of x",
        ),
        (np.zeros((5, 2), np.uint8), np.zeros(2, int), r"5 rows and t has 2.* x\.T"),
        (np.zeros((5, 2), np.uint8), np.zeros((3, 5)), r"5 rows and t has 3.* t\.T"),
    ],
)
def test_arrays_of_another_form_are_refused_with_the_cure(x, t, cure):
    with pytest.raises(DataError, match=cure):
        storage.open((x, t))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.int16, np.int8, np.uint64])
def test_integers_that_are_all_bytes_are_taken_as_pixels(dtype):
    """Libraries of data sets give pixels as int64: unscaled, their loss would be wrong."""
    x, t = drawn(50)
    if dtype == np.int8:
        x = x >> 1
    source = storage.open((x.astype(dtype), t))
    assert (source.dtype, source.scale) == (np.uint8, 1 / 255)
    assert np.array_equal(source.take(np.arange(50)).x, x.reshape(50, -1))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int16])
def test_integers_beyond_bytes_are_what_a_scale_says_as_those_of_a_table_are(dtype):
    x, t = drawn(50)
    x = x.reshape(50, -1).astype(dtype) * 16
    source = storage.open((x, t), scale=1 / 4095)
    assert (source.dtype, source.scale) == (np.float32, 1 / 4095)
    assert np.array_equal(source.take(np.arange(50)).x, x)
    table = pa.table({"t": t, **{f"pixel{k}": x[:, k] for k in range(x.shape[1])}})
    with pytest.warns(StreamevalWarning):
        assert storage.open(table, scale=1 / 4095).fingerprint == source.fingerprint
    with pytest.raises(DataError, match="scale=1"):
        storage.open((x, t))


def test_half_precision_is_taken_as_it_is():
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float16)
    source = storage.open((x, np.zeros(9, int)))
    assert source.dtype == np.float32
    assert np.array_equal(source.take(np.arange(9)).x, x)


@pytest.mark.parametrize("form", ["array", "series", "lists"])
def test_float64_is_rounded_to_float32_as_that_of_a_table_is(form):
    """`pixels / 255` is float64, and so is what scikit-learn loads; NaN stays for whoever leaves such rows out."""
    x, t = drawn(50)
    x = x.reshape(50, -1) / 255
    given = {"array": (x, t), "series": (Offers(x), Offers(t)), "lists": (x.tolist(), t.tolist())}[form]
    source = storage.open(given)
    assert (source.dtype, source.scale) == (np.float32, 1.0)
    assert np.array_equal(source.take(np.arange(50)).x, x.astype(np.float32))
    table = pa.table({"t": t, **{f"pixel{k}": x[:, k] for k in range(x.shape[1])}})
    with pytest.warns(StreamevalWarning):
        assert storage.open(table).fingerprint == source.fingerprint
    x[3, 1], x[4, 2] = np.nan, np.inf
    assert np.array_equal(storage.open((x, t)).take(np.arange(50)).x, x.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["train.arrow", "test.arrow"], "files called (test|train) and (test|train)"),
        (
            ["train-00000-of-00002.arrow", "train-00001-of-00002.arrow", "validation-00000-of-00001.arrow"],
            "train and vali",
        ),
        (["Mnist_Train.arrow", "mnist_test.arrow"], "files called (test|train) and (test|train)"),
        (["train-0.arrow", "train-1.arrow"], None),
        (["part-0.arrow", "test.arrow"], None),
        (["latest.arrow", "trained.arrow"], None),
        (["test-of-train.arrow", "train.arrow"], None),
    ],
)
def test_a_folder_of_train_and_test_is_told(tmp_path, names, told):
    """`fetch` leaves such a folder: their mean is of neither."""
    for name in names:
        stored(tmp_path / name, 20)
    for meant in (str(tmp_path / "*.arrow"), [tmp_path / name for name in names]):
        assert storage.open(meant).rows == 20 * len(names)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert storage.open(tmp_path).rows == 20 * len(names)
    assert len(said) == (told is not None)
    if told is not None:
        assert re.search(told, str(said[0].message))
        pattern = re.search(r"a pattern such as '(.*?)'", str(said[0].message)).group(1)
        assert 0 < len(storage.open(pattern)) < 20 * len(names)


def whole(dtype, largest=255):
    x, t = drawn(50)
    x = x.reshape(50, -1).astype(dtype)
    x[3, 0] = largest
    return x, t


@pytest.mark.parametrize("form", ["arrays", "table"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_that_may_be_pixels_are_told_as_nothing_scales_them(form, dtype):
    """`x.astype(np.float32)` of pixels skips the scale that bytes have, and no error would say so."""

    def opened(x, t, **more):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            columns = {f"pixel{k}": x[:, k] for k in range(x.shape[1])}
            data = (x, t) if form == "arrays" else pa.table({"t": t, **columns})
            named = {} if form == "arrays" else {"features": "pixel*", "target": "t"}
            storage.open(data, **named, **more)
        return " ".join(str(one.message) for one in told)

    x, t = whole(dtype)
    told = opened(x, t)
    assert "features are whole numbers up to 255, but floats: taken as they are" in told
    assert "x / 255, or scale=1/255 (--scale 1/255)" in told
    for scale in (1, 1 / 255):
        assert opened(x, t, scale=scale) == ""
    fraction, last, beyond = x / 255, x.copy(), x.copy()
    last[-1, -1] += 0.5
    beyond[0, 0] = 256
    below = x.copy()
    below[0, 0] = -1
    for other in (fraction, last, beyond, below, np.minimum(x, 127)):
        assert opened(other, t) == ""


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"x": np.zeros((2, 2)), "t": np.zeros(2, int)}, r"dict was given.* \(data\['x'\], data\['t'\]\)"),
        (np.zeros((2, 2)), r"ndarray was given.* targets too: \(x, t\)"),
        ((np.zeros((2, 2)), None), r"a tuple of \(ndarray, NoneType\) was given"),
        ((1, 2, 3, 4, 5), r"a tuple of \(int, int, int, int, \.\.\.\) was given"),
    ],
)
def test_what_is_no_data_set_is_named_with_what_to_write(data, told):
    with pytest.raises(UsageError, match=told):
        storage.open(data)


NAMES = np.array(["dog", "cat", "dog", "eel"])
TEXTS = {"text": NAMES, "bytes": NAMES.astype("S"), "objects": NAMES.astype(object)}


@pytest.mark.parametrize("names", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("form", ["array", "series", "npy"])
def test_names_of_classes_are_refused_with_a_cure_that_works(tmp_path, names, form):
    x = np.zeros((4, 2), np.uint8)
    paths = tmp_path / "x.npy", tmp_path / "t.npy"

    def opened(t):
        np.save(paths[0], x)
        np.save(paths[1], t)
        return storage.open(paths if form == "npy" else (x, Offers(t) if form == "series" else t))

    with pytest.raises(DataError, match=r"[Oo]f the classes' names, ") as told:
        opened(names)
    cure = re.search(r"np\.unique\(.*?\)\[1\]", str(told.value)).group()
    assert opened(eval(cure, {"np": np, "t": names})).take(np.arange(4)).t.tolist() == [1, 0, 1, 2]


class Offers:
    """What becomes an array when it is asked, as tensors and frames do."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.values, Exception):
            raise self.values
        return np.asarray(self.values, dtype)


def test_what_offers_itself_as_an_array_is_one():
    x, t = drawn(20)
    source = storage.open((Offers(x), Offers(t)))
    assert source.fingerprint == storage.open((x, t)).fingerprint


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            TypeError("can't convert cuda:0"),
            r"x is a .*Offers that does not become .*cuda:0.*x\.to_dense\(\)\.cpu\(\)",
        ),
        (np.array([["a", "b"]]), r"x is a .*Offers that becomes an array of <U1, expected numbers"),
    ],
)
def test_what_does_not_become_an_array_says_what_to_give(given, told):
    with pytest.raises(DataError, match=told):
        storage.open((Offers(given), np.zeros(1, int)))


def test_tensors_are_read_as_arrays():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra [bench]")
    x, t = drawn(20)
    given = torch.from_numpy(x), torch.from_numpy(t)
    assert storage.open(given).fingerprint == storage.open((x, t)).fingerprint
    for more in ({"requires_grad": True}, {"dtype": torch.bfloat16}):
        source = storage.open((torch.ones(2, 3, **more), torch.zeros(2, dtype=int)))
        assert np.array_equal(source.take(np.arange(2)).x, np.ones((2, 3), np.float32))
    sparse = torch.eye(2).to_sparse()
    with pytest.raises(DataError, match=r"x is a torch\.Tensor.*x\.to_dense\(\)\.cpu\(\)\.numpy\(\)"):
        storage.open((sparse, torch.zeros(2, dtype=int)))
    assert storage.open((sparse.to_dense().cpu().numpy(), np.zeros(2, int))).rows == 2


@pytest.mark.parametrize("kind", tensors.KINDS.values(), ids=tensors.KINDS)
def test_tensors_that_want_gradients_or_numpy_lacks_are_read_as_float32(kind):
    x = np.arange(12, dtype=np.float32).reshape(4, 3) / 2
    source = storage.open((tensors.Tensor(x, **kind), np.zeros(4, int)))
    assert source.dtype == np.float32
    assert np.array_equal(source.take(np.arange(4)).x, x)


def test_a_source_is_returned_as_it_is(rows, monkeypatch):
    source = storage.open(rows)
    monkeypatch.setattr(
        "streameval.storage.block_hashes.computed_fingerprint", lambda _: pytest.fail("it was read")
    )
    assert storage.open(source) is source
    with pytest.raises(UsageError, match="open already"):
        storage.open(source, scale=1.0)


@pytest.mark.parametrize("data", [None, 5, (), (1, 2), [], [1], ("a", "b", "c"), np.zeros((3, 3))])
def test_anything_else_is_refused_with_what_is_accepted(data):
    with pytest.raises(UsageError, match=r"expected an [.]arrow file"):
        storage.open(data)


def test_an_unknown_way_of_reading_is_refused(rows):
    with pytest.raises(UsageError, match="auto, mmap, direct, pread"):
        storage.open(rows, io="mapped")


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_means_nothing_is_refused(rows, scale):
    with pytest.raises(UsageError, match="scale"):
        storage.open(rows, scale=scale)


def test_a_recorded_scale_is_used_unless_another_is_given(tmp_path):
    x, t = drawn(10)
    for name in ("a.arrow", "a"):
        storage.create(tmp_path / name, [(x, t)], rows=10, shape=(3, 4), dtype="uint8", scale=0.5)
        assert storage.open(tmp_path / name).scale == 0.5
        assert storage.open(tmp_path / name, scale=2.0).scale == 2.0


def test_a_glob_and_a_list_are_one_source(folder, rows):
    x, _ = rows
    glob = storage.open(str(folder / "parts" / "part-*.arrow"))
    given = storage.open([folder / "parts" / f"part-{n}.arrow" for n in (11, 12, 8, 9, 10)])
    assert glob.fingerprint == storage.open(rows).fingerprint
    assert given.rows == ROWS
    assert np.array_equal(given.take(np.array([0])).x.reshape(3, 4), x[17_000])
    with pytest.raises(StorageError, match="no file matches"):
        storage.open(str(folder / "nothing-*.arrow"))


def test_parts_cut_at_blocks_keep_the_fingerprint_without_reading(tmp_path, rows, monkeypatch):
    x, t = rows
    for number, start in enumerate(range(0, ROWS, 16_384)):
        part = slice(start, start + 16_384)
        dest = tmp_path / f"{number}.arrow"
        storage.create(dest, [(x[part], t[part])], rows=len(x[part]), shape=(3, 4), dtype="uint8")
    expected = storage.open(rows).fingerprint
    monkeypatch.setattr(
        "streameval.storage.block_hashes.computed_fingerprint", lambda _: pytest.fail("it was read")
    )
    assert storage.open(tmp_path).fingerprint == expected


def test_what_is_too_large_to_hash_is_sampled_and_says_so(folder, rows, monkeypatch):
    monkeypatch.setattr("streameval.storage.block_hashes.HASH_UP_TO", 1_000)
    x, t = rows
    sampled = storage.open(rows).fingerprint
    changed = x.copy()
    changed[-1, 0, 0] ^= 1
    assert sampled.startswith("sample-sha256:")
    assert storage.open((x.copy(), t)).fingerprint == sampled
    assert storage.open((changed, t)).fingerprint != sampled
    assert storage.open((x[:-1], t[:-1])).fingerprint != sampled
    parts = storage.open(folder / "parts").fingerprint
    assert parts.startswith("parts-sha256:")
    assert storage.open(folder / "parts").fingerprint == parts


def test_parts_of_another_form_are_refused(tmp_path):
    x, t = drawn(10)
    storage.create(tmp_path / "a.arrow", [(x, t)], rows=10, shape=(3, 4), dtype="uint8")
    storage.create(tmp_path / "b.arrow", [(x.reshape(-1, 4, 3), t)], rows=10, shape=(4, 3), dtype="uint8")
    with pytest.raises(DataError, match=r"b\.arrow: shape is \(4, 3\), expected \(3, 4\)"):
        storage.open(tmp_path)


def test_a_closed_source_says_so_and_its_chunks_stay_valid(folder, rows):
    with storage.open(folder / "all.arrow") as source:
        chunk = source.take(np.array([5]))
    source.close()
    assert np.array_equal(chunk.x.reshape(3, 4), rows[0][5])
    with pytest.raises(StorageError, match="closed"):
        source.take(np.array([5]))


def test_reading_imports_neither_pyarrow_nor_numba(folder):
    code = (
        "import sys, numpy as np, streameval.storage as s; d = s.open(sys.argv[1]); d.take(np.array([1])); "
        "d.fingerprint; sys.exit(any(m in sys.modules for m in ('pyarrow', 'numba', 'click', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code, folder / "all.arrow"], check=False).returncode == 0


def test_files_without_hashes_that_numpy_wrote_are_read(tmp_path):
    x, t = drawn(300)
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", t)
    pair = storage.open((tmp_path / "images.npy", tmp_path / "labels.npy"))
    assert pair.check_content() == 0
    assert storage.open(tmp_path).fingerprint == pair.fingerprint == storage.open((x, t)).fingerprint


def test_a_folder_is_in_the_order_of_its_numbers_whatever_other_digits_are_in_names(tmp_path: Path) -> None:
    """A raised digit is a letter; Arabic-Indic ones are numbers."""
    names = ["m1\u00b22.arrow", "m1\u00b210.arrow", "part-\u0662.arrow", "part-\u0661\u0660.arrow"]
    x, t = drawn(2 * len(names))
    for k in reversed(range(len(names))):
        part = slice(2 * k, 2 * k + 2)
        storage.create(tmp_path / names[k], [(x[part], t[part])], rows=2, shape=(3, 4), dtype="uint8")
    assert np.array_equal(storage.open(tmp_path).take(np.arange(2 * len(names))).t, t)


@pytest.mark.parametrize("rows", [0, -1, 2.0])
def test_a_span_is_not_cut_into_pieces_without_rows(rows):
    """Of pieces of -1 rows none came, without a word: a loop over them left all rows out."""
    with pytest.raises(UsageError, match="rows: "):
        list(Span(0, 10).cut(rows))
    assert [len(one) for one in Span(2, 12).cut(4)] == [4, 4, 2]
    assert list(Span(3, 3).cut(4)) == []
