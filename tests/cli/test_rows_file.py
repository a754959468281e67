"""`--rows FILE.npy`: whatever the file holds, row numbers or a usage error that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streameval.cli.inputs import parse_rows
from streameval.errors import UsageError


def npy(path: Path, header: str, content: bytes = np.arange(4).tobytes()) -> Path:
    text = header.encode("latin-1") + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content)
    return path


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("'<i8'", "(4,), "),
        ("'<i8'", "(100000000000,)}"),
        ("'|O'", "(4,)}"),
        ("'|V0'", "(4,)}"),
        ("'<i8'", "(-4,)}"),
        ("'<i8'", "(4.5,)}"),
        ("'<i8'", "('a',)}"),
        ("'<i8'", "()}"),
        ("'<i8'", "(2, 2)}"),
        ("'<f8'", "(4,)}"),
        ("[('a','<i8')]", "(4,)}"),
    ],
)
def test_other_than_a_line_of_integers_is_a_usage_error(tmp_path, descr, shape):
    path = npy(tmp_path / "rows.npy", f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}")
    with pytest.raises(UsageError, match=r"rows\.npy") as caught:
        parse_rows(str(path), 10)
    assert "expected" in str(caught.value).lower()


@pytest.mark.parametrize("content", [b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\xff\xff"])
def test_a_file_that_ends_in_its_header_is_a_usage_error(tmp_path, content):
    (tmp_path / "rows.npy").write_bytes(content)
    with pytest.raises(UsageError, match=r"rows\.npy"):
        parse_rows(str(tmp_path / "rows.npy"), 10)


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "|u1"])
def test_integers_of_any_size_and_order_are_row_numbers(tmp_path, dtype):
    np.save(tmp_path / "rows.npy", np.array([3, 1, 1], dtype))
    assert list(parse_rows(str(tmp_path / "rows.npy"), 10)) == [3, 1, 1]


def test_a_mask_is_taken(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([True, False]))
    assert list(parse_rows(str(tmp_path / "rows.npy"), 2)) == [True, False]
