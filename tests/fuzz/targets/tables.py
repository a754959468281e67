"""Tables as data sets: files of every kind, images in columns and in folders, what `datasets` saved."""

from __future__ import annotations

import csv
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_files import FORMS, drawn

from streameval import storage
from streameval.errors import DataError, StorageError, StreamevalWarning, UsageError
from streameval.storage.source import Span
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target, content_hash, write_case

X, T = drawn(20, (2, 3), seed=4)
T = np.sort(T)
PIXELS = [f"pixel{k}" for k in range(6)]
OPTIONS = {form.name: form.options for form in FORMS.values()}


def seeds() -> list[Case]:
    """The same rows in each form, a file or a folder of them."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for form in FORMS.values():
            path = form.written(Path(folder), X, T)
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            made.append({str(one.relative_to(folder)): one.read_bytes() for one in files if one.is_file()})
        return made


def mutate(rng: Random, case: Case) -> Case:
    """Damage the bytes of one file, or a line of JSON as the tree that it is."""
    name = rng.choice(sorted(case))
    data = case[name]
    if name.endswith(".jsonl") and rng.random() < 0.5:
        lines = data.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutators.json_bytes(mutators.tree_changed(rng, json.loads(lines[at])))
        return {**case, name: b"\n".join(lines)}
    return {**case, name: mutators.damaged(rng, data)}


def read(folder: Path, rng: Random) -> bytes:
    """All rows, in chunks of some size."""
    (path,) = folder.iterdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        source = storage.open(path, **OPTIONS[path.name])
    chunks = list(source.chunks(Span(0, source.rows), rng.randint(1, 30)))
    x, t = np.concatenate([one.x for one in chunks]), np.concatenate([one.t for one in chunks])
    return content(x, t)


def content(x: Any, t: Any) -> bytes:
    """What is equal only for equal rows."""
    x = np.asarray(x, np.float64).reshape(len(t), -1) + 0.0
    return content_hash([x.tobytes(), np.asarray(t, np.float64).tobytes()])


def oracle(folder: Path) -> bytes | None:
    """The same by those who wrote the format, where all numbers are bytes."""
    (path,) = folder.iterdir()
    reader = ORACLES.get(path.name)
    x, t = (None, None) if reader is None else reader(path)
    if x is None or t is None:
        return None
    x, t = np.asarray(x), np.asarray(t)
    if x.dtype.kind not in "iu" or t.dtype.kind not in "iu" or t.ndim != 1 or len(t) == 0:
        return None
    usable = x.min() >= 0 and x.max() <= 255 and t.min() >= 0
    return content(x, t) if usable and len(x) == len(t) else None


def _csv(path: Path) -> tuple[Any, Any]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    return [[int(row[name]) for name in PIXELS] for row in rows], [int(row["label"]) for row in rows]


def _json_lines(path: Path) -> tuple[Any, Any]:
    rows = [json.loads(line) for line in path.read_text().split("\n") if line.strip()]
    right = all(type(one["label"]) is int for one in rows)
    return ([one["image"] for one in rows], [one["label"] for one in rows]) if right else (None, None)


def _wide(table: pa.Table) -> tuple[Any, Any]:
    return np.stack([table[name].to_numpy() for name in PIXELS], axis=1), table["label"].to_numpy()


def _arrow(path: Path) -> tuple[Any, Any]:
    with pa.OSFile(str(path)) as file:
        return _wide(pa.ipc.open_file(file).read_all())


def _npz(path: Path) -> tuple[Any, Any]:
    arrays = np.load(path, allow_pickle=False)
    return arrays["x"], arrays["t"]


ORACLES: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "train.csv": _csv,
    "train.jsonl": _json_lines,
    "train.parquet": lambda path: _wide(pq.ParquetFile(path).read()),
    "train.feather": _arrow,
    "train.npz": _npz,
}


def prepare() -> None:
    """Load what reading loads."""
    for case in seeds():
        with tempfile.TemporaryDirectory() as folder:
            write_case(case, Path(folder))
            read(Path(folder), Random(0))


TARGET = Target(seeds, mutate, read, (DataError, UsageError, StorageError), oracle, prepare)
