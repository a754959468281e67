"""Tables of every form give the same rows, losses and hashes as arrays, and say what is wrong with a file."""

from __future__ import annotations

import json
import os
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from data_files import FORMS, drawn, listed, quietly, rows_of, wide
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from optional import hugging_face_datasets

import streameval as se
from streameval import storage
from streameval.errors import DataError, LabelError, StorageError, StreamevalWarning, UsageError
from streameval.storage import formats


def test_every_kind_of_table_is_written_here(tmp_path):
    written = [form.written(tmp_path, *drawn(20, (4, 4))) for form in FORMS.values()]
    starts = [b"" if path.is_dir() else path.read_bytes()[: formats.SNIFFED] for path in written]
    found = [
        formats.format_of("folder" if path.is_dir() else "file", path, start)
        for path, start in zip(written, starts, strict=True)
    ]
    tables = {name: row for name, row in formats.FORMATS.items() if row.table is not None}
    assert [name for name, row in tables.items() if row not in found] == []
    assert [ending for ending in formats.ENDINGS if ending not in formats.FORMS] == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_has_the_rows_the_digest_and_the_converted_file_of_the_arrays(
    form, tmp_path, network_file
):
    x, t = drawn()
    t = np.sort(t)  # the order of a folder for each class
    path = form.written(tmp_path, x, t)
    source = quietly(path, **form.options)
    found, labels = rows_of(source)
    assert np.array_equal(found, x.reshape(len(x), -1))
    assert np.array_equal(labels, t)
    assert (source.dtype, source.scale, source.path) == (np.dtype(np.uint8), 1 / 255, str(path))
    picked = np.array([7, 299, 7, 0])
    assert np.array_equal(source.take(picked).x, x.reshape(len(x), -1)[picked])
    network = se.load_model(network_file)
    expected = se.evaluate(network, (x.reshape(-1, 784), t)).digest
    assert se.evaluate(network, source).digest == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        written = storage.open(storage.convert(path, tmp_path / "to.arrow", **form.options))
    assert written.fingerprint == source.fingerprint
    assert written.check_content() == 1
    assert se.evaluate(network, written).digest == expected
    source.check_unchanged()


def test_only_what_was_guessed_or_is_large_is_said(tmp_path):
    x, t = drawn()
    path = FORMS["parquet"].written(tmp_path, x, t)
    with pytest.warns(StreamevalWarning) as caught:
        storage.open(path)
    assert len(caught) == 1
    said = str(caught[0].message)
    assert "features 'pixel0' to 'pixel783' (784 columns), target 'label' were taken" in said
    assert f"`streameval convert {path} NAME.arrow`" in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storage.open(path, features="pixel*", target="label")


def as_text(table, path):
    """The table with its columns sorted as text, the last ones first: pixel2, pixel11, pixel10, pixel1."""
    table = table.select(sorted(table.column_names, reverse=True))
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        pq.write_table(table, path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "memory"])
@pytest.mark.parametrize("features", [None, "pixel*", ["pixel?", "pixel1?"]], ids=str)
def test_numbered_columns_are_read_in_the_order_of_their_numbers(tmp_path, kind, features):
    x, t = drawn(40, (12,))
    path = tmp_path / f"a.{kind}"
    as_text(wide(x, t), path)
    data = pq.read_table(path) if kind == "memory" else path
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = storage.open(data, features=features, target="label")
        written = storage.convert(data, tmp_path / "to.arrow", features=features, target="label")
    assert np.array_equal(rows_of(source)[0], x)
    assert features or "features 'pixel0' to 'pixel11' (12 columns)" in str(caught[0].message)
    assert storage.open(written).fingerprint == storage.open((x, t)).fingerprint


def test_files_with_their_numbered_columns_in_other_orders_are_one_data_set(tmp_path):
    x, t = drawn(40, (12,))
    pq.write_table(wide(x[:20], t[:20]), tmp_path / "part-0.parquet")
    as_text(wide(x[20:], t[20:]), tmp_path / "part-1.parquet")
    for given_ in (tmp_path, [tmp_path / "part-1.parquet", tmp_path / "part-0.parquet"]):
        found, labels = rows_of(quietly(given_))
        order = slice(None) if given_ == tmp_path else np.r_[20:40, 0:20]
        assert np.array_equal(found, x[order])
        assert np.array_equal(labels, t[order])


# Columns as they stand in a table, what is asked for, and the order in which they are read.
ORDERS = {
    "two numbers": (["10x1", "1x10", "2x1", "1x2"], None, ["1x2", "1x10", "2x1", "10x1"]),
    "leading zeros": (["px_010", "px_009"], None, ["px_009", "px_010"]),
    "any name": (["f10", "f9", "f0"], None, ["f0", "f9", "f10"]),
    "no number": (["width", "height"], None, ["width", "height"]),
    "two names": (["pixel10", "px9"], None, ["pixel10", "px9"]),
    "one number twice": (["pixel10", "pixel9", "pixel09"], None, ["pixel10", "pixel9", "pixel09"]),
    "no places": ([f"f{'2' * 5000}", "f1"], None, [f"f{'2' * 5000}", "f1"]),
    "one by one": (["f0", "f9", "f10"], ["f10", "f0", "f9"], ["f10", "f0", "f9"]),
    "with commas": (["f0", "f9", "f10"], "f10,f9", ["f10", "f9"]),
    "name and pattern": (["f0", "f10", "f9", "g"], "g,f9,f*", ["g", "f9", "f0", "f10"]),
}


@pytest.mark.parametrize(("columns", "asked", "expected"), ORDERS.values(), ids=ORDERS)
def test_only_names_that_differ_in_their_numbers_alone_are_put_in_order(columns, asked, expected):
    table = pa.table({"label": [0], **{name: [k] for k, name in enumerate(columns)}})
    found, _ = rows_of(quietly(table, features=asked))
    assert found[0].tolist() == [columns.index(name) for name in expected]


def test_few_levels_are_told_since_they_are_rarely_pixels(tmp_path):
    pq.write_table(listed(np.full((3, 4), 16), np.arange(3)), tmp_path / "a.parquet")
    with pytest.warns(StreamevalWarning, match=r"integers up to 16, .* scaled by 1/255; .*--scale 1"):
        storage.open(tmp_path / "a.parquet", image="image", target="label")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = storage.open(tmp_path / "a.parquet", image="image", target="label", scale=1 / 16)
    assert source.scale == 1 / 16


NUMBERS = [np.int8, np.uint16, np.int32, np.uint64, np.int64, np.float16, np.float32, np.float64]


@settings(max_examples=60)
@given(some.data(), some.sampled_from(NUMBERS), some.sampled_from(["parquet", "jsonl", "npz"]))
def test_any_type_of_numbers_is_bytes_or_float32(tmp_path_factory, data, dtype, kind):
    """Twin: integers within 0..255 are bytes; all else is float32, of integers only if a scale was given."""
    shape = data.draw(some.tuples(some.integers(1, 20), some.integers(1, 5)))
    finite = {} if np.dtype(dtype).kind in "iu" else {"allow_nan": False, "allow_infinity": False}
    small = (
        some.integers(0, min(255, np.iinfo(dtype).max))
        if not finite
        else arrays.from_dtype(np.dtype(dtype), **finite)
    )
    element = data.draw(some.sampled_from([small, arrays.from_dtype(np.dtype(dtype), **finite)]))
    x = data.draw(arrays.arrays(dtype, shape, elements=element))
    t, scale = np.arange(len(x)) % 3, data.draw(some.sampled_from([None, 1.0]))
    path = tmp_path_factory.mktemp("a") / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(
            pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1]), "t": t}),
            path,
        )
    elif kind == "npz":
        np.savez(path, x=x, t=t)
    else:
        path.write_text(
            "".join(json.dumps({"x": a, "t": b}) + "\n" for a, b in zip(x.tolist(), t.tolist(), strict=True))
        )
    whole = np.dtype(dtype).kind in "iu"
    with np.errstate(over="ignore"):
        expected = x.astype(np.uint8 if whole and x.min() >= 0 and x.max() <= 255 else np.float32)
    refused = (whole and expected.dtype == np.float32 and scale is None) or not np.isfinite(expected).all()
    if refused:
        with pytest.raises(DataError, match=r"column 'x'(, number \d)?, row \d+: "):
            quietly(path, scale=scale)
        return
    found, labels = rows_of(quietly(path, scale=scale))
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert np.array_equal(labels, t)


@pytest.mark.parametrize("x", [[2**63, 0], [2**64 - 1, 3], [2**63, -1]])
def test_integers_of_json_that_need_all_64_bits_are_integers_beside_small_ones(tmp_path, x):
    """NumPy would make fractions of them, which are taken as they are; no 64 bits hold the last two."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"x": x, "t": 0}) + "\n")
    with pytest.raises(DataError, match=r"column 'x'"):
        quietly(path)
    if min(x) >= 0:
        assert np.array_equal(rows_of(quietly(path, scale=1.0))[0], np.array([x], np.uint64).astype("f4"))
    else:
        with pytest.raises(DataError, match="at most 64 bits"):
            quietly(path, scale=1.0)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_fraction_in_the_last_row_makes_numbers_of_the_bytes_before(tmp_path, kind):
    x = np.arange(10_000.0) % 200
    x[-1] = 0.5
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        path.write_text("a,b,label\n" + "".join(f"{v:g},7,1\n" for v in x))
    else:
        path.write_text("".join(f'{{"a": {v:g}, "b": 7, "label": 1}}\n' for v in x))
    source = quietly(path)
    assert (source.dtype, source.scale) == (np.dtype(np.float32), 1.0)
    assert np.array_equal(rows_of(source)[0], np.stack([x, np.full(len(x), 7)], axis=1).astype(np.float32))


def test_weights_of_classes_are_a_list_or_several_columns(tmp_path):
    x, t = drawn(20, (4,))
    soft = np.eye(10, dtype=np.float32)[t]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(soft.reshape(-1)), 10)
    pq.write_table(pa.table({"image": listed(x, t)["image"], "label": lists}), tmp_path / "a.parquet")
    columns = {f"p{k}": soft[:, k] for k in range(10)}
    pq.write_table(pa.table({"image": listed(x, t)["image"], **columns}), tmp_path / "b.parquet")
    expected = storage.open((x, soft)).fingerprint
    assert quietly(tmp_path / "a.parquet").fingerprint == expected
    assert quietly(tmp_path / "b.parquet", target="p*", image="image").fingerprint == expected


def test_memory_does_not_grow_with_the_rows(tmp_path):
    peaks = []
    for rows in (20_000, 80_000):
        pq.write_table(wide(*drawn(rows, (4, 25))), tmp_path / f"{rows}.parquet", row_group_size=5_000)
        tracemalloc.start()
        quietly(tmp_path / f"{rows}.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def test_no_temporary_file_is_left_and_a_full_disk_is_told(tmp_path, monkeypatch):
    x, t = drawn()
    path = FORMS["parquet"].written(tmp_path, x, t)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    source = quietly(path)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert np.array_equal(source.take(np.array([5])).x[0], x[5].reshape(-1))
    free = type("Usage", (), {"free": 1_000})()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: free)
    with pytest.raises(StorageError, match=r"of 237600 bytes, but 1000 are free .*TMPDIR"):
        quietly(path)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "images by class"])
def test_a_table_that_changes_is_noticed(name, tmp_path):
    """Not so of folders of single images, which are as many as rows."""
    form = FORMS[name]
    path = form.written(tmp_path, *drawn())
    source = quietly(path, **form.options)
    inside = {*map(str, path.rglob("*.*"))} - {*map(str, path.rglob("*.json"))}
    assert {*source.files} == (inside if path.is_dir() else {str(path)})
    changed = Path(source.files[-1])
    changed.write_bytes(changed.read_bytes() + b" ")
    with pytest.raises(DataError, match="the file changed"):
        source.check_unchanged()


# What lies in a CSV file, what `open` is told, and what is said of it.
WRONG = {
    "nothing": ("", {}, DataError, "an empty file"),
    "no rows": ("a,label\n", {}, DataError, "no rows"),
    "ragged": ("a,label\n1,2\n3\n", {}, DataError, r"row 1 \(line 3\): 1 fields, expected 2"),
    "missing": ("a,label\n1,2\n,2\n", {}, DataError, r"column 'a', row 1: no value \(null\)"),
    "NaN": ("a,label\n1.5,2\nnan,2\n", {}, DataError, r"column 'a', row 1: no value \(null\)"),
    "infinite": ("a,label\n1.5,2\ninf,2\n", {}, DataError, r"column 'a', row 1: inf, expected finite"),
    "no label": ("a,label\n1,2\n3,\n", {}, DataError, r"column 'label', row 1: no value"),
    "text": ("a,label\nfox,2\n", {}, UsageError, r"which columns are features\?.* a \(string\)"),
    "named text": ("a,label\nfox,2\n", {"features": "a"}, UsageError, "column 'a' is of type string"),
    "class names": ("a,label\n1,cat\n", {}, UsageError, r"'label' is of type string, .*cat\.codes"),
    "float label": ("a,label\n1,2\n3,1.5\n", {}, LabelError, r"column 'label', row 1: label 1\.5"),
    "negative": (
        "a,label\n1,2\n3,-1\n",
        {},
        LabelError,
        r"row 1: label -1, .* a split whose labels are known",
    ),
    "twice": ("a,a,label\n1,2,3\n", {}, DataError, r"column 'a' is there twice \(as number 1 and 2\)"),
    "no names": ("5,0,0\n7,0,1\n", {}, DataError, "its first line holds numbers"),
    "beyond": ("a,label\n1,2\n256,2\n", {}, DataError, r"column 'a', row 1: 256, expected pixels.*--scale 1"),
    "no target": ("a,b\n1,2\n", {}, UsageError, r"which column is the target.*a \(int64\), b \(int64\)"),
    "two targets": ("y,label\n1,2\n", {}, UsageError, "'y' and 'label': which one is it"),
    "an id": ("id,a,label\n1,2,3\n", {}, UsageError, "'id' looks like none"),
    "no such column": (
        "a,label\n1,2\n",
        {"target": "t"},
        UsageError,
        r"no column 't' for target= \(--target\)",
    ),
    "both": ("a,label\n1,2\n", {"features": "a", "target": "a"}, UsageError, "as feature and as target"),
    "two ways": ("a,label\n1,2\n", {"features": "a", "image": "a"}, UsageError, "expected one of them"),
}


@pytest.mark.parametrize(("content", "options", "error", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_csv_file_is_told_by_column_and_row(tmp_path, content, options, error, said):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(error, match=said) as caught:
        quietly(tmp_path / "a.csv", **options)
    assert options.keys() == {"features", "image"} or "a.csv" in str(caught.value)


def test_text_in_a_later_row_is_told_by_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("streameval.tables.csv_reader.BLOCK", 1 << 14)
    (tmp_path / "a.csv").write_text("a,b,label\n" + "1.5,2,3\n" * 50_000 + "1.5,fox,3\n")
    with pytest.raises(DataError, match=r"column 'b', row 50000: 'fox', expected a number"):
        quietly(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_than_utf8_is_told(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("größe,label\n1,2\n".encode(encoding))
    with pytest.raises(DataError, match=r"not UTF-8 .*iconv"):
        quietly(tmp_path / "a.csv")


# Lines of a JSON file, and what is said of them.
WRONG_LINES = {
    "ragged": (
        '{"x": [1, 2], "t": 0}\n{"x": [1], "t": 0}',
        r"column 'x', row 1: a list of 1 numbers, expected a list of 2",
    ),
    "null": ('{"x": [1, 2], "t": 0}\n{"x": [1, null], "t": 0}', "column 'x', row 1: no value"),
    "absent": ('{"x": [1, 2], "t": 0}\n{"t": 0}', "column 'x', row 1: no value"),
    "text": ('{"x": [1, 2], "t": 0}\n{"x": [1, "2"], "t": 0}', "column 'x', row 1: '2', expected a number"),
    "huge": ('{"x": [1, 2], "t": 0}\n{"x": [1, 1' + "0" * 30 + '], "t": 0}', "row 1: 1000.*64 bits"),
    "a word": ('{"x": [1, 2], "t": 0}\nhello', "line 2: not usable JSON"),
    "empty": ("", "no rows"),
    "twice": (
        '{"x": [1, 2], "t": 0}\n{"x": [1, 2], "t": 0, "t": 1}',
        "line 2: .*the name 't' is there twice",
    ),
}


@pytest.mark.parametrize(("content", "said"), WRONG_LINES.values(), ids=WRONG_LINES)
def test_what_is_wrong_with_json_lines_is_told_by_name_and_row(tmp_path, content, said):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=said):
        quietly(tmp_path / "a.jsonl")


def test_weights_given_as_data_are_told(tmp_path):
    np.savez(tmp_path / "w.npz", W1=np.zeros((3, 2), np.float32), b1=np.zeros(2, np.float32))
    with pytest.raises(UsageError, match=r"W1 \(float32 \(3, 2\)\).*The order is MODEL DATA"):
        quietly(tmp_path / "w.npz")


@pytest.mark.parametrize("dtype", ["U", "S", object])
def test_names_of_classes_in_an_archive_are_told_with_a_cure_that_works(tmp_path, dtype):
    x, names = np.zeros((3, 2), np.uint8), np.array(["dog", "cat", "dog"]).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, t=names)
    with pytest.raises(UsageError, match=r"column 't'.*np\.unique\(array, return_inverse=True\)\[1\]"):
        quietly(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=x, t=np.unique(names, return_inverse=True)[1])
    assert rows_of(quietly(tmp_path / "b.npz"))[1].tolist() == [1, 0, 1]


def test_arrays_of_unlike_lengths_or_cut_short_are_told(tmp_path):
    x, t = drawn(50, (4,))
    np.savez(tmp_path / "a.npz", x=x, t=t[:-1])
    with pytest.raises(DataError, match=r"arrays of 50 rows \(x\), 49 rows \(t\)"):
        quietly(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=x, t=t)
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"b\.npz.*damaged"):
        quietly(tmp_path / "b.npz")


def test_a_damaged_parquet_file_is_told(tmp_path):
    path = FORMS["parquet"].written(tmp_path, *drawn())
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.parquet: it cannot be read"):
        quietly(path)


def test_files_of_two_kinds_or_of_other_columns_are_not_mixed(tmp_path):
    folder = FORMS["parquet shards"].written(tmp_path, *drawn())
    pq.write_table(pa.table({"z": [1]}), folder / "part-99.parquet")
    with pytest.raises(DataError, match=r"part-99\.parquet: columns z \(int64\), expected image"):
        quietly(folder)
    (folder / "part-99.parquet").unlink()
    storage.convert((*drawn(),), folder / "more.arrow")
    with pytest.raises(DataError, match=r"more\.arrow: another form than the tables beside it"):
        quietly(folder)


GROUPED = ["csv", "jsonl", "parquet", "feather"]


@pytest.mark.parametrize("kind", GROUPED)
def test_a_further_column_groups_the_rows(tmp_path, network_file, kind):
    x, t = drawn(200)
    groups = [f"g {k // 20}" for k in range(200)]
    table = wide(x, t).append_column("document", pa.array(groups))
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        pacsv.write_csv(table, path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif kind == "parquet":
        pq.write_table(table, path, row_group_size=60)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=60)
    source = quietly(path, features="pixel*", target="label")
    network = se.load_model(network_file)
    found, expected = (
        se.evaluate(network, source, groups="document"),
        se.evaluate(network, (x, t), groups=groups),
    )
    assert found.stderr_clustered == expected.stderr_clustered
    assert found.to_dict()["groups"] == 10
    normal = quietly(path, features="pixel*", target="label", mean=0.5)
    assert se.evaluate(network, normal, groups="document").to_dict()["groups"] == 10
    with pytest.raises(UsageError, match=r"no column 'page'\. Its columns: label"):
        se.evaluate(network, source, groups="page")


def test_columns_named_of_what_has_none_are_refused(tmp_path):
    x, t = drawn()
    with pytest.raises(UsageError, match=r"target= \(--target\) was given, but this is no table"):
        storage.open((x, t), target="label")


def test_workers_are_told_to_have_it_converted(tmp_path, network_file):
    from streameval.engines import engine

    path = FORMS["parquet"].written(tmp_path, *drawn())
    options = se.PassOptions(engine=engine("dask"))
    with pytest.raises(UsageError, match=r"streameval convert .*train\.parquet NAME\.arrow"):
        se.evaluate(se.load_model(network_file), quietly(path), options=options)


def test_a_pattern_leaves_the_target_out(tmp_path):
    x, t = drawn(20, (4,))
    pq.write_table(wide(x, t), tmp_path / "a.parquet")
    assert np.array_equal(rows_of(quietly(tmp_path / "a.parquet", features="*", target="label"))[0], x)


@pytest.mark.parametrize("kind", ["parquet", "stream", "table", "datasets"])
def test_a_row_far_behind_is_told_by_its_number(tmp_path, kind):
    values = np.zeros(9_000)
    values[8_765] = np.nan
    table = pa.table({"a": values, "b": values * 0, "label": np.zeros(9_000, int)})
    data = tmp_path / "a"
    if kind == "parquet":
        pq.write_table(table, data, row_group_size=700)
    elif kind == "stream":
        with pa.ipc.new_stream(data, table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    elif kind == "datasets":
        data = hugging_face_datasets().Dataset(table)
    else:
        data = table
    with pytest.raises(DataError, match=r"column 'a', row 8765: nan"):
        quietly(data, features="a", target="label")


def test_a_table_that_changes_while_it_is_copied_is_told(tmp_path, monkeypatch):
    from streameval.storage import tabular

    path, decoded = FORMS["parquet"].written(tmp_path, *drawn()), tabular.decoded

    def touched(*given):
        for rows in decoded(*given):
            os.utime(path, (1, 1))
            yield rows

    monkeypatch.setattr(tabular, "decoded", touched)
    with pytest.raises(DataError, match="the file changed while it was read"):
        quietly(path)


def test_an_empty_first_record_of_json_lines_has_no_target(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{}\n{"image": [1, 2], "label": 3}\n')
    with pytest.raises((DataError, LabelError), match="row 0"):
        quietly(path)


def test_a_damaged_archive_is_told_in_a_few_words(tmp_path):
    """zipfile's own message is as long as the names in the file."""
    path = tmp_path / "a.npz"
    name = "x_train.npy" + "a" * 4000
    np.savez(
        path, **{name.removesuffix(".npy"): np.zeros((2, 3)), "x_train": np.zeros((2, 3)), "y_train": [0, 1]}
    )
    content = bytearray(path.read_bytes())
    at = content.index(b"x_train")
    content[at] = ord("z")
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        rows_of(quietly(path))
    assert len(str(error.value)) < 1000
