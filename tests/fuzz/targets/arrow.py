"""Arrow files, plain and compressed: headers changed where they are, alike wherever a number stands, and bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from streameval.storage import create
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.rows import CLASSES, REFUSALS, ROWS, SOFT, XF, T, X, content, read

FEATURES, TARGETS = ("image", "x", "features"), ("label", "t", "labels")
FILE = "data.arrow"


def lists(array: np.ndarray) -> Any:
    """Return rows of numbers as a fixed-size list."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def file_bytes(columns: dict[str, Any], chunk: int = 20, metadata: Any = None, **options: Any) -> bytes:
    """Return an Arrow file of these columns, as pyarrow writes it."""
    import pyarrow as pa

    table = pa.table(columns).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches(max_chunksize=chunk):
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def own_bytes(x: np.ndarray, t: np.ndarray, shape: tuple[int, ...], **more: Any) -> bytes:
    """Return an Arrow file as the project writes it, with recorded hashes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        batches = [(x.reshape(ROWS, *shape), t)]
        made = create(
            Path(folder, FILE), batches, rows=ROWS, shape=shape, dtype=x.dtype, classes=CLASSES, **more
        )
        return made.read_bytes()


def with_bitmaps(**options: Any) -> bytes:
    """Return a file whose columns have validity bitmaps in which nothing is null."""
    import pyarrow as pa

    bits = pa.py_buffer(b"\xff" * 6 + b"\x03")
    labels = pa.Array.from_buffers(pa.int64(), ROWS, [bits, pa.py_buffer(T.tobytes())], null_count=0)
    values = pa.Array.from_buffers(
        pa.uint8(), ROWS * 16, [pa.py_buffer(b"\xff" * 100), pa.py_buffer(X.tobytes())], null_count=0
    )
    columns = {"image": pa.FixedSizeListArray.from_arrays(values, 16), "label": labels}
    return file_bytes(columns, chunk=ROWS, **options)


def tensor() -> Any:
    """Return images as pyarrow's fixed-shape tensors."""
    import pyarrow as pa

    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), [4, 4]), lists(X))


def seeds() -> list[Case]:
    """Files of the project's own and of pyarrow, of each form that is accepted."""
    huggingface = {"a": "b", "huggingface": '{"info": {}}'}
    contents = [
        own_bytes(X, T, (4, 4)),
        own_bytes(XF, T, (16,)),
        own_bytes(X, SOFT, (16,), soft=True),
        file_bytes({"image": lists(X), "label": T}),
        file_bytes({"t": T.astype(np.uint8), "features": lists(XF)}, metadata=huggingface),
        file_bytes({"x": lists(X), "labels": lists(SOFT.astype(np.float64))}),
        file_bytes({"image": tensor(), "label": T.astype(np.int32)}, chunk=ROWS),
        file_bytes({"image": lists(X), "label": T.astype(np.int16)}, use_legacy_format=True),
        with_bitmaps(),
    ]
    return [{FILE: one} for one in contents]


def compressed_seeds() -> list[Case]:
    """Files that are compressed in both ways."""
    contents = [
        file_bytes({"image": lists(X), "label": T.astype(np.int16)}, compression="lz4"),
        file_bytes({"image": lists(XF), "label": T.astype(np.uint64)}, compression="zstd"),
        file_bytes({"image": lists(X // 128), "label": lists(SOFT)}, compression="zstd"),
        with_bitmaps(compression="lz4"),
    ]
    return [{FILE: one} for one in contents]


def headers(data: bytes) -> list[mutators.Range]:
    """Return where the headers of a sound file lie: everything that is no row."""
    import pyarrow as pa

    size = int.from_bytes(data[-10:-6], "little")
    ranges = [(len(data) - 10 - size, len(data))]
    stream = pa.BufferReader(data)
    at = 8
    while at < ranges[0][0]:
        stream.seek(at)
        try:
            message = pa.ipc.read_message(stream)
        except (EOFError, OSError):
            break
        body = 0 if message.body is None else message.body.size
        ranges.append((at, stream.tell() - body))
        at = stream.tell()
    return ranges


def mutate(rng: Random, case: Case) -> Case:
    """Change the headers: one place, or one number wherever it stands."""
    data = case[FILE]
    ranges = headers(data)
    if rng.random() < 0.3:
        return {FILE: mutators.number_everywhere(rng, data, ranges)}
    return {FILE: mutators.damaged(rng, data, ranges)}


def bits_flipped(data: bytes, of: Callable[[int], bool] = lambda _: True) -> Iterator[bytes]:
    """Yield the file with each bit of its headers flipped, of those whose number `of` chooses."""
    bits = [8 * at + bit for first, stop in headers(data) for at in range(first, stop) for bit in range(8)]
    for number, bit in enumerate(bits):
        if of(number):
            out = bytearray(data)
            out[bit // 8] ^= 1 << bit % 8
            yield bytes(out)


def read_file(folder: Path, rng: Random) -> bytes:
    """Read the file."""
    return read(folder / FILE, rng)


def oracle(folder: Path) -> bytes:
    """Read it by pyarrow. Raises what pyarrow raises, and ValueError for nulls."""
    import pyarrow as pa

    parts: list[tuple[np.ndarray, np.ndarray]] = []
    with pa.ipc.open_file(folder / FILE) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            x, t = (
                _numbers(batch.column(next(name for name in batch.schema.names if name in names)))
                for names in (FEATURES, TARGETS)
            )
            parts.append((x, t))
    x, t = (np.concatenate(one) for one in zip(*parts, strict=True))
    return content(x, t)


def _numbers(column: Any) -> np.ndarray:
    column = getattr(column, "storage", column)
    flat = column.flatten() if hasattr(column.type, "list_size") else column
    if column.null_count or flat.null_count:
        raise ValueError("nulls")
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1 if flat is not column else 1).copy()


def prepare() -> None:
    """Have pyarrow load its library and start its threads before memory is limited."""
    for case in (seeds()[0], compressed_seeds()[0]):
        headers(case[FILE])


TARGET = Target(seeds, mutate, read_file, REFUSALS, oracle, prepare)
COMPRESSED = Target(compressed_seeds, mutate, read_file, REFUSALS, oracle, prepare)
