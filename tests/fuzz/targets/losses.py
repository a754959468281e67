"""Files of losses: Arrow files of two columns, their metadata and their bytes damaged."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

import streameval as se
from streameval.errors import DataError, StorageError
from streameval.losses import CrossEntropy
from streameval.studies.stored import stored_losses
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target, content_hash

FILE = "losses.arrow"
ROWS = 40


@cache
def evaluated() -> tuple[bytes, se.Source]:
    """Return a whole file, and the rows that it is of."""
    draws = np.random.default_rng(7)
    x, t = draws.integers(0, 256, (ROWS, 4), dtype=np.uint8), draws.integers(0, 3, ROWS)
    model = se.Mlp([se.Layer(draws.normal(size=(4, 3)).astype("f4"), np.zeros(3, "f4"), "identity")])
    source = se.open((x, t))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE)
        se.evaluate(model, source, options=se.PassOptions(losses=path))
        return path.read_bytes(), source


def mutate(rng: Random, case: Case) -> Case:
    """Damage bytes, most of them where the file says how it lies; or nothing."""
    data = case[FILE]
    if rng.random() < 0.1:
        return case
    ends = [(0, 900), (len(data) - 900, len(data))]
    if rng.random() < 0.3:
        return {FILE: mutators.number_everywhere(rng, data, ends)}
    return {FILE: mutators.damaged(rng, data, ends)}


def read(folder: Path, rng: Random) -> bytes:
    """Lend the losses."""
    with stored_losses(folder / FILE, evaluated()[1], CrossEntropy()) as stored:
        return content_hash([np.ascontiguousarray(stored.losses).tobytes()])


def oracle(folder: Path) -> bytes | None:
    """Read the column with pyarrow, into memory."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.BufferReader((folder / FILE).read_bytes())).read_all()
    table.validate(full=True)
    if table.column("row").to_pylist() != list(range(ROWS)):
        return None
    return content_hash([table.column("loss").to_numpy().astype(np.float64).tobytes()])


TARGET = Target(lambda: [{FILE: evaluated()[0]}], mutate, read, (DataError, StorageError), oracle, evaluated)
