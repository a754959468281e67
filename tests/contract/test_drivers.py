"""What every way of computing losses promises: the same refusals, and results that no way of reading changes.

A new driver is a row in `DRIVERS`, and keeps all of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pytest
import small_networks as small

import streameval as se
from streameval.engines.local import Local
from streameval.errors import DataError, IncompleteError, LabelError, StorageError, StreamevalError
from streameval.storage.stored import StoredSource

ROWS, FEATURES, CLASSES, BAD = 301, 20, 10, 211
LOSSES = "losses.arrow"
LAYERS = small.network([FEATURES, 12, CLASSES], ["sigmoid"], seed=4)
CODES = {DataError: 3, LabelError: 3, StorageError: 5}


def _stored_losses(model: se.Mlp, data: Any, **settings: Any) -> list[float]:
    se.evaluate(model, data, options=se.PassOptions(losses=LOSSES), **settings)
    with pa.memory_map(LOSSES) as file:
        column: list[float] = pa.ipc.open_file(file).read_all()["loss"].to_pylist()
    return column


def _function(model: se.Mlp) -> Any:
    """The network in float64 by NumPy, each row's sums in one order, whatever the batch."""

    def predict(x: np.ndarray) -> np.ndarray:
        values = x.astype(np.float64)
        for layer in model.layers:
            sums = (values[:, :, None] * layer.weight.astype(np.float64)).sum(axis=1) + layer.bias
            values = getattr(naive, layer.activation)(sums)
        return values

    return predict


def _on_an_engine(model: se.Mlp, data: Any, **settings: Any) -> se.Report:
    return se.evaluate(model, data, options=se.PassOptions(engine=Local(100)), **settings)


def _of_all_rows(model: se.Mlp, data: Any, **settings: Any) -> Any:
    """One mini-batch, of every row once."""
    return se.minibatch(model, data, size=se.open(data).rows or 1, replace=False, **settings)


def _epoch(model: se.Mlp, data: Any, **settings: Any) -> list[Any]:
    """All rows once, in batches of which the last is smaller."""
    return [*se.Sampler(model, data, **settings).epoch(size=100, seed=3)]


def _paired(model: se.Mlp, data: Any, **settings: Any) -> Any:
    """With a model of zeros, whose losses are all alike."""
    return se.paired([ZEROS, model], data, **settings)


@dataclass(frozen=True)
class Driver:
    """A way of computing losses of all rows.

    run      (model, data, **settings) -> what it computed
    key      of that: what must never differ, comparable with ==
    loss     of that: the mean loss of all rows in nats
    accepts  which of chunk_rows, threads and max_memory it takes
    keeps    whether one span that fails leaves the others to be done: then it ends with an IncompleteError that says
             why, and not with that error itself; without a checkpoint, as here, it has the cause's exit code
    """

    run: Callable[..., Any]
    key: Callable[[Any], Any]
    loss: Callable[[Any], float]
    accepts: tuple[str, ...]
    keeps: bool = False

    @contextmanager
    def refusing(self, error: type[StreamevalError], message: str) -> Iterator[None]:
        """Expect this error of rows or of their reading, with its exit code."""
        expected = IncompleteError if self.keeps else error
        with pytest.raises(expected, match=message) as raised:
            yield
        # Whoever computes: the cause decides the exit code.
        assert raised.value.exit_code == CODES[error]


ZEROS = se.Mlp([se.Layer(np.zeros((FEATURES, CLASSES)), np.zeros(CLASSES), "identity")])
LOSS_OF_ZEROS = -np.log(1 / CLASSES + 1e-7)
ALL = ("chunk_rows", "threads", "max_memory")
# Random rows are asked for until every row was read.
DRIVERS = {
    "evaluate": Driver(se.evaluate, lambda done: done.digest, lambda done: done.loss, ALL),
    "stream": Driver(
        lambda *given, **more: [*se.stream(*given, **more)],
        lambda done: done[-1].state.digest,
        lambda done: done[-1].loss,
        ALL[:2],
    ),
    "per_sample_losses": Driver(se.per_sample_losses, lambda done: done.tolist(), np.mean, ALL[:2]),
    "minibatch": Driver(_of_all_rows, lambda done: done.to_dict(), lambda done: done.loss, ALL[1:2]),
    "an epoch of mini-batches": Driver(
        _epoch,
        lambda done: [(batch.loss, batch.rows.tolist(), batch.interval) for batch in done],
        lambda done: np.concatenate([batch.losses for batch in done]).mean(),
        ALL[1:2],
    ),
    "compare": Driver(
        lambda *given, **more: se.compare(*given, sizes=(1,), trials=20, **more),
        lambda done: done.full.digest,
        lambda done: done.full.loss,
        ALL[1:],
    ),
    "evaluate_until": Driver(
        lambda *given, **more: se.evaluate_until(*given, half_width=1e-9, **more),
        lambda done: done.to_dict(),
        lambda done: done.loss,
        ALL[1:2],
    ),
    "paired": Driver(
        _paired,
        lambda done: [done.to_dict()["pairs"], [one.digest for one in done.reports]],
        lambda done: done.reports[1].loss,
        ALL[1:],
    ),
    "paired, random rows": Driver(
        lambda *given, **more: _paired(*given, half_width=1e-9, **more),
        lambda done: done.to_dict(),
        lambda done: LOSS_OF_ZEROS + done.mean,
        ALL[1:2],
    ),
    "evaluate, a function": Driver(
        lambda model, *given, **more: se.evaluate(_function(model), *given, **more),
        lambda done: done.digest,
        lambda done: done.loss,
        ALL[:2],
    ),
    "a file of losses": Driver(_stored_losses, lambda done: done, np.mean, ALL),
    "an engine": Driver(_on_an_engine, lambda done: done.digest, lambda done: done.loss, ALL, keeps=True),
}


def taking(setting: str) -> list[Any]:
    """The drivers that take a setting, as parameters of a test."""
    return [pytest.param(one, id=name) for name, one in DRIVERS.items() if setting in one.accepts]


each_driver = pytest.mark.parametrize("driver", DRIVERS.values(), ids=[*DRIVERS])


@pytest.fixture(scope="module")
def model() -> se.Mlp:
    return se.Mlp(se.Layer(*layer) for layer in LAYERS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(folder: Path, rows: int = ROWS, *, label: int = 3, feature: float = 0.5) -> Path:
    """A data set of two .npy files; row BAD has this label and this value among its features."""
    data = folder / "data"
    data.mkdir()
    x, t = small.floats(rows, FEATURES), small.labels(rows, CLASSES)
    if rows > BAD:
        x[BAD, 7], t[BAD] = feature, label
    np.save(data / "images.npy", x)
    np.save(data / "labels.npy", t)
    return data


@each_driver
def test_data_without_rows_are_refused_by_their_name(driver: Driver, model: se.Mlp, folder: Path) -> None:
    # Whoever computes: this is seen before anything is.
    with pytest.raises(DataError, match=r"data/images\.npy: no rows, so there is no loss") as error:
        driver.run(model, stored(folder, 0))
    assert error.value.exit_code == 3


@each_driver
def test_a_label_out_of_range_is_refused_with_its_row(driver: Driver, model: se.Mlp, folder: Path) -> None:
    with driver.refusing(
        LabelError, rf"data/images\.npy, row {BAD}: label {CLASSES} .*expected {CLASSES} classes"
    ):
        driver.run(model, stored(folder, label=CLASSES))


@each_driver
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_with_their_row(
    value: float, driver: Driver, model: se.Mlp, folder: Path
) -> None:
    with driver.refusing(DataError, rf"data/images\.npy, row {BAD}: .*NaN or infinite"):
        driver.run(model, stored(folder, feature=value))


@pytest.fixture
def touched_while_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose labels are written to whenever some rows were read, by whoever has it open."""
    data = stored(folder)
    chunks, take, times = StoredSource.chunks, StoredSource.take, count(1)

    def touch() -> None:
        os.utime(data / "labels.npy", ns=(0, next(times)))

    def touched_chunks(self: Any, *given: Any) -> Iterator[Any]:
        for chunk in chunks(self, *given):
            yield chunk
            touch()

    def touched_take(self: Any, *given: Any) -> Any:
        chunk = take(self, *given)
        touch()
        return chunk

    monkeypatch.setattr(StoredSource, "chunks", touched_chunks)
    monkeypatch.setattr(StoredSource, "take", touched_take)
    return data


@each_driver
def test_a_file_that_changes_during_the_pass_is_refused(
    driver: Driver, model: se.Mlp, touched_while_read: Path
) -> None:
    with driver.refusing(DataError, r"data/labels\.npy: the file changed while it was read"):
        driver.run(model, touched_while_read)


@pytest.mark.parametrize("driver", taking("max_memory"))
def test_too_little_memory_is_refused_with_what_is_needed(
    driver: Driver, model: se.Mlp, folder: Path
) -> None:
    with driver.refusing(StorageError, r"max_memory: 1000 bytes, but \d+ are needed .*Allow more memory"):
        driver.run(model, stored(folder), max_memory=1000)


@each_driver
@pytest.mark.parametrize("rows", [1, 2, ROWS])
def test_the_loss_of_all_rows_is_that_of_plain_formulas(
    rows: int, driver: Driver, model: se.Mlp, folder: Path
) -> None:
    data = stored(folder, rows)
    x, t = np.load(data / "images.npy"), np.load(data / "labels.npy")
    assert driver.loss(driver.run(model, data)) == pytest.approx(naive.losses(LAYERS, x, t).mean(), abs=2e-6)


@pytest.mark.parametrize("driver", taking("chunk_rows"))
def test_no_size_of_chunks_changes_a_result(driver: Driver, model: se.Mlp, folder: Path) -> None:
    data = stored(folder)
    usual = driver.key(driver.run(model, data))
    for chunk_rows in (1, 7, 300, ROWS + 1):
        assert driver.key(driver.run(model, data, chunk_rows=chunk_rows)) == usual


@pytest.mark.parametrize("driver", taking("threads"))
def test_no_number_of_threads_changes_a_result(driver: Driver, model: se.Mlp, folder: Path) -> None:
    data = stored(folder)
    usual = driver.key(driver.run(model, data))
    for threads in (1, 2, 3):
        assert driver.key(driver.run(model, data, threads=threads)) == usual


@each_driver
def test_nothing_is_left_where_a_pass_was_refused(driver: Driver, model: se.Mlp, folder: Path) -> None:
    data = stored(folder, label=CLASSES)
    with pytest.raises(StreamevalError):
        driver.run(model, data)
    assert [one.name for one in folder.iterdir()] == ["data"]
