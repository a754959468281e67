"""The one place that turns results into JSON: always valid, one line, numbers only where there are numbers."""

from __future__ import annotations

import json
import math
from pathlib import PurePath
from typing import Any


def dumps(result: Any) -> str:
    """Return `result` as one line of JSON.

    result  dicts, lists, tuples, strings, numbers, NumPy scalars and arrays, paths; or what has `to_dict`

    NaN and infinity, which JSON does not know, become null. Floats keep every bit: they are written as the shortest
    decimal that reads back the same.
    """
    return json.dumps(plain(result), allow_nan=False)


def plain(value: Any) -> Any:
    """Return `value` as what JSON knows: dict, list, str, int, float, bool, None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    raise TypeError(f"{type(value).__name__} has no form in JSON")
