"""From arguments to what the library takes: models, data sets, row numbers.

Knows how row numbers are written down. Does not know what is computed from any of them.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from streameval import npy_header
from streameval.cli.options import shown
from streameval.errors import UsageError
from streameval.storage.source import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streameval.evaluation.selection import Rows
    from streameval.models.network import Network
    from streameval.storage.source import Source

RANGE = re.compile(r"(\d{0,18}):(\d{0,18})")
FORMS = "START:STOP, or a file of row numbers: a JSON list, text with one number a line, or .npy"


def load_model(
    path: str, activation: str | None = None, dropout: str | None = None, *, allow_nonfinite: bool = False
) -> Network:
    """Load a network; `activation` is one name, or one for each hidden layer with commas between."""
    from streameval.models.loading import load

    names = activation.split(",") if activation and "," in activation else activation
    return load(path, activation=names, dropout=dropout, allow_nonfinite=allow_nonfinite)


def open_data(path: str, *, io: str = "auto", **given: Any) -> Source:
    """Open a data set; unless `pread` is asked for, make sure that a file which is cut short is named at the end.

    given  what else `streameval.open` takes
    """
    from streameval.storage.opening import open

    source = open(path, io=io, **given)
    if io != "pread":
        from streameval.cli.truncation import watch

        watch(path)
    return source


def parse_rows(text: str | None, total: int) -> Rows:
    """Return the rows that `--rows` asks for, of `total`: a span, or what a file lists; None for all.

    Raises UsageError for what is neither, or no row, with the line where a file stops making sense.
    """
    if text is None:
        return None
    rows = _rows(text, total)
    if rows.start == rows.stop if isinstance(rows, Span) else len(rows) == 0:
        raise UsageError(
            f"--rows {text}: it selects no row, so there is no loss. Expected one of {total} at least."
        )
    return rows


def _rows(text: str, total: int) -> Span | NDArray[Any]:
    match = RANGE.fullmatch(text)
    if match and match.group() != ":":
        first, last = match.groups()
        return Span(int(first or 0), int(last) if last else total)
    from streameval.files import read_small

    if not os.path.lexists(text):
        first = f" The first {text}: 0:{text}." if text.isdecimal() and text.isascii() else ""
        raise UsageError(f"--rows {shown(text)}: no such file, and not a range. Expected {FORMS}.{first}")
    content = read_small(text, "row numbers")
    if content.startswith(npy_header.MAGIC):
        return _npy(text, content)
    return _json(text, content) if content.lstrip().startswith(b"[") else _lines(text, content)


def _npy(path: str, content: bytes) -> NDArray[Any]:
    try:
        rows = npy_header.array(content)
    except npy_header.MalformedHeaderError as error:
        raise UsageError(f"--rows {path}: not a usable .npy file: {error}. Expected integers (n,).") from None
    if rows.ndim != 1 or rows.dtype.kind not in "iub":
        raise UsageError(
            f"--rows {path}: {rows.dtype} of shape {rows.shape}, expected integers (n,) or a mask."
        )
    return rows


def _json(path: str, content: bytes) -> NDArray[np.int64]:
    import numpy as np

    try:
        numbers = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--rows {path}: not a usable JSON list: {error}. Expected {FORMS}.") from None
    for entry, number in enumerate(numbers):
        if type(number) is not int or not -(2**63) <= number < 2**63:
            raise UsageError(f"--rows {path}: entry {entry} is {str(number)[:40]!r}, expected a row number.")
    return np.array(numbers, np.int64)


def _lines(path: str, content: bytes) -> NDArray[np.int64]:
    import numpy as np

    numbers = []
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.strip()
        if text and not re.fullmatch(rb"\d{1,18}", text):
            found = text[:40].decode(errors="replace")
            raise UsageError(
                f"--rows {path}, line {number}: {found!r}, expected a row number. Expected {FORMS}."
            )
        if text:
            numbers.append(int(text))
    return np.array(numbers, np.int64)
