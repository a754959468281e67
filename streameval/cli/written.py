"""What commands say that wrote data sets: which, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streameval.reports.numbers import count
from streameval.reports.terminal import TextStyle

SCHEMA = "streameval/written/1"


def describe(*paths: Path) -> dict[str, Any]:
    """What lies at each path, with the names of `info`."""
    from streameval.cli.description import data_set
    from streameval.storage.opening import open

    written = []
    for path in paths:
        source = open(path)
        written.append(data_set(source))
        source.close()
    return {"schema": SCHEMA, "written": written}


def text(result: dict[str, Any], style: TextStyle) -> str:
    """One line for each data set."""
    return style.finish(
        f"{one['path']}: {count(one['rows'])} rows of {' x '.join(map(str, one['shape']))} {one['dtype']}"
        for one in result["written"]
    )
