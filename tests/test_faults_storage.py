"""Faults of data files, made for real: truncated, replaced, damaged, hostile, full disks, killed writers."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from streameval import storage
from streameval.errors import DataError, LabelError, LockedError, StorageError, UsageError
from streameval.storage import Span

SHAPE = (4, 5)


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    return rng.integers(0, 256, (rows, *SHAPE), dtype=np.uint8), rng.integers(0, 10, rows).astype(np.uint8)


def stored(path: Path, rows: int = 40_000, **more: object) -> Path:
    return storage.create(path, [drawn(rows)], rows=rows, shape=SHAPE, dtype="uint8", classes=10, **more)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_pair(folder: Path, rows: int, ending: str = "") -> tuple[Path, Path]:
    paths = folder / f"images{ending}", folder / f"labels{ending}"
    for path, array in zip(paths, drawn(rows), strict=True):
        raw = idx_bytes(array)
        path.write_bytes(gzip.compress(raw, 1) if ending else raw)
    return paths


def python(code: str, *args: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# 1: truncated before opening


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


# 2, 4: changed while running


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


# 5: a flipped bit


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


# 6: streams


def test_an_arrow_stream_whole_or_chopped_is_refused_with_the_cure(tmp_path):
    x, t = drawn(100)
    table = pa.table({"image": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 20), "label": t})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    for size in (path.stat().st_size, 1_000, 20):
        os.truncate(path, size)
        with pytest.raises(DataError, match=r"Arrow stream was found.*pa\.ipc\.new_file"):
            storage.open(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with"),
        (b"hello world, this is text", "begins with"),
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


# 9: npy of another form


@pytest.mark.parametrize(
    ("x", "t", "said"),
    [
        (np.zeros((5, 2)), np.zeros(5, int), "float64"),
        (np.zeros((5, 2), ">f4"), np.zeros(5, int), "little-endian"),
        (np.asfortranarray(np.zeros((5, 2), "u1")), np.zeros(5, int), "row-major"),
        (np.zeros(5, "u1"), np.zeros(5, int), "two or more dimensions"),
        (np.zeros((5, 2), "u1"), np.zeros(5), "expected integers"),
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


# 10: IDX headers


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "ends 4 bytes early"),
        (b"\x00\x00\x08", "ends 1 bytes early"),
        (b"\x00\x01\x08\x03" + b"\x00" * 12, "begins with 00010803"),
        (b"\x00\x00\x0d\x03" + b"\x00" * 12, "begins with 00000d03"),
        (b"\x00\x00\x08\xff" + b"\x00" * 12, "begins with 000008ff"),
        (b"\x00\x00\x08\x00", "begins with 00000800"),
        (b"\x00\x00\x08\x03" + b"\x00" * 11, "ends 1 bytes early"),
        (struct.pack(">HBB3I", 0, 8, 3, 10, 0, 28), "none of them 0"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "at most"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 1024, 1024), "16 bytes were found, 4503599626321936"),
        (struct.pack(">HBB1I", 0, 8, 1, 10) + b"0" * 10, "images and labels swapped"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_headers_are_checked_before_anything_is_allocated(tmp_path, header, said, ending):
    _, labels = idx_pair(tmp_path, 10)
    path = tmp_path / f"bad{ending}"
    path.write_bytes(gzip.compress(header) if ending else header)
    zipped_too_large = ending and "4503599626321936" in said
    tracemalloc.start()
    try:
        for call in (
            lambda: storage.open((path, labels)),
            lambda: storage.convert(path, labels, tmp_path / "out.arrow"),
        ):
            with pytest.raises((DataError, StorageError), match="10 labels" if zipped_too_large else said):
                call()
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert "out.arrow" not in names(tmp_path)


def test_swapped_images_and_labels_are_named(tmp_path):
    images, labels = idx_pair(tmp_path, 10)
    with pytest.raises(DataError, match="swapped"):
        storage.open((labels, images))
    with pytest.raises(DataError, match="3 dimension"):
        storage.open((images, images))


# 11, 12: gzip


def refuse_both(pair: tuple[Path, Path], folder: Path, said: str) -> None:
    """Neither opening nor converting accepts the pair, and nothing is left behind."""
    before = names(folder)
    for name in ("out.arrow", "out"):
        with pytest.raises(DataError, match=said):
            storage.convert(*pair, folder / name)
    with pytest.raises(DataError, match=said):
        storage.open(pair)
    assert names(folder) == before


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("cut", [5, 12, 0.5, -9, -4, -1])
def test_a_truncated_gzip_file_is_refused(tmp_path, which, cut):
    pair = idx_pair(tmp_path, 3_000, ".gz")
    size = pair[which].stat().st_size
    os.truncate(pair[which], int(size * cut) if isinstance(cut, float) else cut % size)
    refuse_both(pair, tmp_path, "ends early|ends .* bytes early")


@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_crc_is_noticed(tmp_path, which):
    pair = idx_pair(tmp_path, 3_000, ".gz")
    raw = bytearray(pair[which].read_bytes())
    raw[-6] ^= 4
    pair[which].write_bytes(raw)
    refuse_both(pair, tmp_path, "damaged")


@pytest.mark.parametrize("junk", [b"x", b"\x1f\x8b", b"junk" * 100, gzip.compress(b"x")])
def test_what_follows_a_gzip_file_is_noticed(tmp_path, junk):
    pair = idx_pair(tmp_path, 3_000, ".gz")
    with pair[0].open("ab") as file:
        file.write(junk)
    refuse_both(pair, tmp_path, "damaged|ends early|goes on after")


def test_a_flipped_bit_in_compressed_data_is_noticed(tmp_path):
    pair = idx_pair(tmp_path, 3_000, ".gz")
    raw = bytearray(pair[0].read_bytes())
    raw[len(raw) // 2] ^= 1
    pair[0].write_bytes(raw)
    refuse_both(pair, tmp_path, "damaged|ends early")


def test_a_gzip_bomb_stops_at_the_size_that_its_header_declares(tmp_path):
    """10 rows declared, 400 MB of zeros behind them: refused in little memory and time."""
    _, labels = idx_pair(tmp_path, 10, ".gz")
    bomb = tmp_path / "bomb.gz"
    packer = zlib.compressobj(1, wbits=31)
    with bomb.open("wb") as file:
        file.write(packer.compress(struct.pack(">HBB3I", 0, 8, 3, 10, *SHAPE)))
        for _ in range(400):
            file.write(packer.compress(bytes(1_000_000)))
        file.write(packer.flush())
    tracemalloc.start()
    start = time.perf_counter()
    try:
        refuse_both((bomb, labels), tmp_path, "goes on after the 216 bytes")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 2.0


def test_a_large_gzip_pair_is_to_be_converted_first(tmp_path, monkeypatch):
    pair = idx_pair(tmp_path, 3_000, ".gz")
    monkeypatch.setattr("streameval.storage.idx.MEMORY_LIMIT", 59_999)
    with pytest.raises(StorageError, match="streameval convert"):
        storage.open(pair)
    assert storage.open(storage.convert(*pair, tmp_path / "a.arrow")).rows == 3_000


# 13: labels


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
    with pytest.raises(LabelError, match=rf"row {zeros}: label -1 \({(t == 0).sum()} such rows\)"):
        storage.convert(*idx_pair(tmp_path, 1_000), tmp_path / "b.arrow", first_label=1)


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


@pytest.mark.parametrize("t", [[0, -1, 3], [0, -(2**40), 1]])
def test_negative_labels_of_arrays_are_refused(t):
    source = storage.open((np.zeros((3, 2), np.uint8), np.array(t)))
    with pytest.raises(
        LabelError, match=rf"row 1: label {t[1]} \(1 such rows\), expected labels counted from 0"
    ):
        source.take(np.arange(3))
    with pytest.raises(LabelError, match="row 1"):
        list(source.chunks(Span(0, 3), 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5])
def test_soft_targets_that_are_no_weights_are_refused(bad):
    t = np.full((4, 3), 1 / 3)
    t[2, 1] = bad
    source = storage.open((np.zeros((4, 2), np.uint8), t))
    with pytest.raises(LabelError, match=r"row 2: target \[.*\] \(1 such rows\), expected finite"):
        source.take(np.arange(4))


# 18: none, one, ragged


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


# 23: disk full


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of 1 MiB at `folder`, or skip with the reason."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["out.arrow", "out"])
def test_a_full_disk_leaves_the_old_output_and_nothing_else(tmp_path, name):
    disk = tmp_path / "disk"
    with small_disk(disk):
        old = storage.open(stored(disk / name, 1_000)).fingerprint
        with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
            stored(disk / name, 100_000)
        assert names(disk) == [name]
        assert storage.open(disk / name).fingerprint == old
        stored(disk / name, 2_000)


@pytest.mark.parametrize("name", ["out.arrow", "out"])
@pytest.mark.parametrize("limit", [0, 100, 100_000, 400_000, 800_100])
def test_a_write_that_fails_anywhere_leaves_the_old_output_and_nothing_else(tmp_path, name, limit):
    path = stored(tmp_path / name, 1_000)
    old = storage.open(path).fingerprint
    code = f"""
        import resource, signal, sys
        import numpy as np
        from streameval import storage
        from streameval.errors import StorageError
        storage.create  # loaded before the limit
        import pyarrow
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            x, t = np.zeros((40_000, 4, 5), np.uint8), np.zeros(40_000, np.uint8)
            storage.create(sys.argv[1], [(x, t)], rows=40_000, shape=(4, 5), dtype="uint8", classes=10)
        except StorageError as error:
            print(error)
            sys.exit(5)
    """
    with python(code, path) as writer:
        said, errors = writer.communicate(timeout=60)
    assert writer.returncode == 5, errors
    assert "File too large" in said
    assert names(tmp_path) == [name]
    assert storage.open(path).fingerprint == old


# 24: kill -9


@pytest.mark.parametrize("name", ["out.arrow", "out"])
@pytest.mark.parametrize("before", [False, True])
def test_a_killed_conversion_leaves_the_old_output_or_none_and_the_next_one_cleans_up(tmp_path, name, before):
    source = tmp_path / "source"
    source.mkdir()
    pair = idx_pair(source, 200_000)
    folder = tmp_path / "dest"
    folder.mkdir()
    dest = folder / name
    old = storage.open(stored(dest, 100)).fingerprint if before else None
    new = storage.open(pair).fingerprint
    code = """
        import sys
        from streameval import storage
        import pyarrow
        print("ready", flush=True)
        storage.convert(*sys.argv[1:], classes=10)
    """
    rng = random.Random(name)
    seen = set()
    for _ in range(6):
        with python(code, *pair, dest) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.09))
            writer.send_signal(signal.SIGKILL)
        if dest.exists():
            found = storage.open(dest)
            found.check_content()
            assert found.fingerprint in {old, new}
            seen.add(found.fingerprint)
        else:
            assert old is None
            seen.add(None)
    storage.convert(*pair, dest, classes=10)
    assert names(folder) == [name]
    assert storage.open(dest).fingerprint == new


# 25: two converters


def test_of_two_converters_one_wins_and_the_other_is_told(tmp_path):
    pair = idx_pair(tmp_path, 50_000)
    dest = tmp_path / "out.arrow"
    refused = []

    def second(done: int, rows: int) -> None:
        with pytest.raises(LockedError, match="another process is writing it") as error:
            storage.convert(*pair, dest)
        refused.append(error.value.exit_code)

    storage.convert(*pair, dest, progress=second)
    assert refused == [8, 8, 8, 8]
    assert storage.open(dest).rows == 50_000
    storage.convert(*pair, dest)
    assert names(tmp_path) == ["images", "labels", "out.arrow"]


# 38: paths


@pytest.mark.parametrize(
    "name", ["with space", "日本語 データ", "näme", "[x]", "a*b", "?", "-n", "new\nline"]
)
def test_paths_of_any_kind_work(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    pair = idx_pair(folder, 100)
    prints = {storage.open(pair).fingerprint}
    for dest in (folder / f"{name}.arrow", folder / name):
        prints.add(storage.open(str(storage.convert(*pair, dest))).fingerprint)
    prints.add(storage.open(str(folder)).fingerprint)
    assert len(prints) == 1


CALLS = {
    "open": lambda path: storage.open(path),
    "pair": lambda path: storage.open((path, path)),
    "convert": lambda path: storage.convert(path, path, path.with_name("out")),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_file_is_named(tmp_path, call):
    with pytest.raises(StorageError, match=r"missing\.arrow: No such file or directory\. Check the path"):
        CALLS[call](tmp_path / "missing.arrow")


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="pipe: is not a regular file"):
        storage.open(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"without \.arrow files"):
        storage.open(tmp_path)
    with pytest.raises(StorageError, match="is not a regular file"):
        storage.open((tmp_path, tmp_path))


def test_a_missing_folder_for_the_output_is_named(tmp_path):
    with pytest.raises(StorageError, match="absent: the folder does not exist"):
        stored(tmp_path / "absent" / "a.arrow")


def test_a_folder_that_holds_other_files_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("kept")
    with pytest.raises(UsageError, match=r"holds other files \(letter\.txt\)"):
        stored(tmp_path / "home")
    with pytest.raises(StorageError, match="is a folder"):
        stored(tmp_path / "home", format="arrow")
    assert names(tmp_path) == ["home"]
    assert names(tmp_path / "home") == ["letter.txt"]


def test_missing_permissions_are_named(tmp_path):
    """As a user without rights: root would be let through."""
    path = stored(tmp_path / "a.arrow", 10)
    path.chmod(0)
    (tmp_path / "closed").mkdir(mode=0o500)
    code = """
        import os, sys
        sys.path.insert(0, sys.argv[3])
        from streameval import storage
        from streameval.errors import StorageError
        import numpy, pyarrow
        storage.open, storage.create
        from streameval.storage import npy_writer
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for call in (
            lambda: storage.open(sys.argv[1]),
            lambda: storage.create(sys.argv[2], [], rows=0, shape=(2,), dtype="uint8"),
        ):
            try:
                call()
            except StorageError as error:
                print(error)
    """
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    root = Path(__file__).resolve().parent.parent
    with python(code, path, tmp_path / "closed" / "b.arrow", root) as reader:
        said, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    first, second = said.splitlines()
    assert first == f"{path}: Permission denied. Check the permissions of the file and of its folder."
    assert second.startswith(f"{tmp_path}/closed/b.arrow: Permission denied.")


def test_peak_memory_of_a_conversion_does_not_grow_with_the_rows(tmp_path):
    """10 and 40 blocks of 2,000 bytes a row: the peak is that of a few blocks."""
    peaks = []
    for blocks in (3, 12):
        rows = blocks * 16_384
        code = """
            import resource, sys, numpy as np
            from streameval import storage
            rows = int(sys.argv[2])
            def batches():
                for start in range(0, rows, 1000):
                    n = min(1000, rows - start)
                    yield np.full((n, 500), start % 251, np.uint8), np.zeros(n, np.uint8)
            storage.create(sys.argv[1], batches(), rows=rows, shape=(500,), dtype="uint8", classes=10)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
        with python(code, tmp_path / "a.arrow", rows) as writer:
            said, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
        peaks.append(int(said) * 1024)
    assert peaks[1] - peaks[0] < 16_384 * 500 * 2
