"""The files that whole processes read: data sets and the same network in each peer's format.

Knows where they lie in a work folder. Does not know who reads them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import data


@dataclass(frozen=True)
class Files:
    """A folder of files, each made at its first use. What is there already is taken as it is."""

    folder: Path
    rows: int

    @functools.cached_property
    def model(self) -> Path:
        """The seed network, in the format it came in."""
        return data.seed_model_path()

    @functools.cached_property
    def arrow(self) -> Path:
        """The rows of the seed workload as an Arrow file."""
        import streameval as se

        path = self.folder / f"{self._key}.arrow"
        if not path.exists():
            se.convert(*self.idx, path)
        return path

    @functools.cached_property
    def idx(self) -> tuple[Path, Path]:
        """The same rows as raw IDX files: images, labels."""
        x, t = data.pixels(self.rows)
        images, labels = (
            self.folder / f"{self._key}-images-idx3-ubyte",
            self.folder / f"{self._key}-labels-idx1-ubyte",
        )
        images.write_bytes(struct.pack(">4I", 2051, len(x), 28, 28) + x.tobytes())
        labels.write_bytes(struct.pack(">2I", 2049, len(t)) + t.astype(np.uint8).tobytes())
        return images, labels

    @functools.cached_property
    def for_peers(self) -> Path:
        """A folder of images.npy (n, 784) uint8, labels.npy (n,) int64, weights.npz and, with onnx, model.onnx."""
        folder = self.folder / f"{self._key}-peers"
        folder.mkdir(exist_ok=True)
        x, t = data.pixels(self.rows)
        layers = data.seed_network()
        np.save(folder / "images.npy", x)
        np.save(folder / "labels.npy", t)
        numbered = [(number, layer) for number, layer in enumerate(layers, start=1)]
        np.savez(
            folder / "weights.npz",
            **{f"W{number}": layer.weight for number, layer in numbered},
            **{f"b{number}": layer.bias for number, layer in numbered},
        )
        try:
            from benchmarks.peers.graph import build

            (folder / "model.onnx").write_bytes(build(layers, np.uint8, 1.0 / 255.0))
        except ImportError:
            pass  # whoever needs it is said to be missing
        return folder

    def drawn(self, rows: int) -> Path:
        """An Arrow file of drawn digits, in the page cache by having been read in order.

        How it came there matters: what Linux is asked to fetch ahead it caches page by page, and maps more slowly.
        """
        from streameval.datasets import digits

        path = self.folder / f"digits-{rows}.arrow"
        if not path.exists():
            digits.digits(path, rows=rows, seed=1)
        with path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            buffer = bytearray(8 << 20)
            while file.readinto(buffer):
                pass
        return path

    @functools.cached_property
    def _key(self) -> str:
        # The network tells MNIST from drawn digits.
        return f"seed-{self.rows}-{hashlib.sha256(self.model.read_bytes()).hexdigest()[:8]}"
