"""IDX files, raw and gzip, as a pair and through `convert`."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from random import Random

import numpy as np

import streameval as se
from streameval.storage import convert
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target
from tests.fuzz.targets.rows import REFUSALS, ROWS, T, X, content, read

IMAGES = struct.pack(">4I", 0x803, ROWS, 4, 4) + X.tobytes()
LABELS = struct.pack(">2I", 0x801, ROWS) + T.astype(np.uint8).tobytes()
HEADER = [(0, 20)]


def seeds() -> list[Case]:
    """Raw, and as gzip in one part."""
    return [{"images": IMAGES, "labels": LABELS}]


def zipped_seeds() -> list[Case]:
    """As gzip in one part, in several, and with an empty one at the end, as bgzip writes them."""
    several = b"".join(gzip.compress(IMAGES[at : at + 300], mtime=0) for at in range(0, len(IMAGES), 300))
    one = {"images": gzip.compress(IMAGES, mtime=0), "labels": gzip.compress(LABELS, mtime=0)}
    return [one, {**one, "images": several}, {**one, "images": several + gzip.compress(b"", mtime=0)}]


def mutate(rng: Random, case: Case) -> Case:
    """Damage one of the two files, or both."""
    names = rng.choice((["images"], ["labels"], ["images", "labels"]))
    return case | {name: mutators.damaged(rng, case[name], HEADER) for name in names}


def mutate_zipped(rng: Random, case: Case) -> Case:
    """Damage what is compressed, or the compressed bytes, or put something after them."""
    name = rng.choice(("images", "labels"))
    kind = rng.randrange(4)
    if kind == 0:
        return case | {name: mutators.damaged(rng, case[name], [(0, 20)])}
    if kind == 1:
        return case | {
            name: case[name] + rng.choice((b"\0" * 5000, b"junk", gzip.compress(b"") * 50, b"\x1f\x8b"))
        }
    if kind == 2:
        return case | {name: mutators.damaged(rng, case[name])}
    plain = gzip.decompress(case[name])
    return case | {name: gzip.compress(mutators.damaged(rng, plain, HEADER), mtime=0)}


def read_pair(folder: Path, rng: Random) -> bytes:
    """Read the pair as it is, or after it was converted."""
    pair = (folder / "images", folder / "labels")
    if rng.random() < 0.3:
        convert(*pair, folder / "converted.arrow")
        return read(folder / "converted.arrow", rng)
    return read(pair, rng)


def oracle(folder: Path) -> bytes | None:
    """Read both files by NumPy alone."""
    raw = [(folder / name).read_bytes() for name in ("images", "labels")]
    plain = [gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for one in raw]
    arrays = []
    for one in plain:
        dimensions = one[3]
        shape = np.frombuffer(one, ">u4", dimensions, 4).astype(int)
        arrays.append(np.frombuffer(one, np.uint8, offset=4 + 4 * dimensions).reshape(shape))
    return content(arrays[0].reshape(len(arrays[0]), -1), arrays[1])


def prepare() -> None:
    """Have everything imported."""
    se.open((X, T)).close()


TARGET = Target(seeds, mutate, read_pair, REFUSALS, oracle, prepare)
ZIPPED = Target(zipped_seeds, mutate_zipped, read_pair, REFUSALS, oracle, prepare)
