"""A file that is damaged is told of in the same words, whether it was given as data or as saved outputs."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import streameval as se
from streameval.errors import DataError

LABEL = np.arange(6) % 3


def zipped(path: Path, members: list[tuple[str, bytes]]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is twice
        for name, content in members:
            archive.writestr(name, content)


def npy_of(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


T, X = npy_of(LABEL), npy_of(np.full((6, 4), 0.25))
ARCHIVES: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "cut": ([("t.npy", T), ("x.npy", X[:-8])], r", x: it ends before row 6 of 6\. Save it again with np\.savez\."),
    "longer": ([("t.npy", T), ("x.npy", X + b"0")], r", x: it goes on after its 6 rows\. .* with np\.savez\."),
    "columns": (
        [("t.npy", T), ("x.npy", npy_of(np.asfortranarray(np.full((6, 4), 0.25))))],
        r", x: in column-major order, .*: np\.savez\(path, x=np\.ascontiguousarray\(array\)\)",
    ),
    "header": ([("t.npy", T), ("x.npy", b"none")], r", x: begins with b'none', .* Save it again with np\.savez\."),
    "twice": ([("t.npy", T), ("x.npy", X), ("x.npy", X)], r": array 'x' is there twice\. .* with np\.savez\."),
}  # fmt: skip


def as_data(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        se.open(path, features="x", target="t")  # type: ignore[attr-defined]


def as_outputs(path: Path) -> None:
    se.open_outputs(path, probabilities="x", label="t")


WAYS = {"data": as_data, "outputs": as_outputs}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_array_of_an_archive(name: str, way: str, tmp_path: Path) -> None:
    members, said = ARCHIVES[name]
    zipped(tmp_path / "a.npz", members)
    with pytest.raises(DataError, match=r"a\.npz" + said):
        WAYS[way](tmp_path / "a.npz")


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_archive(way: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.full((6, 4), 0.25), t=LABEL)
    whole = path.read_bytes()
    at = whole.index(b"NUMPY") if b"NUMPY" in whole else 60  # inside the compressed numbers
    path.write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
    with pytest.raises(DataError, match=r"a\.npz: a damaged archive \(.*\)\. Save it again with np\.savez\."):
        WAYS[way](path)


@pytest.mark.parametrize("way", [lambda path: se.open(path), lambda path: se.open_outputs(path, loss="loss")])
def test_a_quote_that_never_ends(way: Callable[[Path], object], tmp_path: Path, monkeypatch) -> None:
    for module in ("streameval.tables.csv_reader", "streameval.outputs.arrow_tables"):
        monkeypatch.setattr(f"{module}.BLOCK", 1 << 20)
    path = tmp_path / "a.csv"
    path.write_text('label,loss\n1,0.5\n2,"' + "0.25," * 500_000)
    with pytest.raises(DataError, match=r"a row is longer than 1 MiB, or a quote is never closed"):
        way(path)


@pytest.mark.parametrize("front", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_and_a_mark_at_the_front_is_none_of_the_names(
    front: str, end: str, tmp_path: Path
) -> None:
    """What parts the columns is told by the line of names alone: here later lines have more commas."""
    (tmp_path / "a.csv").write_bytes(end.join([front + "loss;note", *["0.5;a,b,c"] * 6, ""]).encode())
    assert se.open_outputs(tmp_path / "a.csv", loss="loss").rows == 6
