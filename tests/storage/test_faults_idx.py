"""IDX files with lying headers, and gzip around them that is damaged or a bomb."""

from __future__ import annotations

import gzip
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from small_files import SHAPE, idx_pair, names

from streameval import storage
from streameval.errors import DataError, StorageError

# IDX headers.


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


# Gzip.


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


@pytest.mark.parametrize("junk", [b"x", b"\x1f\x8b", b"junk" * 100, gzip.compress(b"x", mtime=0)])
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
