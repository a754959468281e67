"""Data files that are cut short, replaced or damaged, before they are opened or while they are read."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from small_files import drawn, idx_pair, names, stored

from streameval import storage
from streameval.errors import DataError
from streameval.storage import Span

# Truncated before opening.


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999999])
def test_a_truncated_arrow_file_says_found_and_expected_sizes(tmp_path, share):
    path = stored(tmp_path / "a.arrow")
    whole = path.stat().st_size
    os.truncate(path, int(whole * share))
    with pytest.raises(DataError) as error:
        storage.open(path)
    if share > 0.005:
        message = str(error.value)
        assert f"{int(whole * share)} bytes were found" in message
        if share < 0.9:
            expected = int(message.split("at least ")[1].split()[0])
            assert 40_000 * 21 < expected <= whole


def test_a_truncated_foreign_arrow_file_says_the_size_of_the_batch_that_is_cut(tmp_path):
    x, t = drawn(500)
    images = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 20)
    table = pa.table({"image": images, "label": pa.array(t)})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    os.truncate(path, 7_000)
    with pytest.raises(
        DataError, match=r"7000 bytes were found, at least \d+ were expected \(the record batch at"
    ):
        storage.open(path)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_a_truncated_npy_file_says_found_and_expected_sizes(tmp_path, name):
    path = stored(tmp_path / "a") / name
    whole = path.stat().st_size
    os.truncate(path, whole - 1)
    with pytest.raises(DataError, match=rf"{name}: {whole - 1} bytes were found, {whole} expected"):
        storage.open(tmp_path / "a")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", [-1, 1])
def test_an_idx_file_of_another_size_says_found_and_expected_sizes(tmp_path, which, change):
    pair = idx_pair(tmp_path, 300)
    whole = pair[which].stat().st_size
    os.truncate(pair[which], whole + change)
    for call in (lambda: storage.open(pair), lambda: storage.convert(*pair, tmp_path / "out.arrow")):
        with pytest.raises(DataError, match=rf"{whole + change} bytes were found, {whole} expected"):
            call()
    assert names(tmp_path) == ["images", "labels"]


# Changed while running.


@pytest.mark.parametrize("name", ["a.arrow", "a"])
@pytest.mark.parametrize("way", ["pread", "mmap"])
def test_a_file_truncated_during_a_pass_ends_it(tmp_path, name, way):
    path = stored(tmp_path / name)
    source = storage.open(path, io=way)
    chunks = source.chunks(Span(0, source.rows), 1_000)
    next(chunks)
    data = path / "images.npy" if name == "a" else path
    whole = data.stat().st_size
    os.truncate(data, whole // 2)
    with pytest.raises(DataError, match=rf"{whole // 2} bytes long now, expected {whole}"):
        list(chunks)
    with pytest.raises(DataError, match=rf"{whole // 2} bytes long now, expected {whole}"):
        source.take(np.array([0]))
    with pytest.raises(DataError, match="changed"):
        source.check_unchanged()


def test_a_positioned_read_past_the_end_names_the_offset(tmp_path, monkeypatch):
    """Cut between the check of the size and the read: the read itself comes short."""
    path = stored(tmp_path / "a")
    source = storage.open(path, io="pread")
    os.truncate(path / "images.npy", 123_456)
    monkeypatch.setattr("streameval.storage.mapping.File.check_size", lambda self: None)
    with pytest.raises(DataError, match=r"images\.npy: the file ends at offset 123456, but \d+ more bytes"):
        list(source.chunks(Span(0, source.rows), 1_000))
    with pytest.raises(DataError, match=r"images\.npy: the file ends at offset"):
        source.take(np.array([0, 39_999]))


@pytest.mark.parametrize("change", ["overwritten", "replaced", "removed", "longer", "touched"])
@pytest.mark.parametrize("name", ["a.arrow", "a"])
def test_a_file_that_changed_during_a_pass_is_noticed_at_the_end(tmp_path, change, name):
    path = stored(tmp_path / name, 100)
    source = storage.open(path)
    source.check_unchanged()
    list(source.chunks(Span(0, 100), 10))
    data = path / "labels.npy" if name == "a" else path
    raw = data.read_bytes()
    if change == "overwritten":
        with data.open("r+b") as file:
            file.seek(len(raw) // 2)
            file.write(b"x")
    elif change == "replaced":
        (tmp_path / "other").write_bytes(raw)
        (tmp_path / "other").replace(data)
    elif change == "removed":
        data.unlink()
    elif change == "longer":
        with data.open("ab") as file:
            file.write(b"x")
    else:
        os.utime(data, ns=(1, 1))
    with pytest.raises(DataError, match=r"the file changed while it was read"):
        source.check_unchanged()


# A flipped bit.


@pytest.mark.parametrize("form", ["arrow", "images.npy", "labels.npy"])
@pytest.mark.parametrize("row", [0, 16_383, 16_384, 39_999])
def test_a_flipped_bit_is_found_and_its_block_named(tmp_path, form, row):
    path = stored(tmp_path / ("a.arrow" if form == "arrow" else "a"))
    data = path if form == "arrow" else path / form
    source = storage.open(path)
    assert source.check_content() == 3
    fingerprint = source.fingerprint
    if form == "arrow":
        at = int(source.take(np.array([row])).offsets[0])
    else:
        width = 1 if form == "labels.npy" else 20
        at = data.stat().st_size - (40_000 - row) * width
    with data.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    again = storage.open(path)
    block = row // 16_384
    last = min((block + 1) * 16_384, 40_000) - 1
    with pytest.raises(DataError, match=rf"block {block} \(rows {block * 16_384} to {last}\)"):
        again.check_content()
    assert again.fingerprint == fingerprint  # recorded: it names what should be there


def test_a_changed_manifest_is_refused(tmp_path):
    path = stored(tmp_path / "a") / "manifest.json"
    text = path.read_text()
    for old, new in (
        ('"rows": 40000', '"rows": 39999'),
        ("0.0039", "0.0038"),
        ("[4, 5]", "[5, 4]"),
        ("{", "["),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(DataError, match="manifest"):
            storage.open(tmp_path / "a")
