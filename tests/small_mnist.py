"""A tiny data set in MNIST's own files, for tests that must not need the real one."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np

from streameval.datasets.downloading import Wanted
from streameval.datasets.mnist import Split

ROWS = {"train": 60, "test": 23}
STEMS = {"train": "train", "test": "t10k"}


def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) and labels (n,), uint8; every label 0..9 is there."""
    rng = np.random.default_rng(ROWS[split])
    n = ROWS[split]
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10


def files() -> dict[str, bytes]:
    """The four IDX files by name, raw."""
    made = {}
    for split, stem in STEMS.items():
        x, t = arrays(split)
        made[f"{stem}-images-idx3-ubyte"] = struct.pack(">4I", 2051, len(x), 28, 28) + x.tobytes()
        made[f"{stem}-labels-idx1-ubyte"] = struct.pack(">2I", 2049, len(t)) + t.tobytes()
    return made


def splits() -> tuple[Split, ...]:
    """What `mnist.SPLITS` would say about these files."""
    content = files()

    def wanted(name: str) -> Wanted:
        return Wanted(name, len(content[name]), hashlib.sha256(content[name]).hexdigest())

    return tuple(
        Split(split, wanted(f"{stem}-images-idx3-ubyte"), wanted(f"{stem}-labels-idx1-ubyte"))
        for split, stem in STEMS.items()
    )


def write(folder: Path, *, zipped: bool) -> Path:
    """Write the four files into `folder`, raw or as .gz."""
    folder.mkdir(exist_ok=True)
    for name, content in files().items():
        end, body = (".gz", gzip.compress(content)) if zipped else ("", content)
        (folder / (name + end)).write_bytes(body)
    return folder
