"""Small files of data that ask for much memory or time, and files that are replaced while they are opened."""

from __future__ import annotations

import gzip
import json
import os
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_files import idx_bytes, idx_pair, python

from streameval import json_text, storage
from streameval.errors import DataError, StorageError
from streameval.storage import arrow_schema, flatbuffer, gunzip
from streameval.storage.mapping import File
from streameval.storage.npy import folder_rows
from tests.fuzz.targets import arrow
from tests.fuzz.targets.rows import T, X

pytestmark = pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
"""Compressed files are meant here."""


class Flatbuffer:
    """A flatbuffer that is written by hand, so that it may point at the same place again and again."""

    def __init__(self) -> None:
        self.data = bytearray(4)

    def table(self, slots: dict[int, tuple[str, int]]) -> dict[int, int]:
        """Append a table of (code, value) and return where its slots lie, by number; -1 where the table lies."""
        at, offsets = 4, {}
        for slot, (code, _) in slots.items():
            size = struct.calcsize(f"<{code}")
            at += -at % size
            offsets[slot] = at
            at += size
        count = max(slots) + 1
        places = [offsets.get(slot, 0) for slot in range(count)]
        self.data += struct.pack(f"<HH{count}H", 4 + 2 * count, at, *places)
        start = len(self.data)
        self.data += struct.pack("<i", 4 + 2 * count) + bytes(at - 4)
        for slot, (code, value) in slots.items():
            struct.pack_into(f"<{code}", self.data, start + offsets[slot], value)
        return {slot: start + offset for slot, offset in offsets.items()} | {-1: start}

    def point(self, at: int, to: int) -> None:
        struct.pack_into("<I", self.data, at, to - at)

    def vector(self, count: int) -> int:
        start = len(self.data)
        self.data += struct.pack("<I", count) + bytes(4 * count)
        return start

    def text(self, raw: bytes) -> int:
        start = len(self.data)
        self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        return start


def quadratic(fields: int, pairs: int, letters: int) -> bytes:
    """An Arrow file whose schema names one field many times, and that field one pair of metadata many times."""
    made = Flatbuffer()
    footer = made.table({0: ("h", 4), 1: ("I", 0), 3: ("I", 0)})
    made.point(0, footer[-1])
    schema = made.table({0: ("h", 0), 1: ("I", 0)})
    made.point(footer[1], schema[-1])
    vector = made.vector(fields)
    made.point(schema[1], vector)
    field = made.table({0: ("I", 0), 2: ("B", 2), 3: ("I", 0), 5: ("I", 0), 6: ("I", 0)})
    for number in range(fields):
        made.point(vector + 4 + 4 * number, field[-1])
    made.point(field[0], made.text(b"label"))
    made.point(field[3], made.table({0: ("i", 8), 1: ("B", 0)})[-1])
    made.point(field[5], made.vector(0))
    vector = made.vector(pairs)
    made.point(field[6], vector)
    pair = made.table({0: ("I", 0), 1: ("I", 0)})
    for number in range(pairs):
        made.point(vector + 4 + 4 * number, pair[-1])
    text = made.text(b"k" * letters)
    made.point(pair[0], text)
    made.point(pair[1], text)
    made.point(footer[3], made.vector(0))
    raw = bytes(made.data)
    return b"ARROW1\0\0" + b"\xff\xff\xff\xff\0\0\0\0" + raw + struct.pack("<i", len(raw)) + b"ARROW1"


@pytest.mark.parametrize("size", [(1000, 1000, 100), (2000, 2000, 100), (10_000, 10_000, 20_000)])
def test_a_schema_that_points_at_itself_again_and_again_costs_no_more_than_its_size(tmp_path, size):
    path = tmp_path / "quadratic.arrow"
    path.write_bytes(quadratic(*size))
    start = time.process_time()
    with pytest.raises(DataError, match=r"again and again: more than 16 times the \d+ bytes") as caught:
        storage.open(path)
    assert time.process_time() - start < 1.0
    assert len(str(caught.value)) < 500


def test_many_columns_are_named_by_a_few(tmp_path):
    columns = {f"{'long ' * 40}{number}": pa.array([1]) for number in range(3_000)}
    path = tmp_path / "wide.arrow"
    path.write_bytes(arrow.file_bytes(columns))
    with pytest.raises(DataError, match="and 2992 more") as caught:
        storage.open(path)
    assert len(str(caught.value)) < 1_500


def sparse(path: Path, compression: str | None, hole: int) -> Path:
    """An Arrow file of few blocks on disk whose features claim to be `hole` bytes long."""
    raw = arrow.file_bytes({"image": arrow.lists(X), "label": T}, chunk=50, compression=compression)
    size = int.from_bytes(raw[-10:-6], "little")
    footer_at = len(raw) - 10 - size
    at, header, body = flatbuffer.root(raw[footer_at:-10]).structs(3, "qi4xq")[0]
    buffers = flatbuffer.root(raw[at + 8 : at + header]).table(2).structs(2, "qq")
    head, footer = bytearray(raw[: at + header]), bytearray(raw[footer_at:])
    place = head.index(struct.pack("<qq", *buffers[2]), at)
    after = head.index(struct.pack("<qq", *buffers[4]), at)
    struct.pack_into("<q", head, place + 8, hole)
    struct.pack_into("<q", head, place + 16, hole)
    struct.pack_into("<q", head, after, hole)
    end = hole + buffers[4][1] + -buffers[4][1] % 8
    struct.pack_into("<q", head, head.index(struct.pack("<q", body), at), end)
    struct.pack_into("<q", footer, footer.index(struct.pack("<qi4xq", at, header, body)) + 16, end)
    with path.open("wb") as file:
        file.write(head)
        file.seek(at + header + end)
        file.write(b"\xff\xff\xff\xff\0\0\0\0" + footer)
    return path


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_hole_of_gigabytes_in_a_small_file_takes_no_memory(tmp_path, compression):
    path = sparse(tmp_path / "sparse.arrow", compression, 6 << 30)
    assert path.stat().st_blocks < 64
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="6442450944"):
        storage.open(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b"1" * 5_000,
        b"\xff",
        b"",
        b"{",
    ],
    ids=["a million lists", "deep", "a name twice", "digits", "no UTF-8", "nothing", "cut"],
)
def test_json_that_is_no_use_is_an_error_that_says_why(text):
    start = time.process_time()
    with pytest.raises(json_text.MalformedJsonError) as caught:
        json_text.parse(text)
    assert time.process_time() - start < 0.5
    assert len(str(caught.value)) < 300


def test_json_as_it_is_written_is_read():
    tree = {"blocks": [["a" * 64, "b" * 64]] * 10_000, "numbers": list(range(10_000)), "none": None}
    assert json_text.parse(json.dumps(tree)) == tree


def test_a_manifest_of_millions_of_lists_is_refused(tmp_path):
    folder = storage.create(tmp_path / "d", [(X, T)], rows=50, shape=(16,), dtype="uint8", classes=3)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["blocks"] = [[]] * 1_000_000
    (folder / "manifest.json").write_text(json.dumps(manifest, separators=(",", ":")))
    with pytest.raises(DataError, match="not the manifest of 50 rows"):
        folder_rows(folder)


# Gzip: what follows costs nothing.


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (gzip.compress(b"", mtime=0) * 500_000, "members hold"),
        (b"\0" * (2 << 20), "something follows it"),
        (b"\0" * 100 + b"x", "something follows it"),
        (b"x" * (10 << 20), "something follows it"),
    ],
    ids=["ten megabytes of empty members", "too many zeros", "zeros, and something", "junk"],
)
def test_what_follows_a_gzip_file_costs_little(tmp_path, after, said):
    images, labels = idx_pair(tmp_path, 3_000, ".gz")
    with images.open("ab") as file:
        file.write(after)
    start = time.process_time()
    with pytest.raises(DataError, match=said):
        storage.open((images, labels))
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "after", [b"\0" * 10_000, gzip.compress(b"", mtime=0)], ids=["padding", "an empty end"]
)
def test_padding_and_an_empty_last_member_are_part_of_a_gzip_file(tmp_path, after):
    images, labels = idx_pair(tmp_path, 3_000, ".gz")
    whole = storage.open((images, labels)).fingerprint
    with images.open("ab") as file:
        file.write(after)
    assert storage.open((images, labels)).fingerprint == whole


def test_members_of_any_size_are_joined(tmp_path):
    raw = os.urandom(40_000)
    path = tmp_path / "x.gz"
    path.write_bytes(b"".join(gzip.compress(raw[at : at + 997]) for at in range(0, len(raw), 997)))
    content = gunzip.stream(File(path))
    parts = []
    while part := content.read(333):
        parts.append(part)
    assert b"".join(parts) == raw


# The file that is checked is the file that is read.


def test_a_pair_that_is_replaced_after_its_headers_were_read_is_read_as_it_was_opened(tmp_path, monkeypatch):
    """The larger pair is opened; the smaller one takes its place before anything is mapped."""
    images, labels = idx_pair(tmp_path, 3_000)
    small = tmp_path / "small"
    small.mkdir()
    pair = idx_pair(small, 10)
    mapped = File.map

    def replaced(file: File) -> object:
        for old, new in ((images, pair[0]), (labels, pair[1])):
            if new.exists():
                new.replace(old)
        return mapped(file)

    monkeypatch.setattr(File, "map", replaced)
    source = storage.open((images, labels))
    assert source.rows == 3_000
    assert len(source.take(np.array([2_999]))) == 1
    with pytest.raises(DataError, match="changed while it was read"):
        source.check_unchanged()


REPLACED = """
import os, sys, time
from pathlib import Path
import streameval as se
from streameval.errors import DataError
one, two = sys.argv[1:]
seen = set()
stop = time.monotonic() + 3
while time.monotonic() < stop:
    try:
        with se.open((one, two)) as source:
            chunk = source.take([source.rows - 1])
            seen.add((source.rows, int(chunk.x.sum())))
    except DataError:
        seen.add("refused")
print(len(seen))
"""


def test_a_pair_that_changes_places_all_the_time_never_kills_its_reader(tmp_path):
    images, labels = (tmp_path / name for name in ("images", "labels"))
    sizes = {}
    for rows in (20_000, 10):
        for name, shape in (("images", (rows, 28, 28)), ("labels", (rows,))):
            sizes[rows, name] = tmp_path / f"{name}-{rows}"
            sizes[rows, name].write_bytes(idx_bytes(np.zeros(shape, np.uint8)))
    for path in (images, labels):
        path.hardlink_to(sizes[10, path.name])
    with python(REPLACED, images, labels) as reader:
        turn = 0
        while reader.poll() is None:
            turn += 1
            for path in (images, labels):
                (tmp_path / "next").hardlink_to(sizes[(10, 20_000)[turn % 2], path.name])
                (tmp_path / "next").replace(path)
            time.sleep(0.0003)
        said, wrong = reader.communicate()
    assert reader.returncode == 0, wrong[-2000:]
    assert int(said) >= 2


def test_a_gzip_pair_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    images, labels = idx_pair(tmp_path, 3_000, ".gz")
    read = gunzip.Gunzip.read

    def touched(content: gunzip.Gunzip, size: int) -> bytes:
        os.utime(images, ns=(1, 1))
        return read(content, size)

    monkeypatch.setattr(gunzip.Gunzip, "read", touched)
    with pytest.raises(DataError, match="changed while it was read"):
        storage.open((images, labels))
    os.utime(images)
    with pytest.raises(DataError, match="changed while it was read"):
        storage.convert(images, labels, tmp_path / "a.arrow")
    assert not (tmp_path / "a.arrow").exists()


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(tmp_path):
    pipe = tmp_path / "data.arrow"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="not a regular file"):
        storage.open(pipe)


# Forms that are rarely seen.


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("x", "t", "said"),
    [
        (X.astype(">f4"), T, "'>f4'.*newbyteorder"),
        (X, T.astype(">i8"), "'>i8'.*newbyteorder"),
        (np.asfortranarray(X), T, "fortran_order True.*ascontiguousarray"),
        (np.float32(1), T, r"shape \(\)"),
        (X, np.int64(1), r"shape \(\)"),
        (X[:, 0], T, "two or more dimensions"),
        (X[:, :0], T, "none of them 0"),
    ],
    ids=[
        "big-endian x",
        "big-endian t",
        "Fortran",
        "no dimension x",
        "no dimension t",
        "one dimension",
        "no feature",
    ],
)
def test_npy_files_of_forms_that_are_not_read_say_how_to_save_them_again(tmp_path, x, t, said):
    with pytest.raises(DataError, match=said):
        storage.open((npy(tmp_path / "x.npy", x), npy(tmp_path / "t.npy", t)))


def test_numbers_of_an_npy_file_that_are_not_aligned_are_refused_with_the_cure(tmp_path):
    labels = npy(tmp_path / "t.npy", T)
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (50, 16), }\n"
    text = text[:-1] + b" " * (3 - len(text) % 4) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + X.astype("<f4").tobytes()
    images = tmp_path / "x.npy"
    images.write_bytes(raw)
    np.testing.assert_array_equal(np.load(images), X)
    with pytest.raises(DataError, match=r"begin at byte \d+, expected a multiple of 4"):
        storage.open((images, labels))


def test_a_hundred_thousand_features_are_read(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 100_000), dtype=np.uint8)
    t = np.arange(40) % 3
    path = storage.create(tmp_path / "w.arrow", [(x, t)], rows=40, shape=(100_000,), dtype="uint8", classes=3)
    for io in ("mmap", "direct", "pread"):
        with storage.open(path, io=io) as source:
            np.testing.assert_array_equal(source.take(np.arange(40)).x, x)


def test_a_large_file_without_hashes_is_opened_and_its_rows_are_read(tmp_path):
    """More than 1 GiB, nearly all of it a hole."""
    rows = 1_400_000
    for name, size, offset in (("images", 784, 16), ("labels", 1, 8)):
        with (tmp_path / name).open("wb") as file:
            shape = (rows, 28, 28) if name == "images" else (rows,)
            file.write(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape))
            file.truncate(offset + rows * size)
    with storage.open((tmp_path / "images", tmp_path / "labels")) as source:
        assert source.fingerprint.startswith("sample-sha256:")
        assert not source.take(np.array([0, rows - 1])).x.any()


def test_the_names_of_an_arrow_schema_are_those_of_the_reader():
    assert set(arrow.FEATURES) == set(arrow_schema.FEATURE_NAMES)
    assert set(arrow.TARGETS) == set(arrow_schema.TARGET_NAMES)


def test_a_hash_or_a_target_of_any_length_makes_a_short_message(tmp_path):
    folder = storage.create(tmp_path / "d", [(X, T)], rows=50, shape=(16,), dtype="uint8", classes=3)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["sha256"] = "a" * 100_000
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="It is damaged") as caught:
        storage.open(folder)
    assert len(str(caught.value)) < 600
    soft = np.full((50, 5_000), -1.0)
    with pytest.raises(DataError, match="none of them negative") as caught:
        storage.open((X, soft)).take(np.array([0]))
    assert len(str(caught.value)) < 600
