"""Networks as safetensors: the header as a tree of JSON, its offsets, and bytes damaged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.weights import ACTIVATIONS, ARRAYS, REFUSALS, by_names, image_network, prepare, read

FILE = "network.safetensors"
VALUES = (
    *mutators.VALUES,
    "F32",
    "F16",
    "BF16",
    "F64",
    "I8",
    [16, 8],
    [8, 16],
    [128],
    [1, 16, 8],
    [2**63],
    [0, 0],
)
VALUES += (
    {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
    {"activations": None},
    {"activations": "a,b"},
)
VALUES += (
    {"dtype": "F64", "shape": [2**32, 2**32], "data_offsets": [0, 8]},
    [0, 512],
    [512, 544],
    [544, 640],
)


def seeds() -> list[Case]:
    """float32, float16, float64, with metadata and without, and names that sort another way."""
    from safetensors.numpy import save

    noted = {"activations": ",".join(ACTIVATIONS)}
    half = {name: array.astype(np.float16) for name, array in ARRAYS.items()}
    wide = {name: array.astype(np.float64) for name, array in ARRAYS.items()}
    contents = [
        save(ARRAYS, noted),
        save(half, noted),
        save(wide, {"activations": "relu", "x": "y"}),
        save(ARRAYS),
    ]
    return [{FILE: one} for one in [*contents, declared()]]


def declared() -> bytes:
    """Return a network of several kinds of layers, which the metadata declare."""
    with tempfile.TemporaryDirectory() as folder:
        image_network().save(Path(folder, FILE))
        return Path(folder, FILE).read_bytes()


def mutate(rng: Random, case: Case) -> Case:
    """Change the header's tree, or bytes."""
    data = case[FILE]
    size = int.from_bytes(data[:8], "little")
    if rng.random() < 0.35:
        return {FILE: mutators.damaged(rng, data, [(0, 8 + size)])}
    tree = json.loads(data[8 : 8 + size])
    inner = tree.get("__metadata__", {}).get("architecture")
    if inner is not None and rng.random() < 0.7:
        changed = mutators.tree_changed(rng, json.loads(inner), VALUES)
        tree["__metadata__"]["architecture"] = json.dumps(changed)
    else:
        tree = mutators.tree_changed(rng, tree, VALUES)
    header = mutators.json_bytes(tree)
    if rng.random() < 0.1:
        header = header[:-1] + b"," + header[1:]  # every name twice
    if rng.random() < 0.05:
        header = b"[" * 50_000 + header
    header += b" " * (-len(header) % 8)
    return {FILE: len(header).to_bytes(8, "little") + header + data[8 + size :]}


def oracle(folder: Path) -> bytes | None:
    """Take the arrays out by the header alone."""
    data = (folder / FILE).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
    arrays: dict[str, np.ndarray] = {}
    header: dict[str, Any] = json.loads(data[8:start])
    if "architecture" in header.get("__metadata__", {}):
        return None
    for name, one in header.items():
        if name == "__metadata__":
            continue
        if one["dtype"] not in kinds:
            return None
        first, stop = one["data_offsets"]
        arrays[name] = np.frombuffer(data[start + first : start + stop], kinds[one["dtype"]]).reshape(
            one["shape"]
        )
    return by_names(arrays)


def read_declared(folder: Path, rng: Random) -> bytes:
    """Load the network, the activation given only where it may be missing."""
    declares = b"architecture" in (folder / FILE).read_bytes()
    return read(folder / FILE, rng, None if declares else "relu")


TARGET = Target(seeds, mutate, read_declared, REFUSALS, oracle, prepare)
