"""What a data set or a model is, as plain values and as text.

Knows which of the two a path is. Does not know any format.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streameval.reports.numbers import bytes_, count
from streameval.reports.terminal import TextStyle, fields, table

if TYPE_CHECKING:
    from streameval.models.network import Network
    from streameval.storage.source import Source

SCHEMA = "streameval/info/1"
SHOWN = 8


def is_data(path: str) -> bool:
    """True for folders, globs, and files that begin as data do; in an object store, by the name."""
    from streameval.files import regular_file
    from streameval.models.formats import by_ending
    from streameval.storage import formats

    target = Path(path)
    if "://" in path:
        return by_ending(target.suffix) is None
    if (
        target.is_dir()
        or target.suffix in formats.ENDINGS
        or (not target.exists() and set(path) & set("*?["))
    ):
        return True
    with regular_file(path, "data, a model or saved outputs") as file:
        return formats.is_data(target, file.read(formats.SNIFFED))


def maybe_outputs(path: str) -> str:
    """What to type if a file that is neither a data set nor a model holds saved outputs; nothing if it cannot."""
    from streameval.errors import StreamevalError
    from streameval.outputs.formats import open_table
    from streameval.outputs.table import listed

    try:
        table = open_table(path) if Path(path).is_file() else None
    except StreamevalError:
        return ""
    # Any text has a first line, which could be names.
    if table is None or (table.format == "csv" and not {".csv", ".tsv"} & {*Path(path).suffixes}):
        return ""
    named = f"metrics {listed([*table.metrics])}" if table.metrics else f"columns {listed(table.columns)}"
    asked = "--metric NAME" if table.metrics else "--loss-column C"
    return f" Are these saved outputs ({table.format}, {named})? streameval evaluate {path} {asked}"


def data_set(source: Source, *, check: bool = False) -> dict[str, Any]:
    """A data set; `check` compares its content with the recorded hashes. Raises DataError if it differs."""
    described = {
        "schema": SCHEMA,
        "kind": "data",
        "path": source.path,
        "files": list(source.files),
        "rows": source.rows,
        "shape": list(source.shape),
        "features": source.features,
        "dtype": source.dtype.name,
        "targets": "soft" if source.soft else "integers",
        "classes": source.classes,
        "scale": source.scale,
        "fingerprint": source.fingerprint,
        "sources": dict(source.sources),
        "bytes": _size(Path(source.path)) if source.path else None,
    }
    return described | {"blocks_checked": source.check_content()} if check else described


def model(network: Network) -> dict[str, Any]:
    """A network."""
    from streameval.models.outline import outline

    return {
        "schema": SCHEMA,
        "kind": "model",
        "path": network.path,
        "layers": list(network.sizes),
        "activations": list(network.activations),
        "shape": list(network.shape),
        "parameters": network.parameters,
        "multiply_adds": network.multiply_adds,
        "table": [one.to_dict() for one in outline(network)],
        "notes": list(network.notes),
        "sha256": network.sha256,
        "bytes": _size(Path(network.path)) if network.path else None,
    }


def text(info: dict[str, Any], style: TextStyle) -> str:
    """Either, for people."""
    pairs = _model_pairs(info) if info["kind"] == "model" else _data_pairs(info)
    lines = [style.bold(str(info["path"])), *fields(pairs, style)]
    if info["kind"] == "model":
        lines += ["", *_layers(info, style)]
    return style.finish(lines)


def _data_pairs(info: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [
        ("rows", f"{count(info['rows'])} of {' x '.join(map(str, info['shape']))} {info['dtype']}"),
        ("classes", "not recorded" if info["classes"] is None else str(info["classes"])),
        ("targets", "integer labels" if info["targets"] == "integers" else "one-hot or soft rows"),
        ("scale", _scale(info["scale"])),
        ("content", info["fingerprint"]),
    ]
    if info["bytes"] is not None:
        pairs.append(("size", bytes_(info["bytes"])))
    if len(info["files"]) > 1:
        pairs.append(("files", _names(info["files"])))
    pairs += [("made from", f"{name}  sha256 {digest}") for name, digest in info["sources"].items()]
    if "blocks_checked" in info:
        checked = info["blocks_checked"]
        said = (
            f"all {checked} blocks are as recorded"
            if checked
            else "no hashes are recorded: nothing to compare"
        )
        pairs.append(("check", said))
    return pairs


def _model_pairs(info: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [
        ("input", " x ".join(map(str, info["shape"]))),
        ("parameters", count(info["parameters"])),
        ("multiply-adds", f"{count(info['multiply_adds'])} a row"),
        ("sha256", info["sha256"]),
    ]
    if info["bytes"] is not None:
        pairs.append(("size", bytes_(info["bytes"])))
    return pairs + [("note", note) for note in info["notes"]]


def _layers(info: dict[str, Any], style: TextStyle) -> list[str]:
    """The layers as a table, those of branches below their sum."""
    head = ("layer", "what", "gives", "parameters", "multiply-adds")
    rows = [
        (
            f"{'  ' * (one['layer'].count('.'))}{one['layer']}",
            one["what"],
            " x ".join(map(str, one["shape"])),
            count(one["parameters"]) if one["parameters"] else "",
            count(one["multiply_adds"]) if one["multiply_adds"] else "",
        )
        for one in info["table"]
    ]
    return table(head, rows, style, left=2)


def _names(files: list[str]) -> str:
    """The files' own names, as many as one can look over."""
    more = f", and {count(len(files) - SHOWN)} more" if len(files) > SHOWN else ""
    return f"{count(len(files))}: {', '.join(Path(one).name for one in files[:SHOWN])}{more}"


def _scale(scale: float) -> str:
    return f"1/{round(1 / scale)}" if scale < 1 and 1 / round(1 / scale) == scale else f"{scale:g}"


def _size(path: Path) -> int | None:
    """Bytes on disk of a file, or of the files in a folder; None for a pattern."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.iterdir() if one.is_file()) if path.is_dir() else None
