"""A data set of one's own: the members that every data set has are enough, whatever a pass asks for besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from long_runs import CLASSES, drawn, network, write

import streameval as se
from streameval import storage
from streameval.cli.description import data_set
from streameval.storage import Span
from streameval.storage.adopted import OPTIONAL
from streameval.storage.input_files import input_files
from streameval.storage.source import Chunk

ROWS = 20_000


class Own:
    """Rows in memory, as somebody who read no more than the essential members would write them."""

    def __init__(self, path: str | None = None) -> None:
        self.x, self.t = drawn(ROWS)
        self.name, self.path, self.rows, self.shape, self.features = "own", path, ROWS, (4, 4), 16
        self.dtype, self.classes, self.scale, self.soft = np.dtype("u1"), CLASSES, 1 / 255, False

    @property
    def fingerprint(self) -> str:
        return "own:1"

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        for part in span.cut(chunk_rows):
            yield self.take(np.arange(part.start, part.stop))

    def take(self, rows: np.ndarray) -> Chunk:
        return Chunk(rows, self.x.reshape(-1), rows * 16, 16, self.t[rows])

    def check_unchanged(self) -> None: ...

    def check_content(self) -> int:
        return 0

    def close(self) -> None: ...


def test_what_is_left_out_is_filled_in_and_the_bits_are_those_of_the_rows() -> None:
    own = Own()
    source = storage.open(own)
    assert all(hasattr(source, name) and not hasattr(own, name) for name in OPTIONAL)
    assert storage.open(source) is source
    assert (source.fingerprint, source.rows, source.scale) == ("own:1", ROWS, 1 / 255)
    wanted = se.evaluate(network(), drawn(ROWS)).digest
    assert se.evaluate(network(), own).digest == wanted
    assert se.evaluate(network(), own, max_memory="100M").digest == wanted
    assert data_set(source, check=True)["blocks_checked"] == 0


def test_what_is_there_is_used(tmp_path: Path) -> None:
    """One more member, and the path, of which outputs are kept away."""

    class Careful(Own):
        def costs(self) -> tuple[int, int]:
            return 5, 7

    path = str(tmp_path / "own.data")
    source = storage.open(Careful(path))
    assert source.costs() == (5, 7)
    assert input_files(Careful(path)) == input_files(source) == (path,)
    with pytest.raises(se.errors.UsageError, match="checkpoint"):
        se.evaluate(network(), Careful(path), options=se.PassOptions(checkpoint=path))


def test_workers_open_it_by_its_path(tmp_path: Path) -> None:
    """Where that is a path that can be opened."""
    from streameval.engines import Local

    class Same(Own):
        @property
        def fingerprint(self) -> str:
            return storage.open(drawn(ROWS)).fingerprint

    path = write(tmp_path / "rows.arrow", ROWS)
    wanted = se.evaluate(network(), path).digest
    assert (
        se.evaluate(network(), Same(str(path)), options=se.PassOptions(engine=Local(5_000))).digest == wanted
    )
