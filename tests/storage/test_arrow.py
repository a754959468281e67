"""Arrow files: ours as pyarrow reads them, others' as pyarrow writes them, and those that are refused."""

from __future__ import annotations

import itertools
import struct
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval import storage
from streameval.defaults import IO
from streameval.errors import DataError, StreamevalWarning, UsageError
from streameval.storage import Span
from streameval.storage.columns import column_of, read_column
from streameval.storage.flatbuffer import root

ROWS = 37


def rows(count: int = ROWS, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    return rng.integers(0, 200, (count, 2, 3)).astype(dtype), rng.integers(0, 5, count)


def lists(array: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    flat = array.reshape(len(array), int(np.prod(array.shape[1:])))
    return pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(flat).reshape(-1)),
        flat.shape[1],
        mask=None if mask is None else pa.array(mask),
    )


def tensor(array: np.ndarray) -> pa.Array:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array))


def write(path: Path, columns: dict[str, pa.Array], batch_rows: int = 10, **options: object) -> Path:
    table = pa.table(columns)
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return path


def test_pyarrow_reads_our_files_as_they_were_meant(tmp_path):
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 256, (20_000, 5, 4), dtype=np.uint8), rng.integers(0, 7, 20_000)
    path = storage.create(
        tmp_path / "a.arrow",
        [(x, t)],
        rows=20_000,
        shape=(5, 4),
        dtype="uint8",
        classes=7,
        scale=0.25,
        sources={"a": "b"},
    )
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        table = reader.read_all()
        assert [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)] == [16_384, 3_616]
        table.validate(full=True)
        assert table.schema.field("image").type == pa.fixed_shape_tensor(pa.uint8(), (5, 4))
        assert table.schema.field("label").type == pa.uint8()
        images = table["image"].combine_chunks()
        images = images.chunk(0) if isinstance(images, pa.ChunkedArray) else images
        assert np.array_equal(images.to_numpy_ndarray(), x)
        assert np.array_equal(table["label"].to_numpy(), t)
        assert b'"classes": 7' in table.schema.metadata[b"streameval"]
    assert storage.open(path).sources == {"a": "b"}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("way", IO[1:])
@pytest.mark.parametrize("make", [lists, tensor])
def test_features_of_other_writers_are_read(tmp_path, dtype, way, make):
    x, t = rows(dtype=dtype)
    path = write(tmp_path / "a.arrow", {"label": pa.array(t), "image": make(x)})
    source = storage.open(path, io=way)
    assert source.shape == ((2, 3) if make is tensor else (6,))
    assert source.dtype == dtype
    chunk = source.take(np.arange(ROWS)[::-1])
    assert np.array_equal(chunk.x, x.reshape(ROWS, 6)[::-1])
    assert np.array_equal(chunk.t, t[::-1])
    assert [len(c) for c in source.chunks(Span(0, ROWS), 100)] == [10, 10, 10, 7]
    assert source.check_content() == 0


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_labels_of_any_integer_type_are_read(tmp_path, dtype):
    x, t = rows()
    path = write(tmp_path / "a.arrow", {"x": lists(x), "t": pa.array(t.astype(dtype))})
    for way in IO[1:]:
        source = storage.open(path, io=way)
        assert np.array_equal(source.take(np.arange(ROWS)).t, t)
        assert source.classes is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_targets_of_other_writers_are_read(tmp_path, dtype):
    x, t = rows()
    soft = np.eye(5)[t].astype(dtype)
    source = storage.open(write(tmp_path / "a.arrow", {"features": lists(x), "labels": lists(soft)}))
    assert (source.soft, source.classes) == (True, 5)
    assert np.array_equal(source.take(np.arange(ROWS)).t, soft)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6), st.data())
def test_batches_of_any_lengths_are_one_numbering(tmp_path_factory, lengths, data):
    x, t = rows(sum(lengths))
    path = tmp_path_factory.mktemp("any") / "a.arrow"
    schema = pa.schema({"image": lists(x).type, "label": pa.int64()})
    ends = np.cumsum([0, *lengths])
    with pa.ipc.new_file(path, schema) as writer:
        for start, stop in itertools.pairwise(ends):
            columns = [lists(x[start:stop]), pa.array(t[start:stop])]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    source = storage.open(path)
    assert source.rows == len(x)
    wanted = np.array(
        data.draw(st.lists(st.integers(0, len(x) - 1), max_size=20) if len(x) else st.just([])), int
    )
    assert np.array_equal(source.take(wanted).x, x.reshape(len(x), 6)[wanted])
    start = data.draw(st.integers(0, len(x)))
    parts = list(source.chunks(Span(start, len(x)), 7))
    assert np.array_equal(np.concatenate([t[:0], *(c.t for c in parts)]), t[start:])


def test_files_written_before_arrow_0_15_are_read(tmp_path):
    x, t = rows()
    path = write(tmp_path / "a.arrow", {"image": lists(x), "label": pa.array(t)}, use_legacy_format=True)
    assert np.array_equal(storage.open(path).take(np.arange(ROWS)).x, x.reshape(ROWS, 6))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("soft", [False, True])
def test_compressed_files_are_read_batch_by_batch_and_it_is_said(tmp_path, codec, soft):
    x, t = rows(1_000)
    targets = np.eye(5)[t] if soft else t
    column = lists(targets) if soft else pa.array(t)
    path = write(tmp_path / "a.arrow", {"image": tensor(x), "label": column}, 100, compression=codec)
    with pytest.warns(StreamevalWarning, match=f"compressed \\({codec}\\)"):
        source = storage.open(path)
    wanted = np.array([999, 0, 500, 500])
    assert np.array_equal(source.take(wanted).x.reshape(-1, 2, 3), x[wanted])
    assert np.array_equal(source.take(wanted).t, targets[wanted])
    chunks = list(source.chunks(Span(50, 950), 64))
    assert np.array_equal(np.concatenate([c.x for c in chunks]).reshape(-1, 2, 3), x[50:950])
    assert np.array_equal(np.concatenate([c.t for c in chunks]), targets[50:950])
    assert source.fingerprint == storage.open((x, targets)).fingerprint


def test_a_compressed_batch_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    x, t = rows(1_000)
    path = write(tmp_path / "a.arrow", {"image": tensor(x), "label": pa.array(t)}, 1_000, compression="zstd")
    monkeypatch.setattr("streameval.storage.arrow_batch.MAX_BATCH_BYTES", 5_999)
    with pytest.raises(DataError, match="max_chunksize=16384"):
        storage.open(path)


def masked(values: np.ndarray, at: int) -> pa.Array:
    mask = np.zeros(len(values), bool)
    mask[at] = True
    return pa.array(values, mask=mask)


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("where", ["label", "image", "pixel", "soft"])
def test_nulls_are_refused_with_the_row(tmp_path, where, codec):
    x, t = rows()
    mask = np.arange(ROWS) == 23
    columns = {"image": lists(x), "label": pa.array(t)}
    if where == "label":
        columns["label"] = masked(t, 23)
    elif where == "image":
        columns["image"] = lists(x, mask)
    elif where == "pixel":
        columns["image"] = pa.FixedSizeListArray.from_arrays(masked(x.reshape(-1), 23 * 6 + 5), 6)
    else:
        columns["label"] = lists(np.eye(5)[t], mask)
    path = write(tmp_path / "a.arrow", columns, compression=codec)
    with pytest.raises(DataError, match=r"nulls \(\d+, the first in row 23\)"):
        storage.open(path)


def strings(count: int) -> pa.Array:
    return pa.array(["a"] * count)


REFUSED = {
    "float64 features": (
        {"image": lists(rows()[0].astype(float)), "label": pa.array(rows()[1])},
        "float64 x 6",
    ),
    "int32 features": ({"image": lists(rows()[0].astype("i4")), "label": pa.array(rows()[1])}, "int32 x 6"),
    "half features": ({"image": lists(rows()[0].astype("f2")), "label": pa.array(rows()[1])}, "float"),
    "lists": ({"image": pa.array([[1, 2]] * ROWS), "label": pa.array(rows()[1])}, "type list"),
    "binary": ({"image": pa.array([b"abc"] * ROWS), "label": pa.array(rows()[1])}, "type binary"),
    "plain features": ({"image": pa.array(rows()[1]), "label": pa.array(rows()[1])}, "int64 x 1"),
    "text labels": ({"image": lists(rows()[0]), "label": strings(ROWS)}, "type utf8"),
    "integer one-hot": (
        {"image": lists(rows()[0]), "label": lists(np.eye(5, dtype=int)[rows()[1]])},
        "int64 x 5",
    ),
    "dictionary": (
        {"image": lists(rows()[0]), "label": pa.array(rows()[1]).dictionary_encode()},
        "dictionary",
    ),
    "bool labels": ({"image": lists(rows()[0]), "label": pa.array(rows()[1] > 2)}, "type bool"),
    "no labels": ({"image": lists(rows()[0])}, "columns \\['image'\\]"),
    "two targets": (
        {"image": lists(rows()[0]), "label": pa.array(rows()[1]), "t": pa.array(rows()[1])},
        "table.select",
    ),
    "a union beside": (
        {
            "image": lists(rows()[0]),
            "label": pa.array(rows()[1]),
            "id": pa.UnionArray.from_sparse(pa.array([0] * ROWS, pa.int8()), [pa.array(rows()[1])]),
        },
        "'id' is of Arrow type 14",
    ),
    "other names": ({"pixels": lists(rows()[0]), "label": pa.array(rows()[1])}, "'pixels'"),
    "two features": ({"image": lists(rows()[0]), "x": lists(rows()[0])}, "expected two"),
    "nested": (
        {"image": pa.FixedSizeListArray.from_arrays(lists(rows()[0]), 1), "label": pa.array(rows()[1])},
        "of",
    ),
    "columns first": (
        {
            "image": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.uint8(), (2, 3), permutation=[1, 0]), lists(rows()[0])
            ),
            "label": pa.array(rows()[1]),
        },
        "row-major",
    ),
}


def further(n: int) -> dict[str, pa.Array]:
    """Columns of every kind that is passed over, with nulls in some of them."""
    numbers = np.arange(n)
    return {
        "document": pa.array(numbers // 3),
        "name": pa.array([None if k % 4 == 0 else f"row {k}" for k in numbers]),
        "large": pa.array([f"{k}" for k in numbers], pa.large_string()),
        "raw": pa.array([bytes([k % 256]) for k in numbers]),
        "yes": pa.array(numbers % 2 == 0),
        "when": pa.array(numbers, pa.timestamp("us")),
        "none": pa.nulls(n),
        "words": pa.array([["a"] * (k % 3) for k in numbers]),
        "pair": pa.array([{"a": int(k), "b": [float(k)]} for k in numbers]),
        "map": pa.array([[("k", int(k))] for k in numbers], pa.map_(pa.string(), pa.int64())),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * n)), 2),
        "decimal": pa.array([None] * n, pa.decimal128(8, 2)),
        "half": pa.array(numbers.astype(np.float16)),
    }


@pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
@pytest.mark.parametrize("codec", [None, "zstd"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_further_columns_are_passed_over_wherever_they_stand(tmp_path, codec, place):
    x, t = rows()
    between = list(further(ROWS).items())
    wanted = [("image", lists(x)), ("label", pa.array(t))]
    columns = dict([*between[:5], *wanted[:place], *between[5:], *wanted[place:]])
    source = storage.open(write(tmp_path / "a.arrow", columns, compression=codec))
    chunk = source.take(np.arange(ROWS))
    assert np.array_equal(chunk.x, x.reshape(ROWS, -1))
    assert np.array_equal(chunk.t, t)


def test_one_of_them_is_read_by_name(tmp_path):
    x, t = rows()
    path = write(tmp_path / "a.arrow", {"image": lists(x), "label": pa.array(t), **further(ROWS)})
    assert np.array_equal(read_column(path, "document"), np.arange(ROWS) // 3)
    assert read_column(path, "large").tolist() == [str(k) for k in range(ROWS)]
    assert read_column(path, "yes").tolist() == [k % 2 == 0 for k in range(ROWS)]
    for name, error, said in (
        ("nowhere", UsageError, "no column 'nowhere'. Expected one of 'image', 'label', 'document'"),
        ("name", DataError, "nulls"),
        ("words", DataError, "of type list"),
    ):
        with pytest.raises(error, match=said):
            read_column(path, name)
    source = storage.open(path)
    assert np.array_equal(column_of(source, "document"), np.arange(ROWS) // 3)
    with pytest.raises(UsageError, match="only Arrow files"):
        column_of(storage.open((x, t)), "document")
    # Another file, alike but for a column, is put in the place of the one that was opened.
    other = {"image": lists(x), "label": pa.array(t), **further(ROWS), "document": pa.array(np.arange(ROWS))}
    write(tmp_path / "other.arrow", other).replace(path)
    with pytest.raises(DataError, match="changed since the data set was opened"):
        column_of(source, "document")
    (tmp_path / "b.arrow").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read"):
        read_column(tmp_path / "b.arrow", "document")


@pytest.mark.parametrize("kind", REFUSED)
def test_columns_outside_the_allow_list_are_refused_with_what_was_found(tmp_path, kind):
    columns, found = REFUSED[kind]
    with pytest.raises(DataError, match=found) as error:
        storage.open(write(tmp_path / "a.arrow", columns))
    assert "a.arrow" in str(error.value)
    assert "expected" in str(error.value)


def flipped(path: Path, into: Path, at: int, bit: int) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    into.write_bytes(raw)
    return into


def content_error(source: storage.Source) -> str:
    try:
        source.check_content()
    except DataError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours so small that most of it is headers."""
    x, t = rows(9)
    dest = tmp_path_factory.mktemp("small") / "small.arrow"
    return storage.create(dest, [(x, t)], rows=9, shape=(2, 3), dtype="uint8", classes=5)


def test_any_flipped_bit_is_refused_or_found_or_changes_nothing(small, tmp_path):
    """One bit of every byte: headers, data, hashes, padding. Never a crash, never other rows."""
    whole = storage.open(small)
    rng = np.random.default_rng(0)
    refused = found = harmless = 0
    for at in range(small.stat().st_size):
        damaged = flipped(small, tmp_path / "damaged.arrow", at, int(rng.integers(8)))
        try:
            source = storage.open(damaged)
        except DataError:
            refused += 1
            continue
        if message := content_error(source):
            assert "block 0 (rows 0 to 8)" in message
            found += 1
            continue
        chunk = source.take(np.arange(9))
        assert np.array_equal(chunk.x, whole.take(np.arange(9)).x)
        assert np.array_equal(chunk.t, whole.take(np.arange(9)).t)
        assert (source.fingerprint, source.classes) == (whole.fingerprint, whole.classes)
        source.close()
        harmless += 1
    assert found >= 9 * 7  # every byte of the data
    assert refused > 100
    assert harmless > 100


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutated_files_of_other_writers_are_refused_or_stay_in_bounds(tmp_path_factory, data):
    """Several bytes of a foreign file, compressed or not, replaced by anything."""
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    codec = data.draw(st.sampled_from([None, None, "lz4", "zstd"]))
    path = folder / f"{codec}.arrow"
    if not path.exists():
        x, t = rows()
        write(path, {"image": tensor(x), "label": pa.array(t)}, compression=codec)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, len(raw) - 1))
        size = data.draw(st.sampled_from([1, 1, 2, 4, 8]))
        value = data.draw(st.sampled_from([0, 1, 255]) | st.integers(0, 2 ** (8 * size) - 1))
        raw[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")[: len(raw) - at]
    damaged = folder / "damaged.arrow"
    damaged.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        try:
            source = storage.open(damaged)
            for chunk in source.chunks(Span(0, source.rows), 8):
                assert chunk.offsets.min() >= 0
                assert chunk.offsets.max() + chunk.features <= len(chunk.values)
                assert (chunk.t >= 0).all()
                assert len(chunk.x) == len(chunk.t)
        except DataError:
            pass


def hostile(path: Path, old: bytes, new: bytes, *, footer: bool = False) -> None:
    """Replace `old`, which occurs once in the headers of the batch, or in the footer."""
    raw = path.read_bytes()
    end = len(raw) - 10 - int.from_bytes(raw[-10:-6], "little")
    head, tail = (raw[:end], raw[end:]) if footer else (b"", raw)
    assert tail.count(old) == 1
    path.write_bytes(head + tail.replace(old, new))


def pack(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


HOSTILE = {
    # One batch of 37 rows: buffers (0, 222) of features and (224, 37) of labels in a body of 264 bytes.
    "features before the file": (pack(0, 0, 222), pack(0, -4096, 222)),
    "features after the body": (pack(0, 0, 222), pack(0, 1 << 40, 222)),
    "features longer than the body": (pack(0, 0, 222), pack(0, 0, 1 << 40)),
    "fewer features than rows": (pack(0, 0, 222), pack(0, 0, 221)),
    "labels after the body": (pack(224, 37), pack(248, 37)),
    "fewer labels than rows": (pack(224, 37), pack(224, 36)),
    "another number of features": (pack(222, 0), pack(223, 0)),
    "features that are null": (pack(222, 0), pack(222, 1)),
}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    x, t = rows()
    return write(tmp_path / "a.arrow", {"image": lists(x), "label": pa.array(t.astype("u1"))}, ROWS)


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("way", IO[1:])
def test_batches_that_point_outside_are_refused(plain, kind, way):
    assert storage.open(plain).rows == ROWS
    hostile(plain, *HOSTILE[kind])
    with pytest.raises(DataError, match="record batch 0: "):
        storage.open(plain, io=way)


@pytest.mark.parametrize(
    ("at", "header", "body"),
    [
        (0, 0, 1 << 40),
        (1 << 40, 0, 0),
        (-4096, 0, 0),
        (0, 1 << 20, 0),
        (0, -(1 << 20), 0),
        (0, 0, -(1 << 20)),
    ],
)
def test_a_footer_that_points_outside_is_refused(plain, at, header, body):
    raw = plain.read_bytes()
    end = len(raw) - 10 - int.from_bytes(raw[-10:-6], "little")
    block = root(raw[end:-10]).structs(3, "qi4xq")[0]
    moved = tuple(one + more for one, more in zip(block, (at, header, body), strict=True))
    hostile(plain, struct.pack("<qi4xq", *block), struct.pack("<qi4xq", *moved), footer=True)
    with pytest.raises(DataError, match="record batch 0 claims the bytes"):
        storage.open(plain)


def test_batches_that_lie_over_one_another_are_refused(tmp_path):
    """The same batch listed many times would be a bomb: a small file of endless rows."""
    x, t = rows()
    path = write(tmp_path / "a.arrow", {"image": lists(x), "label": pa.array(t)}, 20)
    raw = path.read_bytes()
    end = len(raw) - 10 - int.from_bytes(raw[-10:-6], "little")
    first, second = (struct.pack("<qi4xq", *block) for block in root(raw[end:-10]).structs(3, "qi4xq"))
    hostile(path, second, first, footer=True)
    with pytest.raises(DataError, match="record batch 1 claims the bytes"):
        storage.open(path)
