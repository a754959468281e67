"""Where results go: stdout, as one JSON object or as text that fits the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from streameval.reports.json import dumps
from streameval.reports.terminal import TextStyle

Result = TypeVar("Result")


def show(result: Result, as_json: bool, text: Callable[[Result, TextStyle], str]) -> None:
    """Print `result` as JSON, or as what `text` makes of it."""
    if sys.stdout is not None:
        print(dumps(result) if as_json else text(result, TextStyle.of(sys.stdout)))
