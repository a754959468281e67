"""Arrow schemas: which columns are accepted, and what the project records beside them.

Knows the allow-list of columns and the metadata keys. Does not know where data lies.

Features: column `image`, `x` or `features`, a fixed-size list or `arrow.fixed_shape_tensor` of uint8 or
float32.
Targets: column `label`, `t` or `labels`, an integer of any width, float32 or float64, or a fixed-size list of
float32 or float64 with one number for each class or output. Further columns are passed over; `columns` reads one of
them by name.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from streameval import json_text
from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.storage.flatbuffer import MalformedError, Table
from streameval.storage.layout import check_shape
from streameval.storage.record import Record, parse

FEATURE_NAMES = ("image", "x", "features")
TARGET_NAMES = ("label", "t", "labels")
FEATURE_TYPES = ("uint8", "float32")
# Letters of a tensor's metadata: a shape of a hundred dimensions takes fewer.
MAX_TENSOR = 4096
FIXED_SHAPE_TENSOR = "arrow.fixed_shape_tensor"
RECORD_KEY = "streameval"
RECORD_HASH_KEY = "streameval.sha256"
# Of each record batch: the hashes of its features and of its targets.
HASH_KEYS = ("streameval.image_sha256", "streameval.label_sha256")

INT, FLOATING_POINT, FIXED_SIZE_LIST = 2, 3, 16
TYPE_NAMES = {
    1: "null",
    INT: "int",
    FLOATING_POINT: "float",
    4: "binary",
    5: "utf8",
    6: "bool",
    7: "decimal",
    8: "date",
    10: "timestamp",
    12: "list",
    13: "struct",
    15: "fixed_size_binary",
    FIXED_SIZE_LIST: "fixed_size_list",
    17: "map",
    21: "large_list",
}
"""Numbers of the types in Arrow's Schema.fbs, as messages call them."""


# Buffers of one array of a type, without its children (Schema.fbs, Columnar.html): validity, then offsets or data.
BUFFERS = {
    1: 0,
    FIXED_SIZE_LIST: 1,
    13: 1,
    **dict.fromkeys((INT, FLOATING_POINT, 6, 7, 8, 9, 10, 11, 12, 15, 17, 18, 21), 2),
    **dict.fromkeys((4, 5, 19, 20), 3),
}


# What can be done about other columns and types without writing the file again.
NAMED = "Or say which columns are meant, and the rows are copied: features=, target= (--features, --target)."


@frozen
class Column:
    """A column of the allow-list.

    numbers  numbers in a row of it
    width    None for a plain column, else the length of its fixed-size lists
    """

    name: str
    dtype: np.dtype[Any]
    width: int | None
    shape: tuple[int, ...] | None = None

    @property
    def numbers(self) -> int:
        """Numbers in a row."""
        return self.width or 1

    @property
    def nodes(self) -> int:
        """Arrow arrays that make up the column: the list and what it holds, or one."""
        return 1 if self.width is None else 2

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.numbers * self.dtype.itemsize


@frozen
class OtherColumn:
    """A column that is passed over: how many Arrow arrays and buffers it takes in a batch, children included."""

    name: str
    nodes: int
    buffers: int


@frozen
class Header:
    """What a schema says: the columns in the file's order, and what the project recorded, if it did."""

    columns: tuple[Column | OtherColumn, ...]
    image: Column
    label: Column
    shape: tuple[int, ...]
    classes: int | None
    record: Record | None


def read(schema: Table | None, name: str) -> Header:
    """Return what a schema says. Raises DataError when it is outside the allow-list."""
    if schema is None:
        raise MalformedError("it has no schema")
    if schema.number(0, "h") != 0:
        raise DataError(
            f"{name}: big-endian numbers were found, little-endian expected. Write it on this machine."
        )
    columns = tuple(
        _column(field, name) if field.text(0) in FEATURE_NAMES + TARGET_NAMES else _other(field, name)
        for field in schema.tables(1)
    )
    known = [column for column in columns if isinstance(column, Column)]
    images = [column for column in known if column.name in FEATURE_NAMES]
    labels = [column for column in known if column.name in TARGET_NAMES]
    if {column.name for column in columns} == {"row", "loss"}:
        raise DataError(
            f"{name}: a file of losses, as `streameval evaluate --losses` writes it, expected data. To compare a model "
            "with them: streameval paired MODEL DATA --losses."
        )
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"{name}: columns {_some([column.name for column in columns])} were found, expected two by name: features "
            f"({', '.join(FEATURE_NAMES)}) and targets ({', '.join(TARGET_NAMES)}), each once. "
            f"Name them so: table.select([...]).rename_columns(['image', 'label']). {NAMED}"
        )
    image, label = images[0], labels[0]
    _check_types(image, label, name)
    shape = image.shape or (image.numbers,)
    check_shape(name, shape)
    record = _record(schema.pairs(2), name)
    classes = None if record is None else record.classes
    if label.width is not None and classes not in (None, label.width):
        raise DataError(f"{name}: targets of {label.width} numbers, but {classes} classes are recorded.")
    return Header(
        columns=columns,
        image=image,
        label=label,
        shape=shape,
        classes=label.width or (1 if label.dtype.kind == "f" else classes),
        record=record,
    )


def record_pairs(record: Record) -> dict[str, str]:
    """Return the schema metadata that hold `record`."""
    return {RECORD_KEY: record.text(), RECORD_HASH_KEY: record.sha256}


def _column(field: Table, name: str) -> Column:
    """Return one column, or raise DataError saying its type."""
    title, kind, detail = field.text(0), field.number(2, "B"), field.table(3)
    extension = field.pairs(6)
    tensor = extension.get("ARROW:extension:name")
    children = list(field.tables(5))
    dtype, width = None, None
    if field.table(4) is None and detail is not None:
        if kind == FIXED_SIZE_LIST and len(children) == 1:
            width = detail.number(0, "i")
            child_kind, child = children[0].number(2, "B"), children[0].table(3)
            plain = child is not None and not list(children[0].tables(5)) and children[0].table(4) is None
            dtype = _number_type(child_kind, child) if plain else None
        elif not children:
            dtype = _number_type(kind, detail)
    if dtype is None or (width is not None and width < 1) or tensor not in (None, FIXED_SHAPE_TENSOR):
        type_name = tensor or (
            "dictionary" if field.table(4) is not None else TYPE_NAMES.get(kind, f"type {kind}")
        )
        inner = f" of {TYPE_NAMES.get(children[0].number(2, 'B'), '?')}" if children else ""
        raise DataError(
            f"{name}: column {title[:60]!r} is of type {type_name[:60]!s}{inner}, expected fixed_shape_tensor or "
            "fixed_size_list of uint8 or float32 for features, an integer or a fixed_size_list of floats for "
            f"targets. Cast the column, and write the file again. {NAMED}"
        )
    shape = (
        None if tensor is None else _tensor_shape(extension.get("ARROW:extension:metadata", ""), width, name)
    )
    return Column(title, dtype, width, shape)


def _other(field: Table, name: str) -> OtherColumn:
    """Return what a column that is passed over takes, or raise DataError for a type whose buffers are not counted."""
    nodes = buffers = 0
    waiting = [field]
    while waiting:
        one = waiting.pop()
        kind, children = one.number(2, "B"), list(one.tables(5))
        if one.table(4) is not None:  # dictionary-encoded: the indices lie in the batch
            kind, children = INT, []
        if kind not in BUFFERS:
            raise DataError(
                f"{name}: column {field.text(0)[:60]!r} is of Arrow type {TYPE_NAMES.get(kind, kind)}, which cannot be "
                "passed over; expected plain, text, list or struct columns. Leave it out: table.drop_columns([...])."
            )
        nodes, buffers = nodes + 1, buffers + BUFFERS[kind]
        waiting += children
    return OtherColumn(field.text(0), nodes, buffers)


def _some(names: list[str]) -> str:
    """Name up to eight, each cut to a length that fits a message."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{[name[:60] for name in names[:8]]}{more}"


def _number_type(kind: int, detail: Table | None) -> np.dtype[Any] | None:
    if detail is None:
        return None
    if kind == INT:
        bits, signed = detail.number(0, "i"), detail.number(1, "B")
        return np.dtype(f"{'i' if signed else 'u'}{bits // 8}") if bits in (8, 16, 32, 64) else None
    if kind == FLOATING_POINT:
        name = {1: "float32", 2: "float64"}.get(detail.number(0, "h"))
        return None if name is None else np.dtype(name)
    return None


def _tensor_shape(text: str, width: int | None, name: str) -> tuple[int, ...]:
    """Return the shape that a fixed-shape tensor's JSON gives; its order must be row-major."""
    try:
        detail = json_text.parse(text[:MAX_TENSOR])
        shape = tuple(detail["shape"])
        order = detail.get("permutation") or list(range(len(shape)))
        right = all(type(side) is int and 0 < side < 2**31 for side in shape) and math.prod(shape) == width
    except (ValueError, TypeError, KeyError, AttributeError):
        right, order, shape = False, [], ()
    if not right or order != list(range(len(shape))):
        raise DataError(
            f"{name}: fixed_shape_tensor metadata {text[:200]!r}, expected a row-major shape of {width} "
            "numbers. Write the file again with pa.fixed_shape_tensor(pa.uint8(), shape)."
        )
    return shape


def _check_types(image: Column, label: Column, name: str) -> None:
    if image.width is None or image.dtype.name not in FEATURE_TYPES:
        type_name = f"{image.dtype} x {image.numbers}"
        raise DataError(
            f"{name}: features {image.name!r} are {type_name}, expected a fixed_size_list or fixed_shape_tensor "
            f"of uint8 or float32. Cast the column, and write the file again. {NAMED}"
        )
    plain = label.width is None
    if label.shape is not None or label.dtype.kind not in ("iuf" if plain else "f"):
        type_name = f"{label.dtype} x {label.numbers}"
        raise DataError(
            f"{name}: targets {label.name!r} are {type_name}, expected integers, float32 or float64, or a "
            "fixed_size_list of those floats with one number for each class. Cast the column, and write the file again."
        )


def _record(pairs: dict[str, str], name: str) -> Record | None:
    """Return what the project recorded, None in a foreign file."""
    if RECORD_KEY not in pairs and RECORD_HASH_KEY not in pairs:
        return None
    return parse(pairs.get(RECORD_KEY, ""), pairs.get(RECORD_HASH_KEY), name)
