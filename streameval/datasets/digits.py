"""Drawn digits: data that looks handwritten, any number of rows of it, and the network trained on them.

Knows the strokes of each digit and how to stream rows into a data set. Does not know file formats, nor
how a stroke becomes pixels (`kernels/digits.py`).
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError

CLASSES = 10
SHAPE = (28, 28)
BLOCK_ROWS = 16384

# The ways to write each digit: points "x,y" on a square of 0..100, y downwards, joined by a smooth curve.
# "!" marks a corner, "/" lifts the pen. A row takes one way of its class, each as likely as the others.
STYLES: dict[int, tuple[str, ...]] = {
    0: (
        "55,4 28,14 14,48 24,84 50,96 78,82 88,48 74,14 50,4",
        "60,4 38,15 28,50 36,86 55,96 70,82 76,46 66,14 46,6",
        "64,10 35,6 12,34 16,74 44,97 78,86 92,52 78,18 50,9 36,20",
        "40,8 18,32 16,68 40,95 72,86 88,52 74,16 46,4 32,16",
        "70,20 52,4 24,18 12,54 26,90 54,94 80,70 84,34 64,8",
    ),
    1: (
        "52,2 51,50 49,98",
        "54,2 47,50 50,98",
        "50,2 50,98",
        "66,2 34,98",
        "32,26 55,4! 54,50 52,98",
        "32,24 54,4! 53,96 / 26,97 78,95",
    ),
    2: (
        "18,28 30,8 58,4 76,22 66,50 40,76 14,95! 50,92 90,94",
        "20,25 38,6 66,8 76,30 58,62 30,90 16,90 22,76 44,84 92,96",
        "22,22 45,4 72,14 72,38 45,70 18,94! 86,94",
        "16,20 44,4 70,16 62,48 28,84 14,92 24,78 52,88 84,80",
        "10,22 40,10 74,12 72,34 42,62 8,84! 50,80 98,82",
        "30,40 26,14 54,3 78,20 64,56 36,86 18,90 20,72 46,80 94,98",
    ),
    3: (
        "20,14 48,3 74,18 64,40 40,48! 70,56 82,78 54,97 16,86",
        "22,10 55,4 72,22 48,44 38,48 60,50 80,70 62,94 18,92",
        "20,6 76,6! 46,42! 72,52 80,74 56,96 18,88",
        "24,18 46,4 68,16 60,38 42,46! 66,52 74,72 56,94 22,90",
        "14,16 50,4 80,14 60,36 36,44! 70,46 76,66 48,90 6,96",
        "26,14 52,3 74,16 56,40 34,52 42,42 74,56 74,84 44,97 16,82",
    ),
    4: (
        "26,6 22,34 20,56! 50,56 84,52 / 72,4 68,50 66,98",
        "62,4 38,32 14,62! 50,62 90,60 / 62,6 62,50 62,98",
        "24,8 16,40 30,58 56,54 74,38 / 78,6 72,50 66,97",
        "30,4 22,30 24,52! 72,46 / 74,14 70,40 64,97",
        "66,8 42,24 20,50 36,58 70,48 / 72,10 68,50 62,98",
        "34,12 12,50! 48,54 96,46 / 82,2 60,48 44,98",
    ),
    5: (
        "78,6 34,8! 28,42! 56,40 78,60 70,86 44,97 16,88",
        "36,8 30,44! 60,42 76,66 60,92 20,94 / 36,8 84,4",
        "80,4 46,8 30,22 34,44 62,54 74,74 54,95 20,92",
        "82,8 40,8! 34,40! 62,44 70,66 54,90 18,90",
        "44,20 32,48! 56,48 66,68 46,92 8,92 / 44,20 70,14 98,8",
        "88,4 56,6 40,12! 30,38 52,48 64,66 44,92 10,88",
    ),
    6: (
        "66,4 38,26 20,62 32,92 60,94 74,74 58,56 32,64 24,76",
        "52,2 32,30 24,66 36,94 62,92 72,72 54,56 30,70",
        "74,6 40,22 16,58 26,92 62,97 84,74 66,52 36,56 20,74",
        "60,2 36,32 26,70 40,96 60,86 58,64 38,64 28,80",
        "46,2 24,36 18,72 36,97 74,88 82,64 60,56 34,72 28,92",
    ),
    7: (
        "16,10 50,8 82,8! 62,48 46,98",
        "16,12 50,9 82,8! 60,50 48,98 / 34,52 76,50",
        "16,26 20,8! 50,10 82,6! 58,46 44,98",
        "14,14 50,6 78,12 66,46 40,98",
        "10,20 42,14 86,4! 54,48 26,98",
        "14,10 40,16 78,8! 70,40 66,98",
    ),
    8: (
        "70,14 46,3 28,18 40,40 66,60 72,84 48,97 26,82 38,58 64,38 74,18",
        "50,48 28,26 48,4 70,22 50,48 26,76 48,97 74,76 50,48",
        "50,4 28,24 50,46 72,24 50,4 / 50,46 24,72 50,97 78,72 50,46",
        "74,8 44,6 32,26 60,54 66,84 42,97 28,78 52,50 76,24 68,6",
        "84,16 56,4 34,16 42,38 62,56 58,84 32,97 18,82 40,56 72,34 92,4",
    ),
    9: (
        "74,20 52,4 26,24 40,46 66,36 76,14! 72,55 66,98",
        "74,20 50,3 26,22 44,44 70,28 77,36 66,82 34,96",
        "72,18 46,4 24,28 46,48 70,26 70,60 68,98",
        "70,14 40,8 26,36 48,50 72,22! 62,60 50,98",
        "78,16 48,6 18,28 30,48 66,34 80,10! 60,50 38,98",
    ),
}


def draw(start: int, stop: int, *, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw the rows `start <= row < stop` of the endless data set that `seed` names.

    Rows are independent, and a row depends on `seed` and its own number alone: the same bytes wherever the
    range is cut, on any number of threads, on any machine. Classes are equally likely.

    Returns:
        Images (n, 28, 28) uint8, ink 255 on 0, the mean of the ink in the middle; labels (n,) int64 in 0..9.

    Raises:
        UsageError: a range that runs backwards or below 0, or a seed outside 0 .. 2**64 - 1.
    """
    start, stop, seed = _integer("start", start), _integer("stop", stop), _integer("seed", seed)
    if not 0 <= start <= stop < 2**63:
        raise UsageError(f"rows {start}:{stop} cannot be drawn. Give 0 <= start <= stop < 2**63.")
    _check_seed(seed)
    from streameval.kernels import digits as kernels

    rows = stop - start
    images = np.empty((rows, *SHAPE), np.uint8)
    labels = np.empty(rows, np.int64)
    scratch = np.empty((-(-rows // kernels.TILE), kernels.VERTICES, 4))
    kernels.draw_rows(start, np.uint64(seed), *_strokes(), scratch, images, labels)
    return images, labels


def digits(
    dest: str | os.PathLike[str],
    *,
    rows: int,
    seed: int = 0,
    format: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set of `rows` drawn digits to `dest`, streaming, and return its path.

    The rows are `draw(0, rows, seed=seed)`: a longer file starts with the rows of a shorter one. Memory does
    not grow with `rows`. `format` is "arrow" or "npy"; without it `dest` decides: ".arrow", else a folder.
    `progress(done, rows)` is called after each block.

    Raises:
        UsageError: rows below 0 or a seed out of range.
        StorageError: `dest` cannot be written; nothing is left behind.
        LockedError: another process is writing `dest`.
    """
    rows, seed = _integer("rows", rows), _integer("seed", seed)
    if rows < 0:
        raise UsageError(f"rows={rows} drawn digits cannot be written. Give 0 or more.")
    _check_seed(seed)
    from streameval.storage import create

    return create(
        dest,
        _blocks(rows, seed),
        rows=rows,
        shape=SHAPE,
        dtype=np.dtype(np.uint8),
        classes=CLASSES,
        format=format,
        progress=progress,
    )


def demo_network_path() -> Path:
    """Return where the demo's network lies: 784-50-100-10, sigmoid, shipped with the package.

    `examples/train_demo_network.py` trained it on drawn digits.
    """
    return Path(__file__).with_name("demo.safetensors")


def _blocks(rows: int, seed: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    for start in range(0, rows, BLOCK_ROWS):
        yield draw(start, min(start + BLOCK_ROWS, rows), seed=seed)


@functools.cache
def _strokes() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return STYLES as the kernel takes them: points, pens, starts of styles, starts of classes."""
    from streameval.kernels.digits import CORNER, LIFT, SMOOTH

    points: list[tuple[float, ...]] = []
    pens: list[int] = []
    style_starts, class_starts = [0], [0]
    for label in range(CLASSES):
        for style in STYLES[label]:
            for stroke in style.split("/"):
                for point in stroke.split():
                    points.append(tuple(float(number) for number in point.rstrip("!").split(",")))
                    pens.append(CORNER if point.endswith("!") else SMOOTH)
                pens[-1] = LIFT
            style_starts.append(len(points))
        class_starts.append(len(style_starts) - 1)
    return np.array(points), np.array(pens), np.array(style_starts), np.array(class_starts)


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed {seed} is out of range. Give a whole number from 0 to 2**64 - 1.")


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise UsageError(
            f"{name}={value!r} is not a whole number. Give one, for instance {name}=0."
        ) from None
