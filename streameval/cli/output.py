"""Where results go: stdout, as one JSON object or as text that fits the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from streameval.reports.json import dumps, plain
from streameval.reports.terminal import TextStyle

Result = TypeVar("Result")


def show(
    result: Result, as_json: bool, text: Callable[[Result, TextStyle], str], key: bytes | None = None
) -> None:
    """Print `result` as JSON, signed where a key is given, or as what `text` makes of it; to the last byte."""
    if sys.stdout is None:
        return
    if not as_json:
        print(text(result, TextStyle.of(sys.stdout)))
    elif key is None:
        print(dumps(result))
    else:
        from streameval.evaluation.sealed import seal

        print(dumps(seal(plain(result), key)))
    sys.stdout.flush()
