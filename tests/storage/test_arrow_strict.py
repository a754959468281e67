"""Arrow files of other writers, which record no hashes: a flipped bit of the headers never moves rows unseen."""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from streameval import storage
from streameval.errors import DataError
from streameval.storage.flatbuffer import root
from tests.fuzz.targets import arrow
from tests.fuzz.targets.rows import T, X, content, read

pytestmark = pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
FORMS = {
    "pyarrow": arrow.file_bytes({"image": arrow.lists(X[:9]), "label": T[:9]}, chunk=4),
    "one batch of eight rows": arrow.file_bytes({"image": arrow.lists(X[:8]), "label": T[:8]}, chunk=8),
    "soft": arrow.file_bytes(
        {"x": arrow.lists(X[:9]), "t": arrow.lists(np.eye(3, dtype=np.float32)[T[:9]])}, chunk=5
    ),
    "bitmaps": arrow.with_bitmaps(),
    "before 0.15": arrow.file_bytes(
        {"image": arrow.lists(X[:9]), "label": T[:9]}, chunk=4, use_legacy_format=True
    ),
    "lz4": arrow.file_bytes({"image": arrow.lists(X[:9]), "label": T[:9]}, chunk=4, compression="lz4"),
    "zstd": arrow.file_bytes({"image": arrow.lists(X[:9] * 0), "label": T[:9]}, chunk=9, compression="zstd"),
}


def outcome(path: Path, raw: bytes) -> bytes | None:
    """What is read, None where the file is refused."""
    # Written over, not anew: some file systems empty a file only after they wrote it to the disk.
    with path.open("r+b") as file:
        file.write(raw)
    try:
        return read(path, Random(0))
    except DataError:
        return None


@pytest.mark.parametrize("form", FORMS)
def test_a_flipped_bit_of_the_headers_is_refused_or_changes_nothing(tmp_path, form):
    """Every ninth bit, of each byte another; with STREAMEVAL_TESTS_THOROUGH=1 all, which takes half a minute."""
    step = 1 if os.environ.get("STREAMEVAL_TESTS_THOROUGH") else 9
    raw = FORMS[form]
    path = tmp_path / "flipped.arrow"
    path.write_bytes(raw)
    whole = outcome(path, raw)
    found: Counter[str] = Counter()
    for flipped in arrow.bits_flipped(raw, lambda number: number % step == 0):
        got = outcome(path, flipped)
        found["refused" if got is None else "same" if got == whole else "other"] += 1

    assert whole is not None
    assert found["other"] == 0, found
    assert found["refused"] > 100


def footer_field(raw: bytes, add: int, place: int, number: int = 0) -> bytes:
    """Add to a number of one of the footer's blocks: 0 its position, 8 the header's length, 16 the body's."""
    size = int.from_bytes(raw[-10:-6], "little")
    footer = bytearray(raw[-10 - size :])
    block = root(bytes(footer)).structs(3, "qi4xq")[number]
    at = footer.find(struct.pack("<qi4xq", *block)) + place
    code = "<i" if place == 8 else "<q"
    struct.pack_into(code, footer, at, struct.unpack_from(code, footer, at)[0] + add)
    return raw[: -10 - size] + bytes(footer)


@pytest.mark.parametrize("add", [1, -1, 2, 4, 8, -8, 64])
@pytest.mark.parametrize("place", [0, 8, 16])
@pytest.mark.parametrize("number", [0, -1])
def test_lengths_in_the_footer_agree_with_the_message_to_the_byte(tmp_path, add, place, number):
    path = tmp_path / "moved.arrow"
    path.write_bytes(footer_field(FORMS["pyarrow"], add, place, number))
    with pytest.raises(DataError, match="not a usable Arrow file"):
        storage.open(path)


def test_a_schema_in_the_footer_that_is_not_the_one_at_the_front_is_refused(tmp_path):
    """Eight labels of 64 bits are 16 of 32, of which the padding would be let pass: the other copy tells."""
    raw = FORMS["one batch of eight rows"]
    footer_at = len(raw) - 10 - int.from_bytes(raw[-10:-6], "little")
    path, said = tmp_path / "narrow.arrow", set()
    for at in range(footer_at, len(raw) - 10):
        if raw[at : at + 4] == struct.pack("<i", 64):
            path.write_bytes(raw[:at] + struct.pack("<i", 32) + raw[at + 4 :])
            with pytest.raises(DataError) as caught:
                storage.open(path)
            said.add("the schema at its front differs" in str(caught.value))
    assert True in said


def test_a_footer_that_leaves_out_a_batch_is_refused(tmp_path):
    raw = FORMS["pyarrow"]
    size = int.from_bytes(raw[-10:-6], "little")
    footer = raw[-10 - size :]
    blocks = root(footer).structs(3, "qi4xq")
    at = footer.find(struct.pack("<qi4xq", *blocks[0])) - 4
    assert footer[at : at + 4] == struct.pack("<I", len(blocks))
    path = tmp_path / "fewer.arrow"
    path.write_bytes(raw[: -10 - size] + footer[:at] + struct.pack("<I", len(blocks) - 1) + footer[at + 4 :])
    with pytest.raises(DataError, match="belong to no record batch"):
        storage.open(path)


@pytest.mark.parametrize("rows", [1, 7, 13, 49])
def test_slices_whose_buffers_are_longer_than_their_rows_are_read(tmp_path, rows):
    """pyarrow writes what a slice's buffer holds beyond its rows, up to 64 bytes."""
    import pyarrow as pa

    table = pa.table({"image": arrow.lists(X), "label": pa.array(T.astype(np.uint8))}).slice(0, rows)
    path = tmp_path / "slice.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    assert read(path, Random(0)) == content(X[:rows], T[:rows].astype(np.uint8))


def test_files_of_polars_are_read(tmp_path):
    """It aligns buffers to 64 bytes."""
    polars = pytest.importorskip("polars", reason="polars is not needed by anything else")
    frame = polars.DataFrame(
        {"image": polars.Series(X.tolist(), dtype=polars.Array(polars.UInt8, 16)), "label": T}
    )
    for codec in ("uncompressed", "zstd", "lz4"):
        frame.write_ipc(tmp_path / "p.arrow", compression=codec, compat_level=polars.CompatLevel.oldest())
        assert read(tmp_path / "p.arrow", Random(0)) == content(X, T)
