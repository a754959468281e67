"""MNIST: where its files are, what they hash to, and the article's `load_mnist`.

Knows names, sizes, hashes and mirrors. Does not know HTTP (`downloading`) nor file formats (`storage`).

MNIST: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist, CC BY-SA 3.0.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import path_text
from streameval.datasets.downloading import Wanted, holds, obtain
from streameval.errors import DataError, StorageError, UsageError
from streameval.files import lock, storage_errors
from streameval.frozen import frozen

CLASSES = 10
CHUNK_ROWS = 8192

Pair = tuple[NDArray[Any], NDArray[Any]]


@frozen
class Split:
    """One half of the data set: the name of its Arrow file, and the two IDX files that it is made of."""

    name: str
    images: Wanted
    labels: Wanted


# The mirrors pack the same content differently: sizes and hashes are those of the unpacked files.
SPLITS = (
    Split(
        "train",
        Wanted(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        Wanted(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    Split(
        "test",
        Wanted(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        Wanted(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)


def fetch(
    dest: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Write `dest`/train.arrow and `dest`/test.arrow, verified against pinned hashes; return both paths.

    source    a folder that holds the IDX files (raw or .gz), or a URL to take them from; else the mirrors,
              in order
    progress  called with (bytes done, bytes in all), of unpacked content that is taken or found

    What is already there and verified is not taken again: the Arrow files, IDX files in `dest`, and what an
    earlier call downloaded before it failed (kept in `dest`/.mnist until both Arrow files are written).

    Raises:
        StorageError: no place has the right content, what each said; or `dest` cannot be written.
        UsageError: `source` is a URL of another scheme than http and https; an empty path.
        LockedError: another process fetches into `dest`.
    """
    folder = Path(path_text("dest", dest))
    places = _places(source)
    with _made(folder):
        return _fetch_into(folder, places, progress)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder, with those above it; on any error remove again what was made and is still empty."""
    with storage_errors(folder):
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in new:
                path.rmdir()
        raise


def _fetch_into(
    folder: Path,
    places: Callable[[str], list[str | Path]],
    progress: Callable[[int, int], None] | None,
) -> tuple[Path, Path]:
    arrows = {split.name: folder / f"{split.name}.arrow" for split in SPLITS}
    with lock(folder / "mnist"):
        missing = [split for split in SPLITS if not _is_converted(arrows[split.name], split)]
        wanted = [file for split in missing for file in (split.images, split.labels)]
        found = _take_all(wanted, folder, places, progress)
        from streameval.storage import convert

        for split in missing:
            images, labels = found[split.images.name], found[split.labels.name]
            convert(images, labels, arrows[split.name], classes=CLASSES)
        kept = folder / ".mnist"
        # What was downloaded, and nothing else that somebody may keep there.
        with contextlib.suppress(OSError):
            for path in found.values():
                if path.parent == kept:
                    path.unlink()
            kept.rmdir()
    return arrows["train"], arrows["test"]


def load_mnist(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    *,
    root: str | os.PathLike[str],
) -> tuple[Pair, Pair]:
    """Return ((x_train, t_train), (x_test, t_test)) as arrays in memory, as the article does.

    normalize      True: pixels 0..255 become float32 0.0..1.0; False: uint8 as they are
    flatten        True: x (n, 784); False: (n, 1, 28, 28)
    one_hot_label  True: t float64 (n, 10) of 0 and 1; False: uint8 (n,)
    root           the folder that holds train.arrow and test.arrow (`fetch` writes them), or the four IDX
                   files, raw or .gz

    All rows are held in memory, 188 MB for the training images as float32. To evaluate in bounded memory,
    `streameval.open` the Arrow file instead.

    Raises:
        DataError: the files are not there, are damaged, or do not hold 28 x 28 uint8 pixels and labels 0..9.
    """
    from streameval.storage import open as open_source

    folder = Path(path_text("root", root))
    pairs = []
    for split in SPLITS:
        source = open_source(_stored(folder, split))
        try:
            x, t = _in_memory(source)
        finally:
            source.close()
        if normalize:
            x = x.astype(np.float32)
            x /= 255.0
        x = x if flatten else x.reshape(-1, 1, 28, 28)
        pairs.append((x, _one_hot(t) if one_hot_label else t))
    return pairs[0], pairs[1]


def _places(source: str | os.PathLike[str] | None) -> Callable[[str], list[str | Path]]:
    """Return a function from a file's name to the places to try for it."""
    if source is None:
        return lambda name: [f"{mirror}{name}.gz" for mirror in MIRRORS]
    text = path_text("source", source)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if scheme is None:
        folder = Path(text)
        if not folder.is_dir():
            raise StorageError(f"{text}: not a folder. Give the folder that holds the IDX files, or a URL.")
        return lambda name: list(_names_in(folder, name)) or [folder / name]
    if scheme[1].lower() not in ("http", "https"):
        raise UsageError(f"{text}: scheme {scheme[1]!r}, expected http or https, or a folder.")
    return lambda name: [f"{text.rstrip('/')}/{name}{end}" for end in (".gz", "")]


def _names_in(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files in `folder` that go by this name: "-" or "." before idx, raw or .gz."""
    for stem in (name, name.replace("-idx", ".idx")):
        for end in ("", ".gz"):
            path = folder / (stem + end)
            if path.is_file():
                yield path


def _take_all(
    wanted: list[Wanted],
    folder: Path,
    places: Callable[[str], list[str | Path]],
    progress: Callable[[int, int], None] | None,
) -> dict[str, Path]:
    """Return where each wanted file now lies: found in `folder`, or taken into its `.mnist` folder."""
    kept = folder / ".mnist"
    total, before = sum(file.size for file in wanted), 0

    def tell(done: int) -> None:
        if progress is not None:
            progress(before + done, total)

    found = {}
    for file in wanted:
        here = [path for path in (kept / file.name, *_names_in(folder, file.name)) if holds(path, file)]
        if not here:
            here = [kept / file.name]
            with storage_errors(kept):
                kept.mkdir(exist_ok=True)
            try:
                obtain(file, places(file.name), here[0], progress=tell)
            finally:
                with contextlib.suppress(OSError):
                    kept.rmdir()  # only if it is empty
        found[file.name] = here[0]
        tell(file.size)
        before += file.size
    return found


def _is_converted(path: Path, split: Split) -> bool:
    """Say whether the Arrow file holds exactly the IDX files' content, by rebuilding what was hashed."""
    if not path.is_file():
        return False
    from streameval.storage import Span
    from streameval.storage import open as open_source

    try:
        source = open_source(path)
        try:
            if source.shape != (28, 28) or source.dtype != np.uint8 or source.soft:
                return False
            images = hashlib.sha256(struct.pack(">4I", 2051, source.rows, 28, 28))
            labels = hashlib.sha256(struct.pack(">2I", 2049, source.rows))
            for chunk in source.chunks(Span(0, source.rows), CHUNK_ROWS):
                images.update(np.ascontiguousarray(chunk.x).data)
                labels.update(chunk.t.astype(np.uint8).tobytes())
        finally:
            source.close()
    except (DataError, StorageError):
        return False
    return (images.hexdigest(), labels.hexdigest()) == (split.images.sha256, split.labels.sha256)


def _stored(root: Path, split: Split) -> Path | tuple[Path, Path]:
    """Return the Arrow file, or the pair of IDX files, that holds one half of the data set in `root`."""
    arrow = root / f"{split.name}.arrow"
    if arrow.is_file():
        return arrow
    images = next(_names_in(root, split.images.name), None)
    labels = next(_names_in(root, split.labels.name), None)
    if images is None or labels is None:
        raise DataError(
            f"{root}: neither {arrow.name} nor {split.images.name} with {split.labels.name} (raw or .gz) is "
            f"there. Get them: streameval fetch mnist {root}"
        )
    return images, labels


def _in_memory(source: Any) -> Pair:
    """Return all rows of a source of 28 x 28 uint8 pixels, (n, 784), and its labels, uint8 (n,)."""
    from streameval.storage import Span

    if source.shape != (28, 28) or source.dtype != np.uint8 or source.soft:
        raise DataError(
            f"{source.name}: rows of shape {source.shape}, type {source.dtype}"
            f"{', soft targets' if source.soft else ''}; expected 28 x 28 uint8 pixels and integer labels. "
            "Open it with streameval.open."
        )
    x = np.empty((source.rows, 784), np.uint8)
    t = np.empty(source.rows, np.int64)
    at = 0
    for chunk in source.chunks(Span(0, source.rows), CHUNK_ROWS):
        x[at : at + len(chunk)] = chunk.x
        t[at : at + len(chunk)] = chunk.t
        at += len(chunk)
    wrong = np.flatnonzero((t < 0) | (t >= CLASSES))
    if wrong.size:
        raise DataError(
            f"{source.name}, row {wrong[0]}: label {t[wrong[0]]}, {wrong.size} such in all; expected 0..9."
        )
    return x, t.astype(np.uint8)


def _one_hot(t: NDArray[np.uint8]) -> NDArray[np.float64]:
    rows = np.zeros((len(t), CLASSES))
    rows[np.arange(len(t)), t] = 1.0
    return rows
