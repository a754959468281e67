"""What identifies a model file that another library computes: its bytes, and those of the files that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streameval.files import regular_file

# How an ONNX file says that a tensor's numbers lie in a file beside it.
EXTERNAL = b"location"


def file_sha256(*paths: str) -> str:
    """SHA-256 (hex) of a file; of several, that of their hashes in this order. Raises StorageError."""
    hashes = []
    for path in paths:
        with regular_file(path, "a model") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def identified(path: str) -> tuple[str | None, tuple[str, ...]]:
    """What identifies the model at `path`, and the further files that it is read from.

    The identity is None where those cannot be told: an ONNX file with weights in others, and no onnx to read it.
    Raises StorageError if one of them cannot be read.
    """
    beside = _beside(path)
    return (None, ()) if beside is None else (file_sha256(path, *beside), beside)


def _beside(path: str) -> tuple[str, ...] | None:
    if path.endswith(".xml"):  # OpenVINO's: the weights have the same name
        weights = Path(path).with_suffix(".bin")
        return (str(weights),) if weights.exists() else ()
    if not path.endswith(".onnx"):
        return ()
    with regular_file(path, "a model") as file:
        content = file.read()
    if EXTERNAL not in content:
        return ()
    try:
        import onnx
    except ModuleNotFoundError:
        return None
    try:
        graph = onnx.load_model_from_string(content).graph
    # Damaged: protobuf's own kinds of errors. It is for the library that computes it to refuse.
    except Exception:
        return ()
    return tuple(str(Path(path).parent / name) for name in sorted({*_locations(graph)}))


def _locations(graph: Any) -> Iterator[str]:
    """The files that tensors of a graph lie in, those of attributes and of graphs inside included."""
    tensors = [*graph.initializer]
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                yield from _locations(inner)
    for tensor in tensors:
        yield from (entry.value for entry in tensor.external_data if entry.key == "location")
