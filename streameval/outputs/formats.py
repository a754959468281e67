"""Which form a file of saved outputs has: a literal table, and how each is told from the others by its content."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from streameval.arguments import path_text
from streameval.defaults import WEIGHTS
from streameval.errors import DataError, UsageError
from streameval.files import regular_file
from streameval.outputs.table import Table


class Format(NamedTuple):
    """How a format is read, and how its files are told.

    module, function  what opens a path: of this package, its tools included
    begins     what the first `SNIFFED` bytes match, one of several; none where the format has no mark of its own
    in_folder  pattern of the names that a tool gives such files: of a folder of its results, they are meant
    """

    module: str
    function: str
    begins: tuple[re.Pattern[bytes], ...] = ()
    in_folder: str | None = None


def _marks(*patterns: bytes, flags: re.RegexFlag = re.NOFLAG) -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(one, flags) for one in patterns)


SNIFFED: Final = 1 << 18
# By the name that --format says. By content they are tried from the last to the first: what a tool writes is JSON or
# JSON lines too, and of two tools whose marks could both be found, the one with the narrower mark comes later.
FORMATS: Final = {
    "arrow": Format("arrow_tables", "arrow", _marks(rb"ARROW1", rb"\xff\xff\xff\xff")),
    "parquet": Format("arrow_tables", "parquet", _marks(rb"PAR1")),
    "csv": Format("arrow_tables", "csv"),
    "jsonl": Format("records", "jsonl", _marks(rb"\s*\{")),
    "json": Format("records", "json_list", _marks(rb"\s*\[")),
    "npy": Format("arrays", "npy", _marks(rb"\x93NUMPY")),
    "npz": Format("arrays", "npz", _marks(rb"PK\x03\x04")),
    "lighteval": Format("tools.lighteval", "lighteval", in_folder="details_*.parquet"),
    "helm": Format(
        "tools.helm",
        "helm",
        _marks(rb'\s*\[\s*\{(?=[^\]]*"instance_id"\s*:)(?=.*"stats"\s*:\s*\[)', flags=re.DOTALL),
        in_folder="per_instance_stats.json",
    ),
    "inspect": Format(
        "tools.inspect",
        "inspect",
        _marks(rb'\s*\{(?=.*"version"\s*:)(?=.*"status"\s*:)(?=.*"eval"\s*:\s*\{)', flags=re.DOTALL),
        in_folder="*.eval",
    ),
    "mlflow": Format(
        "tools.mlflow",
        "mlflow",
        _marks(rb'\s*\{\s*"columns"\s*:\s*\[', flags=re.DOTALL),
        in_folder="eval_results_table.json",
    ),
    "lm-eval": Format(
        "tools.lm_eval",
        "lm_eval",
        _marks(rb'\s*\{(?=.*"doc_id"\s*:)(?=.*"(filtered_)?resps"\s*:)'),
        in_folder="samples_*.jsonl",
    ),
    "openai-evals": Format("tools.openai_evals", "openai_evals", _marks(rb'\s*\{\s*"spec"\s*:')),
}
TOOLS: Final = tuple(name for name, form in FORMATS.items() if form.module.startswith("tools."))
MAYBE_MODELS: Final = (*WEIGHTS, ".npz")


def open_table(data: Any, form: str | None = None) -> Table:
    """The table at a path, or that is in memory.

    form  a row of FORMATS, None: told by the content

    Raises:
        UsageError: no such format; neither a path nor a table.
        DataError: no file of outputs. StorageError: it cannot be read.
    """
    if form is not None and form not in FORMATS:
        raise UsageError(f"format {form!r} is not known. Choose one of {', '.join(FORMATS)}.")
    if not isinstance(data, str | os.PathLike):
        from streameval.outputs import arrow_tables

        if hasattr(data, "__arrow_c_stream__") or (isinstance(data, dict) and data):
            return arrow_tables.in_memory(data)
        raise UsageError(
            f"{type(data).__name__} was given as outputs, expected a path, a table or a dict of arrays. Give arrays "
            "names: {'loss': array}, or {'y': outputs, 't': labels} with logits= or probabilities='y' and label='t'."
        )
    path = file_of(data)
    row = FORMATS[recognise(path) if form is None else form]
    table: Table = getattr(import_module(f"streameval.outputs.{row.module}"), row.function)(path)
    return table


def recognise(path: str) -> str:
    """The row of FORMATS that a file's content says.

    Raises UsageError for a model's file, DataError for another that cannot be outputs.
    """
    with regular_file(path, "saved outputs") as file:
        head = file.read(SNIFFED)
    told = (name for name, row in reversed(FORMATS.items()) if any(one.match(head) for one in row.begins))
    form = next(told, "csv")
    if path.lower().endswith(WEIGHTS):
        raise UsageError(
            f"{path}: its name is that of a model, expected saved outputs. To evaluate a model, name the data too: "
            "MODEL DATA."
        )
    if form == "npz":
        return _in_zip(path)
    if form == "csv" and b"\0" in head and not path.endswith((".gz", ".bz2", ".zst", ".xz", ".lz4")):
        raise DataError(
            f"{path}: begins with {head[:8]!r}, expected Arrow, Parquet, CSV, JSON lines, .npy or .npz, or a log of "
            f"{', '.join(TOOLS)}."
        )
    if form == "parquet":
        from streameval.outputs.tools.lighteval import is_lighteval

        return "lighteval" if is_lighteval(path) else form
    return form


def is_models_name(path: str) -> bool:
    """Whether a file's name is that of a model, or may be."""
    return path.lower().endswith(MAYBE_MODELS)


def _in_zip(path: str) -> str:
    from streameval.tables.sized import opened_zip
    from streameval.tables.told import told_of_archives

    with told_of_archives(path, "archive", "Write it again."), opened_zip(path) as archive:
        names = set(archive.namelist())
    return "inspect" if names & {"header.json", "summaries.json", "_journal/start.json"} else "npz"


def file_of(data: str | os.PathLike[str]) -> str:
    """The file; of a folder, the one file of outputs that it holds, as tools write them."""
    path = path_text("outputs", data)
    if not Path(path).is_dir():
        return path
    patterns = (row.in_folder for row in FORMATS.values() if row.in_folder is not None)
    found = sorted(str(one) for pattern in patterns for one in Path(path).rglob(pattern))
    if len(found) == 1:
        return found[0]
    shown = ", ".join(str(Path(one).relative_to(path)) for one in found[:10])
    said = f"{len(found)} files of outputs ({shown})" if found else "no file of outputs of a tool"
    raise UsageError(f"{path}: a folder with {said}, expected one. Name the file.")
