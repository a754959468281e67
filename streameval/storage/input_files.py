"""Which files a data set is read from, by name and by pattern, so that no output is aimed at them.

Knows how data sets are named. Does not open or read any of them.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

from streameval.objects import is_remote
from streameval.storage.adopted import adopted
from streameval.storage.formats import ENDINGS, format_of
from streameval.storage.source import is_source


def input_files(data: object) -> tuple[str, ...]:
    """Return the files that opening `data` reads, and the pattern of those that it would read another time.

    data  anything `streameval.open` takes; arrays and objects in a store give nothing
    """
    if isinstance(data, str | os.PathLike):
        return () if is_remote(data) else _of_path(os.fsdecode(data))
    if isinstance(data, list | tuple) and all(isinstance(one, str | os.PathLike) for one in data):
        return tuple(name for one in data for name in input_files(one))
    if is_source(data):
        return *input_files(data.path or ()), *(name for name in adopted(data).files if not is_remote(name))
    return ()


def _of_path(path: str) -> tuple[str, ...]:
    folder = Path(path)
    if not folder.is_dir():
        return (path,)
    form = format_of("folder", folder)
    if form is not None:
        return tuple(str(folder / name) for name in form.inside)
    patterns = [f"*{ending}" for ending in ENDINGS]
    inner = (
        name
        for one in patterns
        for part in sorted(folder.glob(one))
        if part.is_dir()
        for name in input_files(part)
    )
    return *(str(Path(glob.escape(path), one)) for one in patterns), *inner
