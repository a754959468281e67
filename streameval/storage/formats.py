"""The table of file formats, and what to do about files of others.

Knows how each form is recognised. What is in it, the format's own file knows; how it is read is for `open` to choose.

To add a format: a file like `npy.py` or `arrow.py` with a function that returns `PlainRows` (rows are spans of bytes,
in a `Layout`) or `OwnAccess` (a layout without positions, and for instance `Batches`), and a row in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from streameval.defaults import WEIGHTS
from streameval.errors import DataError, StreamevalError, UsageError
from streameval.frozen import frozen
from streameval.storage import arrow, idx, npy
from streameval.storage.access import OwnAccess, PlainRows
from streameval.storage.gunzip import GZIP

if TYPE_CHECKING:
    from streameval.tables.table import Table

Named = Literal["file", "pair", "folder"]
Sniff = Callable[[Path, bytes], bool]

SNIFFED: Final = 8
FORMS: Final = (
    "an .arrow file, a table (.parquet, .csv, .jsonl, .npz), a folder of images.npy and labels.npy, a folder, glob or "
    "list of several of them, "
    "a pair (images, labels) of IDX paths, or a pair (x, t) of NumPy arrays"
)
ZIP: Final = b"PK\x03\x04"
CSV: Final = tuple(f"{one}{packed}" for one in (".csv", ".tsv") for packed in ("", ".gz", ".bz2", ".zst"))


@frozen
class Format:
    """A form that data come in.

    named_by  what names a data set of this form: a file, a pair of them (images, labels), or a folder
    sniff     (path, its first 8 bytes) -> whether it is of this form; of a pair the images, of a folder no bytes
    rows      (File), (File, File) or (Path of the folder) -> where its rows lie; a file may be an object in a store
    table     in place of it: path of the file or folder -> the table that it holds, which is copied to be mapped
    ending    of a file: names in a folder that end so are parts of a data set
    inside    of a folder: the names that are read in it
    sure      sniffs again where the file may be a model as well; None: it is no model
    """

    named_by: Named
    sniff: Sniff
    rows: Callable[..., PlainRows | OwnAccess] | None = None
    ending: str | None = None
    inside: tuple[str, ...] = ()
    table: Callable[[str], Table] | None = None
    sure: Sniff | None = None

    def table_at(self, path: Path) -> Table | None:
        """The table at a path; None of a form that is mapped as it lies."""
        return None if self.table is None else self.table(str(path))


@frozen
class Foreign:
    """What is no data as it is named, or in no form that is read: `text` says what it is and what to do.

    weights  it may be a model
    """

    named_by: Named
    sniff: Sniff
    text: str
    error: type[StreamevalError] = DataError
    weights: bool = False


def _table(module: str) -> Callable[[str], Table]:
    """The table that a function of `streameval.tables`, "module.function", makes of a path; imported when it is met."""

    def made(path: str) -> Table:
        table: Table = _function(module)(path)
        return table

    return made


def _is(module: str) -> Callable[[Path], bool]:
    """What such a function says of a path."""
    return lambda path: bool(_function(module)(path))


def _function(name: str) -> Callable[..., Any]:
    module, function = name.split(".")
    found: Callable[..., Any] = getattr(import_module(f"streameval.tables.{module}"), function)
    return found


def begins(*starts: bytes) -> Sniff:
    """Whether a file begins with one of these bytes."""
    return lambda path, start: start.startswith(starts)


def ends(*endings: str) -> Sniff:
    """Whether a file's name ends so; what text has no mark at its front."""
    return lambda path, start: path.name.lower().endswith(endings)


FORMATS: Final[dict[str, Format]] = {
    "arrow": Format("file", begins(arrow.MAGIC), arrow.rows, ending=".arrow"),
    "arrow stream": Format("file", begins(arrow.STREAM), table=_table("arrow_readers.arrow")),
    "parquet": Format("file", begins(b"PAR1"), table=_table("arrow_readers.parquet"), ending=".parquet"),
    "csv": Format("file", ends(*CSV), table=_table("csv_reader.csv"), ending=".csv"),
    "jsonl": Format("file", ends(".jsonl", ".ndjson"), table=_table("jsonl.jsonl"), ending=".jsonl"),
    "npz": Format(
        "file",
        lambda path, start: start.startswith(ZIP) and path.suffix == ".npz",
        table=_table("npz.npz"),
        sure=lambda path, start: _is("npz.holds_data")(path),
    ),
    "npy": Format("pair", begins(npy.MAGIC), npy.rows),
    "idx": Format("pair", begins(idx.MAGIC, GZIP), idx.rows),
    "npy folder": Format(
        "folder",
        lambda path, start: (path / npy.IMAGES).exists(),
        npy.folder_rows,
        inside=(npy.IMAGES, npy.LABELS, npy.MANIFEST),
    ),
    "saved by datasets": Format(
        "folder",
        lambda path, start: _is("folders.is_saved")(path),
        table=_table("folders.saved"),
        inside=("*",),
    ),
    "images by class": Format(
        "folder",
        lambda path, start: _holds_no_files(path) and _is("folders.is_by_class")(path),
        table=_table("folders.by_class"),
        inside=("*/*",),
    ),
}

FOREIGN: Final[dict[str, Foreign]] = {
    "weights": Foreign(
        "file",
        ends(*WEIGHTS),
        f"a file of weights, expected data. Is the order MODEL DATA? Data are {FORMS}.",
        weights=True,
    ),
    "zip": Foreign(
        "file",
        begins(ZIP),
        f"a zip file was found. Unpack it, or call it .npz if NumPy wrote it. Expected {FORMS}.",
        weights=True,
    ),
    "one npy": Foreign(
        "file",
        begins(npy.MAGIC[:4]),
        "one .npy file was found. Give the folder of images.npy and labels.npy, or both paths. "
        f"Expected {FORMS}.",
    ),
    "idx labels": Foreign(
        "file",
        begins(idx.MAGIC + b"\x01"),
        f"IDX labels alone were found. Give both paths: se.open((images, labels)). Expected {FORMS}.",
    ),
    "idx images": Foreign(
        "file",
        begins(idx.MAGIC + b"\x03"),
        f"IDX images alone were found. Give both paths: se.open((images, labels)). Expected {FORMS}.",
    ),
    "gzip": Foreign(
        "file",
        begins(GZIP + b"\x08"),
        f"one gzip file was found. Give IDX images and labels: se.open((images, labels)). Expected {FORMS}.",
    ),
    "arrow pair": Foreign(
        "pair",
        begins(arrow.MAGIC),
        "an Arrow file in a pair, expected IDX images and labels. To read several Arrow files as one, give a list: "
        "se.open([first, second]).",
        UsageError,
    ),
}


def _holds_no_files(folder: Path) -> bool:
    """Whether it is a folder in which no file is a part of a data set of another form."""
    return folder.is_dir() and not any(one.suffix in ENDINGS for one in folder.iterdir())


# Whose own complaint is heard where nothing was recognised.
UNRECOGNISED: Final[dict[Named, str]] = {"file": "arrow", "pair": "idx", "folder": "npy folder"}

ENDINGS: Final = tuple(form.ending for form in FORMATS.values() if form.ending is not None)


def format_of(named_by: Named, path: Path, start: bytes = b"") -> Format | None:
    """Return the format of what lies at `path` and begins with `start`, None if it is of none."""
    rows = (form for form in FORMATS.values() if form.named_by == named_by and form.sniff(path, start))
    return next(rows, None)


def recognise(named_by: Named, path: Path, start: bytes = b"") -> Format:
    """Return the same; of what is of no format the likeliest one, which will say what it misses.

    Raises the errors of FOREIGN.
    """
    form = format_of(named_by, path, start)
    for other in FOREIGN.values() if form is None else ():
        if other.named_by == named_by and other.sniff(path, start):
            raise other.error(f"{path}: {other.text}")
    return form or FORMATS[UNRECOGNISED[named_by]]


def is_data(path: Path, start: bytes) -> bool:
    """Say whether a file that begins with `start` is a data set or part of one, of whatever form, and no model."""
    rows: list[Any] = [*FORMATS.values(), *(other for other in FOREIGN.values() if not other.weights)]
    found = (one for one in rows if one.sniff(path, start))
    return any(not getattr(one, "sure", None) or one.sure(path, start) for one in found)
