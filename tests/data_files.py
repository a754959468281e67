"""The same rows written in every form that a data set can have: what the tests of forms share."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from streameval import storage
from streameval.errors import StreamevalWarning
from streameval.storage.source import Span


def quietly(data: Any, **options: Any) -> Any:
    """`open` without the warning that says which columns were taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        return storage.open(data, **options)


def rows_of(source: Any) -> tuple[Any, Any]:
    """All features and targets of a data set."""
    chunks = list(source.chunks(Span(0, source.rows), 64))
    return np.concatenate([one.x for one in chunks]), np.concatenate([one.t for one in chunks])


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


def png(row: Any) -> bytes:
    """A row as a PNG image."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(row).save(file, "png")
    return file.getvalue()


def encoded(x: Any, t: Any) -> pa.Table:
    """Images as Hugging Face stores them, with the metadata that name the classes."""
    structs = [{"bytes": png(row), "path": f"{k}.png"} for k, row in enumerate(x)]
    names = {"names": [str(k) for k in range(10)], "_type": "ClassLabel"}
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": names}}}
    table = pa.table(
        {"image": pa.array(structs, pa.struct({"bytes": pa.binary(), "path": pa.string()})), "label": t}
    )
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def _images(path: Path, x: Any, t: Any) -> None:
    pq.write_table(encoded(x, t), path)


def _saved(path: Path, x: Any, t: Any) -> None:
    """As `datasets.Dataset.save_to_disk` does."""
    path.mkdir()
    table = encoded(x, t)
    halves = table.slice(0, len(x) // 2), table.slice(len(x) // 2)
    names = [f"data-{k:05d}-of-00002.arrow" for k in range(2)]
    for name, half in zip(names, halves, strict=True):
        with pa.ipc.new_stream(path / name, half.schema) as writer:
            writer.write_table(half)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (path / "dataset_info.json").write_text("{}")


def _by_class(path: Path, x: Any, t: Any) -> None:
    for label in range(10):
        (path / str(label)).mkdir(parents=True)
    for k, (row, label) in enumerate(zip(x, t, strict=True)):
        (path / str(label) / f"{k:05d}.png").write_bytes(png(row))


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
    "images in parquet": Form(_images, "images.parquet"),
    "saved by datasets": Form(_saved, "saved"),
    "images by class": Form(_by_class, "by-class"),
}
