"""Data files of another form than expected, and of no rows, one row, or a ragged last chunk."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pyarrow as pa
import pytest
from small_files import SHAPE, drawn, idx_pair

from streameval import storage
from streameval.errors import DataError
from streameval.storage import Span, formats

# Streams.


def test_an_arrow_stream_is_copied_and_a_chopped_one_refused(tmp_path):
    x, t = drawn(100)
    table = pa.table({"image": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 20), "label": t})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    source = storage.open(path, features="image", target="label")
    assert source.fingerprint == storage.open((x.reshape(-1, 20), t)).fingerprint
    for size in (1_000, 20):
        os.truncate(path, size)
        with pytest.raises(DataError, match=r"cannot be read: .* Restore it from a good copy"):
            storage.open(path, features="image", target="label")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"begins with b'', .* Parquet, .* It is empty"),
        (b"hello world, this is text", r"begins with b'hello wo', .*name end with \.csv or \.tsv"),
        ("gr\u00f6\u00dfe\u00e9\u00e8\t1".encode(), r"name end with \.csv or \.tsv"),  # 8 bytes cut a letter
        ("\ufefflabel,a\n1,2".encode(), r"name end with \.csv or \.tsv"),
        (b' {"x": [1, 2], "t": 1}', r"one object a line, .* end with \.jsonl"),
        (b"[[1, 2], [3, 4]]", r"one object a line, .* end with \.jsonl"),
        (b"\x89HDF\r\n\x1a\n", r"expected an Arrow file, .* Parquet, .*streameval\.open\(\(x, t\)\)"),
        (b"\x80\x04\x95pickle", r"Write it as Arrow, Parquet or CSV"),
        (b"PAR1....PAR1", "Parquet"),
        (b"PK\x03\x04rest", "npz"),
        (b"\x93NUMPY\x01\x00", "one .npy file"),
        (b"\x00\x00\x08\x03rest", "IDX images alone"),
        (b"\x1f\x8b\x08\x00rest", "one gzip file"),
        (b"ARROW1", "cut short"),
        (b"ARROW1\0\0" + b"ARROW1" * 3, "footer claims"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, content, said):
    path = tmp_path / "a.arrow"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        storage.open(path)


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        ("label,a,b\n1,0,255\n0,7,3\n", ".csv"),
        ('{"label": 1, "x": [0, 255]}\n{"label": 0, "x": [7, 3]}\n', ".jsonl"),
    ],
)
def test_the_ending_that_is_named_opens_the_same_text(tmp_path, content, ending):
    path = tmp_path / "a.data"
    path.write_text(content)
    with pytest.raises(DataError) as told:
        storage.open(path)
    assert ending in str(told.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert storage.open(path.rename(path.with_suffix(ending)), scale=1.0).rows == 2


# Npy of another form.


@pytest.mark.parametrize(
    ("x", "t", "said"),
    [
        (np.zeros((5, 2)), np.zeros(5, int), "float64"),
        (np.zeros((5, 2), ">f4"), np.zeros(5, int), "little-endian"),
        (np.asfortranarray(np.zeros((5, 2), "u1")), np.zeros(5, int), "row-major"),
        (np.zeros(5, "u1"), np.zeros(5, int), "two or more dimensions"),
        (np.zeros((5, 2), "u1"), np.zeros((5, 0)), "expected integers"),
        (np.zeros((5, 2), "u1"), np.zeros(4, int), "5 rows were found, but 4"),
        (np.zeros((5, 2), "u1"), np.zeros((5, 1, 1)), "expected integers"),
        (np.zeros((5, 2), "c8"), np.zeros(5, int), "little-endian numbers"),
    ],
)
def test_npy_files_of_another_form_are_refused(tmp_path, x, t, said):
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", t)
    with pytest.raises(DataError, match=said):
        storage.open(tmp_path)


def test_an_npy_file_of_objects_is_refused_unread(tmp_path):
    np.save(tmp_path / "images.npy", np.array([[{}]], object))
    np.save(tmp_path / "labels.npy", np.zeros(1, int))
    with pytest.raises(DataError, match="fortran_order False; little-endian numbers"):
        storage.open(tmp_path)


# None, one, ragged.


@pytest.mark.parametrize("rows", [0, 1, 16_384, 16_385])
@pytest.mark.parametrize("form", ["arrays", "a.arrow", "a", "idx", "soft.arrow", "soft"])
@pytest.mark.parametrize("way", ["mmap", "pread"])
def test_none_one_and_ragged_rows_have_defined_answers(tmp_path, rows, form, way):
    x, t = drawn(rows)
    soft = form.startswith("soft")
    targets = np.eye(10, dtype=np.float32)[t] if soft else t
    if form == "arrays":
        data: object = (x, t)
    elif form == "idx":
        data = idx_pair(tmp_path, rows)
    else:
        shape, batches = SHAPE, [(x, targets)] if rows else []
        data = storage.create(
            tmp_path / form, batches, rows=rows, shape=shape, dtype="uint8", classes=10, soft=soft
        )
    source = storage.open(data, io=way)
    chunks = list(source.chunks(Span(0, rows), 16_384))
    assert [len(chunk) for chunk in chunks] == {0: [], 1: [1], 16_384: [16_384], 16_385: [16_384, 1]}[rows]
    assert source.rows == rows
    assert source.check_content() in (0, -(-rows // 16_384))
    assert source.fingerprint == storage.open((x, targets)).fingerprint
    none = source.take(np.array([], np.int64))
    assert none.x.shape == (0, 20)
    assert none.t.shape == ((0, 10) if soft else (0,))
    if rows:
        assert np.array_equal(source.take(np.array([rows - 1])).t, targets[-1:])
    source.check_unchanged()


# What lies in a file of each row of FOREIGN, and its name.
STRANGERS = {
    "weights": ("model.safetensors", b"\x10\0\0\0\0\0\0\0{}"),
    "zip": ("rows.zip", b"PK\x03\x04"),
    "one npy": ("x.npy", b"\x93NUMPY\x01\x00"),
    "idx labels": ("labels", b"\0\0\x08\x01"),
    "idx images": ("images", b"\0\0\x08\x03"),
    "gzip": ("images.gz", b"\x1f\x8b\x08"),
    "arrow pair": ("rows.arrow", b"ARROW1\0\0"),
}


@pytest.mark.parametrize("name", formats.FOREIGN)
def test_each_foreign_file_is_refused_in_the_words_of_its_row(tmp_path, name):
    """And is taken for data or for a model, whichever it may be."""
    row, path = formats.FOREIGN[name], tmp_path / STRANGERS[name][0]
    path.write_bytes(STRANGERS[name][1] + bytes(64))
    with pytest.raises(row.error) as caught:
        storage.open(path if row.named_by == "file" else (path, path))
    assert str(caught.value) == f"{path}: {row.text}"
    assert formats.is_data(path, STRANGERS[name][1]) is not row.weights
