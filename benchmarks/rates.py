"""Rows a second: against the number of rows, from a mapped file against rows in cache, of drawing and converting.

Knows the library's calls. Does not know peers: none of them does these.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.files import Files
from benchmarks.racing import say
from benchmarks.timing import PAUSE, Line


def scaling(files: Files, *, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Seconds for the first n rows of one mapped file, each n in turn."""
    import streameval as se

    model, source = se.load_model(files.model), se.open(files.drawn(max(sizes)))

    def of(rows: int) -> Callable[[], None]:
        return lambda: _check_rows(se.evaluate(model, source, rows=slice(0, rows)).rows, rows)

    jobs = {f"{rows:,} rows": (rows, of(rows)) for rows in sizes}
    return _result(
        "scaling",
        "`se.evaluate` on a mapped file of drawn digits, 784-50-100-10",
        _turns(jobs, rounds),
    )


def reading(files: Files, *, rows: int, rounds: int) -> dict[str, Any]:
    """The same evaluation of rows that lie in a mapped file, and of rows that never leave the CPU's cache."""
    import streameval as se
    from streameval.defaults import CHUNK_ROWS
    from streameval.losses import CrossEntropy
    from streameval.scoring import make_scorer

    path = files.drawn(rows)
    model, mapped, read = se.load_model(files.model), se.open(path), se.open(path, io="pread")
    few = min(rows, CACHED_ROWS)
    again = Again(mapped, few)
    chunks = list(again.chunks(se.Span(0, rows), CHUNK_ROWS))
    scorer = make_scorer(model, again, CrossEntropy(eps=data.EPS))

    def kernel_alone() -> None:
        for chunk in chunks:
            scorer.score(chunk)

    def evaluate(source: Any) -> Callable[[], None]:
        return lambda: _check_rows(se.evaluate(model, source).rows, rows)

    jobs = {
        "mapped file, all of it in the page cache": (rows, evaluate(mapped)),
        "the same file with --io pread": (rows, evaluate(read)),
        f"the same evaluation of {few:,} rows in cache, again and again": (rows, evaluate(again)),
        f"the kernel alone on {few:,} rows in cache, nothing summed": (rows, kernel_alone),
    }
    title = f"{rows:,} drawn digits ({path.stat().st_size / 1e9:.1f} GB), 784-50-100-10"
    return _result("reading", title, _turns(jobs, rounds))


# 3.2 MB of pixels: within the caches of the cores.
CACHED_ROWS: Final = 4096


class Again:
    """A data set of as many rows as `source`, all of which are its first `few`, again and again, in memory."""

    def __init__(self, source: Any, few: int) -> None:
        import streameval as se

        first = next(source.chunks(se.Span(0, few), few))
        self._values, self._labels = np.ascontiguousarray(first.x).reshape(-1), first.t.copy()
        self._few = few
        self._made: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self.path: str | None = None
        self.name = f"{source.name}, the first {few} rows"
        self.rows, self.shape, self.features = source.rows, source.shape, source.features
        self.dtype, self.classes, self.scale, self.soft = (
            source.dtype,
            source.classes,
            source.scale,
            source.soft,
        )

    @property
    def fingerprint(self) -> str:
        """Of nothing that is kept."""
        return "sha256:0"

    def chunks(self, span: Any, chunk_rows: int) -> Iterator[Any]:
        """Yield chunks of the size asked for."""
        from streameval.storage.source import Chunk

        for part in span.cut(chunk_rows):
            offsets, labels = self._repeated(len(part))
            yield Chunk(range(part.start, part.stop), self._values, offsets, self.features, labels)

    def take(self, rows: NDArray[np.int64]) -> Any:
        """These rows."""
        from streameval.storage.source import Chunk

        which = rows % self._few
        return Chunk(rows, self._values, self.features * which, self.features, self._labels[which])

    def check_unchanged(self) -> None:
        """Memory does not change."""

    def check_content(self) -> int:
        """There are no recorded hashes."""
        return 0

    def close(self) -> None:
        """There is nothing to give back."""

    def _repeated(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets and labels of so many rows, made once for each size."""
        if rows not in self._made:
            which = np.arange(rows) % self._few
            self._made[rows] = self.features * which, self._labels[which]
        return self._made[rows]


def making(files: Files, *, rows: int, rounds: int) -> dict[str, Any]:
    """Rows a second of drawing digits, in memory and to a file, and of converting IDX to Arrow and npy."""
    import streameval as se
    from streameval.datasets import digits

    images, labels = files.idx
    zipped = files.folder / f"{images.name}.gz"
    if not zipped.exists():
        with images.open("rb") as plain, gzip.open(zipped, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out)

    def written(write: Callable[[Path], Any], name: str) -> Callable[[], None]:
        def run() -> None:
            # In the work folder, so that all are on the same disk.
            with tempfile.TemporaryDirectory(dir=files.folder) as folder:
                write(Path(folder) / name)

        return run

    many = files.rows
    jobs: dict[str, tuple[int, Callable[[], object]]] = {
        "draw digits, in memory": (rows, lambda: digits.draw(0, rows, seed=1)),
        "draw digits, to an Arrow file": (
            rows,
            written(lambda path: digits.digits(path, rows=rows, seed=1), "x.arrow"),
        ),
        "convert raw IDX to Arrow": (many, written(lambda path: se.convert(images, labels, path), "x.arrow")),
        "convert raw IDX to npy": (many, written(lambda path: se.convert(images, labels, path), "x")),
        "convert IDX .gz to Arrow": (many, written(lambda path: se.convert(zipped, labels, path), "x.arrow")),
    }
    title = "data sets of 28 x 28 pixels: written whole, hashed, synced to disk"
    return _result("making", title, _turns(jobs, rounds))


# Name: the function that measures it.
RATES: Final = {"scaling": scaling, "reading": reading, "making": making}


def run(name: str, files: Files, **settings: Any) -> dict[str, Any]:
    """Run one of RATES in a process of its own, and return its result."""
    request = {"name": name, "folder": str(files.folder), "rows": files.rows, "settings": settings}
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.rates", json.dumps(request)),
        cwd=data.ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _turns(jobs: Mapping[str, tuple[int, Callable[[], object]]], rounds: int) -> list[Line]:
    """Time each job (rows, callable) `rounds` times, in turn, after a pause and one untimed call each time."""
    for who, (_, job) in jobs.items():
        say(f"rates: {who}")
        job()
    seconds: dict[str, list[float]] = {who: [] for who in jobs}
    for _ in range(rounds):
        for who, (_, job) in jobs.items():
            time.sleep(PAUSE)
            job()
            start = time.perf_counter()
            job()
            seconds[who].append(time.perf_counter() - start)
    return [
        Line(who, "", rows, statistics.median(seconds[who]), min(seconds[who]))
        for who, (rows, _) in jobs.items()
    ]


def _check_rows(found: int, expected: int) -> None:
    if found != expected:
        raise AssertionError(f"{found} rows were evaluated, expected {expected}: the times mean nothing.")


def _result(name: str, title: str, lines: list[Line]) -> dict[str, Any]:
    shown = [dataclasses.asdict(line) for line in lines]
    return {"name": name, "kind": "rates", "title": title, "lines": shown, "notes": []}


def main() -> None:
    """Run what the one argument, JSON, asks for."""
    parser = argparse.ArgumentParser(description="Measure rows a second in this process.")
    parser.add_argument("request")
    request = json.loads(parser.parse_args().request)
    files = Files(Path(request["folder"]), request["rows"])
    print(json.dumps(RATES[request["name"]](files, **request["settings"])))


if __name__ == "__main__":
    main()
