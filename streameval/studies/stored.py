"""Losses that an earlier evaluation stored: checked against the data set, and lent as a mapped array.

Knows the file that `evaluate --losses` writes. Does not know what the losses are compared with.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval import losses
from streameval.errors import DataError
from streameval.evaluation.loss_file import RECORD, VERSION
from streameval.files import storage_errors
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.storage.source import Source
from streameval.studies.spooled import spooled_array


@frozen(eq=False)
class StoredLosses:
    """Stored losses of all rows of one data set.

    losses  mapped (rows,) float64 in nats, by row number
    path    the file · model: SHA-256 of the model that they are of
    """

    losses: NDArray[np.float64]
    path: str
    model: str


@contextlib.contextmanager
def stored_losses(path: str | os.PathLike[str], source: Source, loss: Loss) -> Iterator[StoredLosses]:
    """Lend the losses of all rows that `evaluate --losses` wrote of this data set with this loss.

    Raises:
        DataError: not such a file; of another data set or loss; rows that are missing, repeated or in another order.
        StorageError: the file cannot be read.
    """
    name = os.fspath(path)
    with contextlib.ExitStack() as stack:
        reader = _opened(name, stack)
        record = _record(name, reader)
        _check_same(name, "data", record.get("data"), source.fingerprint)
        _check_same(name, "loss", losses.from_dict(record["loss"]), loss)
        array = stack.enter_context(spooled_array(_pieces(name, reader, source)))
        yield StoredLosses(array, name, str(record.get("model")))


def _opened(name: str, stack: contextlib.ExitStack) -> Any:
    import pyarrow as pa

    with storage_errors(name):
        file = stack.enter_context(pa.memory_map(name))
    try:
        return pa.ipc.open_file(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{name}: not a file of losses: {str(error)[:200]}. Expected what evaluate --losses writes."
        ) from None


def _record(name: str, reader: Any) -> dict[str, Any]:
    """What the losses were made of."""
    import pyarrow as pa

    schema = reader.schema
    try:
        names, raw = schema.names, (schema.metadata or {}).get(RECORD)
    except UnicodeDecodeError:
        names, raw = ["?"], None
    if raw is None or names != ["row", "loss"] or schema.types != [pa.int64(), pa.float64()]:
        raise DataError(
            f"{name}: columns {str(names)[:200]}, expected a file of losses with the columns row and loss. "
            "Write one: streameval evaluate MODEL DATA --losses OUT.arrow"
        )
    try:
        record = json.loads(raw)
        version, eps = record["version"], float(record.get("eps") or 0.0)
        # An earlier version knew cross-entropy alone, and wrote its eps.
        record.setdefault("loss", {"name": "cross-entropy", "eps": eps.hex()})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(
            f"{name}: its record is damaged. Write the losses again: evaluate --losses."
        ) from None
    _check_same(name, "version", version, VERSION)
    return dict(record)


def _check_same(name: str, what: str, stated: Any, expected: Any) -> None:
    if stated != expected:
        raise DataError(
            f"{name}: these losses have {what} {str(stated)[:100]}, expected {expected}. Write them again for this "
            "data set: streameval evaluate OLD_MODEL DATA --losses OUT.arrow"
        )


def _pieces(name: str, reader: Any, source: Source) -> Iterator[NDArray[np.float64]]:
    """Yield the losses batch by batch, each row in its place."""
    import pyarrow as pa

    done = 0
    for k in range(reader.num_record_batches):
        try:
            batch = reader.get_batch(k)
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(
                f"{name}: batch {k} is damaged: {str(error)[:200]}. Write the losses again."
            ) from None
        rows = batch.column(0).to_numpy(zero_copy_only=False)
        losses = batch.column(1).to_numpy(zero_copy_only=False)
        if not np.array_equal(rows, np.arange(done, done + len(rows))):
            raise DataError(
                f"{name}: rows from place {done} on are not those of the data set in order. Expected the losses of "
                "all rows: streameval evaluate OLD_MODEL DATA --losses OUT.arrow, without --rows."
            )
        if not np.isfinite(losses).all():
            row = done + int(np.argmin(np.isfinite(losses)))
            raise DataError(f"{name}, row {row}: the loss is not finite. Expected finite losses of all rows.")
        done += len(rows)
        yield losses
    if done != source.rows:
        raise DataError(
            f"{name}: losses of {done} rows, but {source.name} has {source.rows}. Write them again: "
            "streameval evaluate OLD_MODEL DATA --losses OUT.arrow"
        )
