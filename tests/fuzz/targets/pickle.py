"""Pickled networks: opcodes put in, taken out, exchanged, and bytes damaged."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.weights import ACTIVATIONS, ARRAYS, REFUSALS, by_names, prepare, read

FILE = "network.pkl"
SNIPPETS = (
    b"2",
    b"0",
    b"(",
    b"1",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"]",
    b"}",
    b")",
    b"N",
    b"\x88",
    b"\x89",
    b"R",
    b"b",
)
SNIPPETS += (
    b"a",
    b"e",
    b"s",
    b"u",
    b"d",
    b"l",
    b".",
    b"h\x00",
    b"h\x05",
    b"q\x00",
    b"\x94",
    b"K\x01",
    b"M\xff\xff",
)
SNIPPETS += (
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"I" + b"9" * 5000 + b"\n",
    b"X\xff\xff\xff\x7f",
)
SNIPPETS += (
    b"\x8e" + b"\xff" * 8,
    b"cos\nsystem\n",
    b"cnumpy\ndtype\n",
    b"c_codecs\nencode\n",
    b"\x8b\xff\xff\xff\x7f",
)
SNIPPETS += (
    b"cnumpy._core.multiarray\n_reconstruct\n",
    b"F1e400\n",
    b"V\\ud800\n",
    b"S'\\xff'\n",
    b"h\x00" * 500,
)
SNIPPETS += (
    b"2\x86" * 500,
    b"]" * 3000 + b"a" * 2999,
    b"(" * 3000,
    b"N" * 3000,
    b"G\x7f\xf8\0\0\0\0\0\0",
    b"\x95" + b"\xff" * 8,
)


def seeds() -> list[Case]:
    """Dicts and lists, in every protocol, row-major and column-major."""
    tree: dict[str, Any] = {**ARRAYS, "activations": list(ACTIVATIONS)}
    turned = {name: np.asfortranarray(array) for name, array in ARRAYS.items()}
    pairs = [(ARRAYS["W1"], ARRAYS["b1"]), (ARRAYS["W2"], ARRAYS["b2"])]
    contents = [pickle.dumps(tree, protocol) for protocol in range(6)]
    contents += [
        pickle.dumps(turned, 4),
        pickle.dumps(pairs, 2),
    ]
    return [{FILE: one} for one in contents]


def mutate(rng: Random, case: Case) -> Case:
    """Change opcodes half of the time, bytes the other half."""
    data = case[FILE]
    return {FILE: mutators.damaged(rng, data) if rng.random() < 0.5 else opcodes_changed(rng, data)}


def opcodes_changed(rng: Random, data: bytes) -> bytes:
    """Return a pickle in which some opcodes, with their arguments, stand elsewhere, twice, not at all, or are new."""
    starts = [position for _, _, position in pickletools.genops(data) if position is not None]
    parts = [data[one:two] for one, two in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        one, two = rng.randrange(len(parts)), rng.randrange(len(parts))
        kind = rng.randrange(5)
        if kind == 0:
            parts[one], parts[two] = parts[two], parts[one]
        elif kind == 1:
            parts.insert(one, parts[two])
        elif kind == 2:
            parts.insert(one, rng.choice(SNIPPETS))
        elif kind == 3 and len(parts) > 1:
            del parts[one]
        else:
            parts[one] = mutators.damaged(rng, parts[one])
    return b"".join(parts)


class _Careful(pickle.Unpickler):
    """Rebuilds NumPy's arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = ("_reconstruct", "scalar", "ndarray", "dtype", "_frombuffer", "encode")
        if module.partition(".")[0] not in ("numpy", "_codecs") or name not in known:
            raise pickle.UnpicklingError(name)
        return super().find_class(module, name)


def oracle(folder: Path) -> bytes | None:
    """Unpickle what was accepted, and take it apart by names."""
    tree = _Careful(io.BytesIO((folder / FILE).read_bytes())).load()
    if isinstance(tree, list | tuple):
        flat = [item for part in tree for item in (part if isinstance(part, list | tuple) else (part,))]
        tree = {f"{'Wb'[number % 2]}{number // 2 + 1}": array for number, array in enumerate(flat)}
    named = {str(name): array for name, array in tree.items() if name != "activations"}
    return by_names(named) if all(isinstance(array, np.ndarray) for array in named.values()) else None


TARGET = Target(seeds, mutate, lambda folder, rng: read(folder / FILE, rng), REFUSALS, oracle, prepare)
