"""Folders of images.npy, labels.npy and manifest.json, and pairs of .npy files."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from pathlib import Path
from random import Random

import numpy as np

from streameval.storage import create
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.idx import prepare
from tests.fuzz.targets.rows import CLASSES, REFUSALS, ROWS, SOFT, XF, T, X, content, read

FILES = ("images.npy", "labels.npy")
WORDS = (
    "'<f4'",
    "'>f4'",
    "'|u1'",
    "'<i8'",
    "'>i8'",
    "'|O'",
    "'<M8[s]'",
    "'|V0'",
    "[('a','<i8')]",
    "(",
    ")",
    ",",
    "{",
)
WORDS += (
    "}",
    "True",
    "False",
    "None",
    "50",
    "4L",
    "-50",
    "1e3",
    "0",
    "9" * 30,
    "9" * 5000,
    "'descr'",
    "'shape'",
    ":",
)
WORDS += (
    "'fortran_order'",
    "''",
    "#",
    "\\",
    "\n",
    "\0",
    "(" * 200,
    "[" * 3000,
    " ",
    "50, 4, 4",
    "(800,)",
    "()",
)


def npy(array: np.ndarray) -> bytes:
    """Return an array as NumPy writes it."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def seeds() -> list[Case]:
    """Folders with and without a manifest, of integer and of soft targets."""
    with tempfile.TemporaryDirectory() as folder:
        made = create(
            Path(folder) / "d",
            [(X.reshape(ROWS, 4, 4), T)],
            rows=ROWS,
            shape=(4, 4),
            dtype="uint8",
            classes=CLASSES,
        )
        recorded = {path.name: path.read_bytes() for path in made.iterdir()}
    return [
        recorded,
        {"images.npy": npy(X.reshape(ROWS, 4, 4)), "labels.npy": npy(T)},
        {"images.npy": npy(XF), "labels.npy": npy(T.astype(np.uint8))},
        {"images.npy": npy(XF), "labels.npy": npy(SOFT)},
    ]


def mutate(rng: Random, case: Case) -> Case:
    """Damage a header's words, its bytes, or the manifest's tree."""
    name = rng.choice(list(case))
    if name == "manifest.json":
        if rng.random() < 0.3:
            return case | {name: mutators.damaged(rng, case[name])}
        return case | {name: mutators.json_bytes(mutators.tree_changed(rng, json.loads(case[name])))}
    if rng.random() < 0.4:
        return case | {name: mutators.damaged(rng, case[name], [(0, 130)])}
    return case | {name: words_changed(rng, case[name])}


def words_changed(rng: Random, data: bytes) -> bytes:
    """Return a .npy file whose header has words replaced, put in or taken out, and says its length rightly."""
    size = struct.unpack_from("<H", data, 8)[0]
    text = data[10 : 10 + size].decode("latin-1")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text.rstrip()) + 1)
        stop = at + rng.choice((0, 1, 1, 3, 6))
        text = text[:at] + rng.choice(WORDS) + text[stop:]
    version = rng.choice((1, 1, 1, 2, 3, 4))
    raw = text.encode("latin-1")[: 1 << 15]
    raw += b" " * (-(len(raw) + 10) % 64) if rng.random() < 0.9 else b""
    length = struct.pack("<H" if version == 1 else "<I", len(raw))
    return data[:6] + bytes([version, 0]) + length + raw + data[10 + size :]


def read_folder(folder: Path, rng: Random) -> bytes:
    """Read the folder, or the two files as a pair."""
    if "manifest.json" not in {path.name for path in folder.iterdir()} and rng.random() < 0.5:
        return read((folder / FILES[0], folder / FILES[1]), rng)
    return read(folder, rng)


def oracle(folder: Path) -> bytes | None:
    """Read both arrays by NumPy's own reader."""
    x, t = (np.load(folder / name, allow_pickle=False) for name in FILES)
    return content(np.ascontiguousarray(x).reshape(len(x), -1), np.ascontiguousarray(t))


TARGET = Target(seeds, mutate, read_folder, REFUSALS, oracle, prepare)
