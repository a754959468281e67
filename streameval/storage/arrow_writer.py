"""Writing Arrow IPC files that `arrow` reads, and any other Arrow reader too.

Knows pyarrow's writer. Does not know where blocks come from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.files import atomic_file
from streameval.storage.arrow_schema import HASH_KEYS, record_pairs
from streameval.storage.form import Form
from streameval.storage.source import Hashes


class ArrowWriter:
    """One record batch for each block; its hashes are the batch's own metadata."""

    def __init__(self, file: Any, form: Form) -> None:
        self._form = form
        self._file = file

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, form: Form) -> Iterator[ArrowWriter]:
        """Write to `path`, which appears when the block ends without an error."""
        import pyarrow as pa

        with atomic_file(path) as file, pa.ipc.new_file(file, _schema(form)) as writer:
            yield cls(writer, form)

    def write(self, x: NDArray[Any], t: NDArray[Any], hashes: Hashes) -> None:
        """Write one block as one record batch."""
        import pyarrow as pa

        schema, form = _schema(self._form), self._form
        features = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), form.features)
        targets = pa.array(np.ascontiguousarray(t).reshape(-1))
        if form.width is not None:
            targets = pa.FixedSizeListArray.from_arrays(targets, type=schema.field(1).type)
        images = pa.ExtensionArray.from_storage(schema.field(0).type, features)
        batch = pa.record_batch([images, targets], schema=schema)
        self._file.write_batch(batch, custom_metadata=dict(zip(HASH_KEYS, hashes, strict=True)))


def _schema(form: Form) -> Any:
    import pyarrow as pa

    image = pa.fixed_shape_tensor(pa.from_numpy_dtype(form.dtype), form.shape)
    label = pa.from_numpy_dtype(form.label_dtype)
    if form.width is not None:
        label = pa.list_(pa.field("item", label, nullable=False), form.width)
    fields = [pa.field("image", image, nullable=False), pa.field("label", label, nullable=False)]
    return pa.schema(fields, metadata=record_pairs(form.record))
