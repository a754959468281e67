"""`convert` takes all that `open` takes, and what it writes has the same rows, hashes and digest."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import in_process
from data_files import FORMS, drawn, listed, quietly, rows_of

from streameval import storage
from streameval.errors import DataError, LabelError, UsageError

X, T = drawn(100, (4, 5))
SOFT = np.eye(10, dtype=np.float32)[T]


def npy_pair(folder):
    np.save(folder / "x.npy", X)
    np.save(folder / "t.npy", T)
    return folder / "x.npy", folder / "t.npy"


DATA = {
    "arrays": lambda folder: (X, T),
    "floats": lambda folder: ((X / 7).astype(np.float32), T),
    "soft": lambda folder: (X, SOFT),
    "npy": npy_pair,
    "table": lambda folder: listed(X, T),
    "reader": lambda folder: listed(X, T).to_reader(),
    "arrow": lambda folder: storage.create(
        folder / "a.arrow", [(X, T)], rows=100, shape=(4, 5), dtype="uint8"
    ),
    "open": lambda folder: storage.open((X, T), scale=0.5),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("dest", ["to.arrow", "to"])
def test_what_is_written_is_what_was_read(name, dest, tmp_path):
    expected = quietly(DATA[name](tmp_path))
    with pytest.warns() if name in ("table", "reader") else _nothing():
        written = storage.open(storage.convert(DATA[name](tmp_path), tmp_path / dest))
    assert written.fingerprint == expected.fingerprint
    assert (written.shape, written.scale, written.soft) == (expected.shape, expected.scale, expected.soft)
    assert np.array_equal(rows_of(written)[1], rows_of(expected)[1])


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_where_it_came_from_is_recorded(tmp_path):
    path = FORMS["parquet of lists"].written(tmp_path, X, T)
    written = storage.open(
        storage.convert(path, tmp_path / "to.arrow", image="img", target="fine", classes=10)
    )
    assert written.sources == {"lists.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert written.classes == 10


def test_labels_are_shifted_and_checked(tmp_path):
    pq.write_table(listed(X, T + 1), tmp_path / "a.parquet")
    options = {"image": "image", "target": "label"}
    written = storage.open(
        storage.convert(tmp_path / "a.parquet", tmp_path / "b.arrow", first_label=1, classes=10, **options)
    )
    assert np.array_equal(rows_of(written)[1], T)
    with pytest.raises(LabelError, match=r"^[^ ]*a\.parquet, row \d+: label 10 .*--first-label 1"):
        storage.convert(tmp_path / "a.parquet", tmp_path / "c.arrow", classes=10, **options)
    with pytest.raises(UsageError, match=r"first_label 1, but its targets are weights"):
        storage.convert((X, SOFT), tmp_path / "c.arrow", first_label=1)
    with pytest.raises(DataError, match=r"rows 0 to 99: weights that float32 does not hold"):
        storage.convert((X, np.full((100, 3), 1 / 3)), tmp_path / "c.arrow")
    assert not (tmp_path / "c.arrow").exists()


def test_the_input_is_never_written_over(tmp_path):
    path = FORMS["parquet"].written(tmp_path, X, T)
    for form, told in ((None, r"no \.parquet file"), ("arrow", "DEST"), ("npy", "DEST")):
        with pytest.raises(UsageError, match=told):
            storage.convert(path, path, format=form)
    assert len(pq.read_table(path)) == 100


def test_the_command_takes_two_paths_a_pair_or_several_tables(tmp_path):
    images, labels = npy_pair(tmp_path)
    first, second = tmp_path / "1.parquet", tmp_path / "2.parquet"
    pq.write_table(listed(X[:60], T[:60]), first)
    pq.write_table(listed(X[60:], T[60:]), second)
    for paths in ((images, labels), (first, second), (tmp_path / "*.parquet",)):
        done = in_process("convert", *paths, tmp_path / "to.arrow")
        assert done.returncode == 0, done.stderr
        assert storage.open(tmp_path / "to.arrow").fingerprint == storage.open((X, T)).fingerprint
    done = in_process("convert", images)
    assert (done.returncode, "streameval convert DATA DEST" in done.stderr) == (2, True)
    done = in_process("convert", first, tmp_path / "to.arrow", "--mean", "0.5", "--std", "2")
    assert storage.open(tmp_path / "to.arrow").dtype == np.float32
