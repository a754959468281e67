"""PyTorch's data sets and loaders as tables: `Dataset`, `IterableDataset`, `DataLoader`.

Knows their types by name and imports no torch. Does not know what columns mean, but that a pair is features and target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import array_or
from streameval.errors import DataError, UsageError
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table, What

# Bytes of rows that are gathered at once.
MOST_BYTES: Final = 64 << 20
PAIR: Final = ("x", "t")
Sample = Mapping[str, Any]


def data_set(data: Any) -> Table:
    """A `Dataset` whose items are (features, target), or objects of names; of one with a length in the order of its
    numbers. The transforms that it has are applied.
    """
    name = f"<{type(data).__name__}>"
    notes: tuple[str, ...] = ()
    rows = None
    if not hasattr(type(data), "__getitem__") or _is(data, "IterableDataset"):
        items: Iterable[Any] = data
    else:
        try:
            rows = len(data)
        except (TypeError, NotImplementedError):
            raise UsageError(
                f"{name}: a data set without a length, expected len(data). Give it __len__."
            ) from None
        if rows == 0:
            raise DataError(f"{name}: no rows, expected at least one.")
        items = (data[k] for k in range(rows))
        notes = _random(name, data)
    samples = (_named(name, item, row) for row, item in enumerate(items))
    return _table(
        name, _of_samples(name, samples), f"a data set of torch ({type(data).__name__})", rows, notes
    )


def loader(data: Any) -> Table:
    """A `DataLoader` whose batches are (features, targets), or objects of names. Each row must come once: a sampler
    that repeats or leaves out rows is refused, one that shuffles is told.
    """
    name = f"<DataLoader of {type(data.dataset).__name__}>"
    notes = _check_sampler(name, data)
    rows = 0

    def parts() -> Iterator[Part]:
        nonlocal rows
        for batch in data:
            columns = {key: _array(name, value, rows) for key, value in _named(name, batch, rows).items()}
            lengths = {len(one) if one.ndim else -1 for one in columns.values()}
            if len(lengths) != 1 or -1 in lengths:
                raise DataError(
                    f"{name}, row {rows}: a batch whose parts are of unlike lengths. Give its dataset."
                )
            yield Part(name, rows, columns)
            rows += lengths.pop()

    length = None if _is(data.dataset, "IterableDataset") else len(data.dataset)
    return _table(name, parts(), "a DataLoader of torch", length, notes)


def _table(name: str, found: Iterator[Part], form: str, rows: int | None, notes: tuple[str, ...]) -> Table:
    """The parts as a table; the first one says which columns there are."""
    first = next(found, None)
    if first is None:
        raise DataError(f"{name}: no rows, expected at least one.")
    columns = {key: _kind(value) for key, value in first.columns.items()}
    waiting = [itertools.chain([first], found)]

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        if not waiting:
            raise UsageError(f"{name}: it was read already. Open it anew.")
        for part in waiting.pop():
            if missing := [key for key in wanted if key not in part.columns]:
                raise DataError(
                    f"{name}, row {part.first}: no {missing[0]!r}, as in the rows before. Correct it."
                )
            yield part

    return Table(name, None, form, columns, read, rows=rows, once=True, notes=notes)


def _of_samples(name: str, samples: Iterator[Sample]) -> Iterator[Part]:
    """Samples, some at a time, stacked."""
    first, at_once = 0, 1
    while rows := list(itertools.islice(samples, at_once)):
        columns = {}
        for key in rows[0]:
            arrays = [_array(name, row.get(key), first + k) for k, row in enumerate(rows)]
            for k, one in enumerate(arrays):
                if one.shape != arrays[0].shape:
                    raise DataError(
                        f"{name}, column {key!r}, row {first + k}: shape {one.shape}, expected {arrays[0].shape} as in "
                        "the rows before. Bring all rows to one shape."
                    )
            columns[key] = np.stack(arrays)
        yield Part(name, first, columns)
        first += len(rows)
        size = sum(one.nbytes for one in columns.values()) // len(rows)
        at_once = max(1, min(BATCH_ROWS, MOST_BYTES // max(1, size)))


def _named(name: str, item: Any, row: int) -> Sample:
    """What a data set or a loader yields, by names."""
    if isinstance(item, Mapping):
        return item
    if isinstance(item, tuple | list) and len(item) == 2:
        return dict(zip(PAIR, item, strict=True))
    shown = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
    raise UsageError(
        f"{name}, row {row}: {shown}, expected (features, target), or a dict of names. Wrap it: a data set whose "
        "__getitem__ returns these two."
    )


def _array(name: str, value: Any, row: int) -> NDArray[Any]:
    """A tensor, an image, a number, or whatever NumPy takes, as an array."""
    cure = "Bring all rows to one shape: of a sparse tensor, to_dense()."
    array = array_or(DataError, f"{name}, row {row}:", value, cure)
    if type(value).__module__.startswith("PIL."):
        if value.mode not in ("L", "RGB"):
            raise DataError(
                f"{name}, row {row}: an image of mode {value.mode}, expected grey (L) or red, green, blue (RGB). "
                "Convert it: Image.convert('RGB')."
            )
        # Channels first, as torch has them.
        array = array.transpose(2, 0, 1) if array.ndim == 3 else array
    return array


def _kind(array: NDArray[Any]) -> Kind:
    what: What = "other" if array.dtype.kind not in "biuf" else "number" if array.ndim == 1 else "list"
    if array.dtype.kind in "US":
        what = "text"
    return Kind(what, f"{array.dtype.name} {array.shape[1:]}")


def _random(name: str, data: Any) -> tuple[str, ...]:
    """What to say of a data set whose first row is another when it is read again."""
    one, other = (_named(name, data[0], 0) for _ in range(2))
    same = all(np.array_equal(_array(name, one[key], 0), _array(name, other.get(key), 0)) for key in one)
    return () if same else ("Its rows are others each time they are read, as by a random transform",)


def _check_sampler(name: str, data: Any) -> tuple[str, ...]:
    """What to say of a loader. Raises UsageError for one whose batches are not all rows, each once."""
    plain = "Give the data set itself (loader.dataset), or DataLoader(dataset, batch_size=...)."
    if data.batch_sampler is None:
        raise UsageError(f"{name}: no batches are made (batch_size=None), expected batches. {plain}")
    if _is(data.dataset, "IterableDataset"):
        if data.drop_last:
            raise UsageError(
                f"{name}: drop_last leaves out the rows of an unfinished batch, expected all rows. {plain}"
            )
        several = f"Each of its {data.num_workers} workers reads all of the data set, unless it splits itself"
        return (several,) if data.num_workers > 1 else ()
    if type(data.batch_sampler).__name__ != "BatchSampler":
        raise UsageError(
            f"{name}: its batch_sampler, {type(data.batch_sampler).__name__}, decides which rows come, expected all, "
            f"each once. {plain}"
        )
    sampler, rows = data.sampler, len(data.dataset)
    kind = type(sampler).__name__
    dropped = rows % data.batch_size if data.drop_last else 0
    if dropped:
        raise UsageError(f"{name}: drop_last leaves out {dropped} of {rows} rows, expected all rows. {plain}")
    if kind == "SequentialSampler":
        return ()
    if kind != "RandomSampler" or sampler.replacement or len(sampler) != rows:
        what = (
            "with replacement"
            if getattr(sampler, "replacement", False)
            else f"of {len(sampler)} of {rows} rows"
        )
        raise UsageError(f"{name}: its sampler is a {kind} {what}, expected each row once. {plain}")
    return ("Its loader shuffles: rows are numbered in the order in which they came, another one each time",)


def _is(data: Any, name: str) -> bool:
    """Whether something is of a type of torch, or derived from one."""
    return any(one.__name__ == name and one.__module__.startswith("torch.") for one in type(data).__mro__)
