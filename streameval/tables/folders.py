"""Folders as tables: images by class, and what Hugging Face's `datasets` saved.

Knows names of files and folders. Decodes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from streameval import json_text
from streameval.errors import DataError, UsageError
from streameval.files import storage_errors
from streameval.tables.arrow_readers import arrow
from streameval.tables.joined import joined
from streameval.tables.table import BATCH_ROWS, Kind, Part, Table

IMAGES: Final = (".png", ".jpg", ".jpeg")
STATE, SPLITS = "state.json", "dataset_dict.json"
MOST_JSON: Final = 16 << 20
# Names of classes that are shown, and of splits.
SHOWN: Final = 3
SHOWN_SPLITS: Final = 8


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved a data set, or several splits, in this folder."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def saved(path: str) -> Table:
    """What `Dataset.save_to_disk` wrote: Arrow streams, in the order that `state.json` says."""
    folder = Path(path)
    if (folder / SPLITS).is_file():
        splits = [str(one)[:60] for one in _json(folder / SPLITS).get("splits") or ["train"]]
        raise UsageError(
            f"{path}: several data sets that `datasets` saved: {', '.join(splits)}. Name one of them: "
            f"{folder / splits[0]}."
        )
    state = _json(folder / STATE)
    try:
        names = [one["filename"] for one in state["_data_files"]]
        sound = all(isinstance(one, str) and one == Path(one).name for one in names) and bool(names)
    except (KeyError, TypeError):
        sound = False
    if not sound or state.get("_indices_data_files"):
        raise DataError(
            f"{folder / STATE}: it does not say which files in its folder hold the rows. Save it again: "
            "dataset.flatten_indices().save_to_disk(path)."
        )
    tables = [arrow(str(folder / name)) for name in names]
    return joined(path, tables)


def is_by_class(folder: Path) -> bool:
    """Whether a folder holds folders of images, and is no other data set."""
    return any(_has_images(one) for one in _folders(folder))


def splits(folder: Path) -> tuple[str, ...]:
    """The folders in a folder, such as train and test, that hold images by class; none where some cannot be read."""
    try:
        return tuple(one.name for one in _folders(folder) if is_by_class(one))
    except OSError:
        return ()


def several_splits(folder: Path, found: tuple[str, ...]) -> UsageError:
    """What is said of a folder of splits."""
    more = ", ..." if len(found) > SHOWN_SPLITS else ""
    return UsageError(
        f"{folder}: no data set itself, but a folder of such, images by class: {', '.join(found[:SHOWN_SPLITS])}"
        f"{more}. Name one of them: {folder / found[0]}."
    )


def by_class(path: str) -> Table:
    """A folder for each class with its images, as torchvision's ImageFolder has it: classes and files in the order of
    their names, as text."""
    folder = Path(path)
    with storage_errors(path):
        classes = _folders(folder)
        files = [(file, number) for number, one in enumerate(classes) for file in _images(one)]
    names = tuple(one.name for one in classes)

    def read(wanted: Sequence[str]) -> Iterator[Part]:
        for first in range(0, len(files), BATCH_ROWS):
            rows = files[first : first + BATCH_ROWS]
            columns: dict[str, list[Any]] = {
                "image": [file for file, _ in rows],
                "label": [number for _, number in rows],
            }
            yield Part(path, first, {name: columns[name] for name in wanted})

    columns = {"image": Kind("image", "files"), "label": Kind("number", "folders", names)}
    return Table(path, path, "a folder of images", columns, read, rows=len(files), notes=_notes(path, names))


def _notes(path: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """How classes are numbered, which nothing in the folder says."""
    shown = ", ".join(f"{number} is {name!r}" for number, name in enumerate(names[:SHOWN]))
    more = f", ... {len(names) - 1} is {names[-1]!r}" if len(names) > SHOWN else ""
    return (f"Its {len(names)} classes are numbered by their names as text: {shown}{more}",)


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(one.path) for one in entries if one.is_dir() and not one.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    """The images of a class. Raises DataError where there are none, as in a folder of splits."""
    found = sorted(one for one in folder.iterdir() if one.suffix.lower() in IMAGES)
    if found:
        return found
    if is_by_class(folder):
        raise DataError(
            f"{folder}: a folder of folders of images among those of the classes. Name one data set: {folder}."
        )
    raise DataError(
        f"{folder}: no image in this folder, expected a folder of {', '.join(IMAGES)} for each class. Put it elsewhere."
    )


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(one.name.lower().endswith(IMAGES) for one in entries)


def _json(path: Path) -> dict[str, Any]:
    with storage_errors(path), path.open("rb") as file:
        content = file.read(min(path.stat().st_size, MOST_JSON) + 1)
    try:
        found = json_text.parse(content.decode()) if len(content) <= MOST_JSON else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(
            f"{path}: not what `datasets` writes. Save the data set again: dataset.save_to_disk(path)."
        )
    return found
