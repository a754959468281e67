"""Which form a file of saved outputs has: a literal table, and how each is told from the others by its content."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from streameval.defaults import WEIGHTS
from streameval.errors import DataError, UsageError
from streameval.files import regular_file
from streameval.outputs.table import Table

# Name, as --format says it -> (module here, function that opens a path).
FORMATS: Final = {
    "arrow": ("arrow_tables", "arrow"),
    "parquet": ("arrow_tables", "parquet"),
    "csv": ("arrow_tables", "csv"),
    "jsonl": ("records", "jsonl"),
    "json": ("records", "json_list"),
    "npy": ("arrays", "npy"),
    "npz": ("arrays", "npz"),
    "lm-eval": ("tools.lm_eval", "lm_eval"),
    "inspect": ("tools.inspect", "inspect"),
    "helm": ("tools.helm", "helm"),
    "openai-evals": ("tools.openai_evals", "openai_evals"),
    "lighteval": ("tools.lighteval", "lighteval"),
    "mlflow": ("tools.mlflow", "mlflow"),
}
# What the first bytes say; the first that fits counts.
SNIFFED: Final = 1 << 18
MAGIC: Final = (
    (re.compile(rb"ARROW1"), "arrow"),
    (re.compile(rb"\xff\xff\xff\xff"), "arrow"),
    (re.compile(rb"PAR1"), "parquet"),
    (re.compile(rb"\x93NUMPY"), "npy"),
    (re.compile(rb"PK\x03\x04"), "zip"),
    (re.compile(rb'\s*\{\s*"spec"\s*:'), "openai-evals"),
    (re.compile(rb'\s*\{(?=.*"doc_id"\s*:)(?=.*"(filtered_)?resps"\s*:)'), "lm-eval"),
    (re.compile(rb'\s*\{\s*"columns"\s*:\s*\[', re.DOTALL), "mlflow"),
    (
        re.compile(rb'\s*\{(?=.*"version"\s*:)(?=.*"status"\s*:)(?=.*"eval"\s*:\s*\{)', re.DOTALL),
        "inspect",
    ),
    (re.compile(rb'\s*\[\s*\{(?=[^\]]*"instance_id"\s*:)(?=.*"stats"\s*:\s*\[)', re.DOTALL), "helm"),
    (re.compile(rb"\s*\["), "json"),
    (re.compile(rb"\s*\{"), "jsonl"),
)
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
    module, function = FORMATS[recognise(path) if form is None else form]
    table: Table = getattr(import_module(f"streameval.outputs.{module}"), function)(path)
    return table


def recognise(path: str) -> str:
    """The row of FORMATS that a file's content says.

    Raises UsageError for a model's file, DataError for another that cannot be outputs.
    """
    with regular_file(path, "saved outputs") as file:
        head = file.read(SNIFFED)
    form = next((form for pattern, form in MAGIC if pattern.match(head)), "csv")
    if path.lower().endswith(WEIGHTS):
        raise UsageError(
            f"{path}: its name is that of a model, expected saved outputs. To evaluate a model, name the data too: "
            "MODEL DATA."
        )
    if form == "zip":
        return _in_zip(path)
    if form == "csv" and b"\0" in head and not path.endswith((".gz", ".bz2", ".zst", ".xz", ".lz4")):
        raise DataError(
            f"{path}: begins with {head[:8]!r}, expected Arrow, Parquet, CSV, JSON lines, .npy or .npz, or a log of "
            f"{', '.join(name for name in FORMATS if FORMATS[name][0].startswith('tools'))}."
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
    path = os.fsdecode(os.fspath(data))
    if not Path(path).is_dir():
        return path
    patterns = ("samples_*.jsonl", "*.eval", "details_*.parquet", "per_instance_stats.json")
    found = sorted(str(one) for pattern in patterns for one in Path(path).rglob(pattern))
    if len(found) == 1:
        return found[0]
    shown = ", ".join(str(Path(one).relative_to(path)) for one in found[:10])
    said = f"{len(found)} files of outputs ({shown})" if found else "no file of outputs of a tool"
    raise UsageError(f"{path}: a folder with {said}, expected one. Name the file.")
