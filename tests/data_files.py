"""The same rows written in every form that a data set can have: what the tests of forms share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq


def drawn(rows: int = 300, shape: tuple[int, ...] = (28, 28), seed: int = 0) -> tuple[Any, Any]:
    """Bytes, of which some are large, and labels of ten classes."""
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 256, (rows, *shape), np.uint8) * (generator.random((rows, *shape)) < 0.2)
    return x.astype(np.uint8), generator.integers(0, 10, rows)


def wide(x: Any, t: Any, dtype: Any = np.int64) -> pa.Table:
    """A column for each pixel, as Kaggle's files have it."""
    flat = x.reshape(len(x), -1).astype(dtype)
    return pa.table({"label": t, **{f"pixel{k}": flat[:, k] for k in range(flat.shape[1])}})


def listed(x: Any, t: Any, image: str = "image", label: str = "label", dtype: Any = np.uint8) -> pa.Table:
    """A column of lists, nested as the rows are."""
    array = pa.array(x.astype(dtype).reshape(-1))
    for side in reversed(x.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, side)
    return pa.table({image: array, label: t})


def _parquet(path: Path, x: Any, t: Any) -> None:
    pq.write_table(wide(x, t), path, row_group_size=max(1, len(x) // 3))


def _list_parquet(path: Path, x: Any, t: Any) -> None:
    pq.write_table(listed(x, t, "img", "fine"), path)


def _csv(path: Path, x: Any, t: Any) -> None:
    pacsv.write_csv(wide(x, t), path)


def _packed_csv(path: Path, x: Any, t: Any) -> None:
    with pa.CompressedOutputStream(str(path), "gzip") as file:
        pacsv.write_csv(wide(x, t), file, pacsv.WriteOptions(delimiter="\t"))


def _jsonl(path: Path, x: Any, t: Any) -> None:
    rows = zip(x.tolist(), t.tolist(), strict=True)
    path.write_text("".join(json.dumps({"image": one, "label": label}) + "\n" for one, label in rows))


def _npz(path: Path, x: Any, t: Any) -> None:
    np.savez_compressed(path, x=x, t=t)


def _int_npz(path: Path, x: Any, t: Any) -> None:
    np.savez(path, x_train=x[:1], y_train=t[:1], x_test=x.astype(">i4")[..., None], y_test=t)


def _feather(path: Path, x: Any, t: Any) -> None:
    with pa.ipc.new_file(path, (table := wide(x, t, np.int16)).schema) as writer:
        writer.write_table(table)


def _stream(path: Path, x: Any, t: Any) -> None:
    with pa.ipc.new_stream(path, (table := listed(x, t)).schema) as writer:
        writer.write_table(table, max_chunksize=100)


def _shards(path: Path, x: Any, t: Any) -> None:
    path.mkdir()
    for k in range(0, 12, 2):
        part = slice(len(x) * k // 12, len(x) * (k + 2) // 12)
        pq.write_table(listed(x[part], t[part]), path / f"part-{k}.parquet")


@dataclass(frozen=True)
class Form:
    """How rows are written, under which name, and what `open` is told then; on the command line --NAME VALUE."""

    write: Callable[[Path, Any, Any], None]
    name: str
    options: dict[str, str] = field(default_factory=dict)

    def written(self, folder: Path, x: Any, t: Any) -> Path:
        """Write the rows, and return where."""
        self.write(folder / self.name, x, t)
        return folder / self.name


FORMS = {
    "parquet": Form(_parquet, "train.parquet"),
    "parquet of lists": Form(_list_parquet, "lists.parquet", {"image": "img", "target": "fine"}),
    "csv": Form(_csv, "train.csv"),
    "csv packed": Form(_packed_csv, "train.tsv.gz", {"features": "pixel*", "target": "label"}),
    "jsonl": Form(_jsonl, "train.jsonl"),
    "npz": Form(_npz, "train.npz"),
    "npz of integers": Form(_int_npz, "keras.npz", {"features": "x_test", "target": "y_test"}),
    "feather": Form(_feather, "train.feather", {"features": "pixel*", "target": "label"}),
    "arrow stream": Form(_stream, "stream.arrow"),
    "parquet shards": Form(_shards, "shards"),
}
