"""Saved outputs: every format that the package reads, tables and tools' files, one file an input."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from saved_files import FORMATS, Format

from streameval.errors import DataError, StorageError, UsageError
from streameval.outputs.opening import open_outputs
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target, content_hash

VALUES = [k / 8 - 1 for k in range(12)]
IDS, GROUPS = [f"s {k}" for k in range(12)], [f"g{k // 3}" for k in range(12)]
# Name of the file -> its format's name in the package, and how it is asked for.
FILES: dict[str, tuple[str, Format]] = {how.name: (name.split("/")[0], how) for name, how in FORMATS.items()}
TREES = (".json",)
LINES = (".jsonl",)


def seeds() -> list[Case]:
    """A file of each format."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, how) in FILES.items():
            how.write(Path(folder) / name, VALUES, IDS, GROUPS)
        return [{name: (Path(folder) / name).read_bytes()} for name in FILES]


def mutate(rng: Random, case: Case) -> Case:
    """Damage bytes, or change the tree of JSON that a file or one of its lines is."""
    ((name, data),) = case.items()
    if name.endswith(TREES) and rng.random() < 0.6:
        return {name: mutators.json_bytes(mutators.tree_changed(rng, json.loads(data)))}
    if name.endswith(LINES) and rng.random() < 0.6:
        lines = data.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutators.json_bytes(mutators.tree_changed(rng, json.loads(lines[at])))
        return {name: b"\n".join(lines)}
    return {name: mutators.damaged(rng, data)}


def read(folder: Path, rng: Random) -> bytes:
    """The values, in the format that is said or recognised."""
    (path,) = folder.iterdir()
    form, how = FILES[path.name]
    said = form if rng.random() < 0.7 or form in ("csv", "jsonl") else None
    return content(open_outputs(path, format=said, **how.asked).values[:, 0])


def content(values: Any) -> bytes:
    """What is equal only for equal values."""
    return content_hash([(np.asarray(values, np.float64) + 0.0).tobytes()])


def oracle(folder: Path) -> bytes | None:
    """The same by those who wrote the format: json, csv, pyarrow, NumPy."""
    (path,) = folder.iterdir()
    reader = ORACLES.get(path.name)
    values = None if reader is None else reader(path)
    if not values or not all(type(one) in (int, float) and abs(one) < 2**22 for one in values):
        return None
    return content(values)


def _json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().split("\n") if line.strip()]


def _column(table: pa.Table) -> list[Any] | None:
    return table["v"].to_pylist() if table.schema.field("v").type == pa.float64() else None


def _arrow(path: Path) -> list[Any] | None:
    with pa.OSFile(str(path)) as file:
        return _column(pa.ipc.open_file(file).read_all())


def _csv(path: Path) -> list[Any]:
    with path.open(newline="") as file:
        return [float(row["v"]) for row in csv.DictReader(file, strict=True)]


def _lm_eval(path: Path) -> list[Any]:
    samples = [one for one in _json_lines(path) if one.get("filter") == "flexible"]
    return [one["exact_match"] for one in samples if "exact_match" in one["metrics"]]


ORACLES: dict[str, Callable[[Path], list[Any] | None]] = {
    "saved.jsonl": lambda path: [one["v"] for one in _json_lines(path)],
    "saved.json": lambda path: [one["v"] for one in json.loads(path.read_text())],
    "saved.csv": _csv,
    "saved.arrow": _arrow,
    "saved.parquet": lambda path: _column(pq.ParquetFile(path).read()),
    "saved.npy": lambda path: np.load(path, allow_pickle=False).astype(float).tolist(),
    "saved.npz": lambda path: np.load(path, allow_pickle=False)["v"].astype(float).tolist(),
    "samples_t.jsonl": _lm_eval,
}


def prepare() -> None:
    """Load what reading loads."""
    with tempfile.TemporaryDirectory() as folder:
        for case in seeds():
            ((name, data),) = case.items()
            path = Path(folder) / name
            path.write_bytes(data)
            open_outputs(path, **FILES[name][1].asked)


TARGET = Target(seeds, mutate, read, (DataError, UsageError, StorageError), oracle, prepare)
