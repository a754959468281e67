"""Networks as .npz files: the zip's directory, its members' headers, and bytes damaged."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.npy import words_changed
from tests.fuzz.targets.weights import ACTIVATIONS, ARRAYS, REFUSALS, by_names, prepare, read

FILE = "network.npz"
NAMES = (
    "W1.npy",
    "",
    "/",
    "../W1.npy",
    "W1",
    "data.pkl",
    "a/data.pkl",
    "x" * 60_000,
    "\x1b[2J.npy",
    "\0.npy",
)


def seeds() -> list[Case]:
    """Stored and deflated, with and without activations."""
    contents = []
    for save in (np.savez, np.savez_compressed):
        for more in ({}, {"activations": np.array(ACTIVATIONS)}):
            out = io.BytesIO()
            save(out, **ARRAYS, **more)
            contents.append({FILE: out.getvalue()})
    return contents


def mutate(rng: Random, case: Case) -> Case:
    """Damage a member before it is packed, change the directory, or the bytes of the zip."""
    data = case[FILE]
    if rng.random() < 0.4:
        return {FILE: mutators.damaged(rng, data, [(0, 200), (len(data) - 500, len(data))])}
    out = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        warnings.simplefilter("ignore")  # of two members with one name
        members = [(info.filename, old.read(info)) for info in old.infolist()]
        chosen = rng.randrange(len(members))
        for number, (name, content) in enumerate(members):
            if number == chosen:
                name, content = _member_changed(rng, name, content)
            if number != chosen or rng.random() < 0.95:
                new.writestr(zipfile.ZipInfo(name), content, rng.choice((0, 0, 8, 8, 12, 14)))
    return {FILE: out.getvalue()}


def _member_changed(rng: Random, name: str, content: bytes) -> tuple[str, bytes]:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(NAMES), content
    if kind == 1:
        return name, words_changed(rng, content)
    if kind == 2:
        return name, content + bytes(rng.choice((1, 1000, 10_000_000)))
    return name, mutators.damaged(rng, content, [(0, 128)] if kind == 3 else [(128, len(content))])


def oracle(folder: Path) -> bytes | None:
    """Read the arrays by NumPy."""
    with np.load(folder / FILE, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files if name != "activations"}
    return by_names(arrays)


TARGET = Target(seeds, mutate, lambda folder, rng: read(folder / FILE, rng), REFUSALS, oracle, prepare)
