"""Clusters that fall apart or do not fit: the right code within seconds, and nothing that was done is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT
from dask_processes import Listener, scheduler, worker
from long_runs import drawn, network, write

import streameval as se
from streameval.engines import engine
from streameval.errors import IncompleteError, StorageError
from streameval.evaluation.evaluate import PassOptions
from streameval.storage.writing import create

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'streameval[dask]'"
)
ROWS, SPAN = 400_003, 9_999
Running = tuple[subprocess.Popen[bytes], str]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A scheduler of its own, and its address."""
    with scheduler(tmp_path / "scheduler.json") as started:
        yield started


def on(address: str) -> Any:
    return replace(engine("dask", address=address), span_rows=SPAN)  # type: ignore[type-var]


def resumes(data: Path, kept: Path, whole: se.Report) -> None:
    """The checkpoint has what was done, and going on from it gives the same bits."""
    rows = sum(one["stop"] - one["start"] for one in json.loads(kept.read_bytes())["tallies"])
    assert 0 < rows < ROWS
    listener = Listener(0, lambda: None)
    again = se.evaluate(network(), data, options=PassOptions(checkpoint=kept, callbacks=[listener]))
    assert (again.digest, again.blocks) == (whole.digest, whole.blocks)
    assert sum(map(len, listener.spans)) == ROWS - rows


def early(call: Callable[[], Any]) -> Listener:
    """Calls it after the third span, when others are to come."""
    return Listener(3, call)


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_a_scheduler_that_is_gone_ends_the_pass_with_7(
    data: Path, whole: se.Report, running: Running, tmp_path: Path, fault: str
) -> None:
    """Killed, or stopped so that it takes connections and never answers."""
    process, address = running
    number = signal.SIGKILL if fault == "killed" else signal.SIGSTOP
    kept, begun = tmp_path / "checkpoint", []

    def strike() -> None:
        os.killpg(process.pid, number)
        begun.append(time.monotonic())

    with worker(address):
        options = PassOptions(engine=on(address), checkpoint=kept, callbacks=[early(strike)])
        with pytest.raises(
            IncompleteError, match=r"the Dask scheduler (does not answer any more|lost it)"
        ) as caught:
            se.evaluate(network(), data, options=options)
        took = time.monotonic() - begun[0]
        # A worker that is told to end waits for its scheduler.
        os.killpg(process.pid, signal.SIGKILL)
    assert took < 20
    assert caught.value.exit_code == 7
    resumes(data, kept, whole)


def test_a_cluster_without_workers_ends_the_pass_with_7(
    data: Path, whole: se.Report, running: Running, tmp_path: Path
) -> None:
    """All of them are killed, and none comes again."""
    _, address = running
    kept, begun = tmp_path / "checkpoint", []
    with worker(address) as one, worker(address) as two:
        with distributed.Client(address, timeout=15, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=30)

        def strike() -> None:
            for process in (one, two):
                os.killpg(process.pid, signal.SIGKILL)
            begun.append(time.monotonic())

        options = PassOptions(engine=on(address), checkpoint=kept, callbacks=[early(strike)])
        with pytest.raises(IncompleteError, match="no Dask worker is left") as caught:
            se.evaluate(network(), data, options=options)
    assert time.monotonic() - begun[0] < 20
    assert caught.value.exit_code == 7
    resumes(data, kept, whole)


def test_a_worker_that_comes_in_time_takes_over(data: Path, whole: se.Report, running: Running) -> None:
    """The last one dies; the next one is there before the cluster is given up."""
    _, address = running
    others: list[Any] = []
    with worker(address) as one:

        def strike() -> None:
            os.killpg(one.pid, signal.SIGKILL)
            others.append(worker(address))
            others[0].__enter__()

        try:
            report = se.evaluate(
                network(), data, options=PassOptions(engine=on(address), callbacks=[early(strike)])
            )
        finally:
            for other in others:
                other.__exit__(None, None, None)
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)


def test_no_worker_is_told_so_with_5(data: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streameval.engines.dask.PATIENCE", 1)
    with pytest.raises(StorageError, match=r"no Dask worker came within 1 s.*dask worker") as caught:
        se.evaluate(network(), data, options=PassOptions(engine=on(running[1])))
    assert caught.value.exit_code == 5


def test_a_scheduler_that_is_stopped_before_is_told_so_with_5(
    data: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stops before it is connected to, or after."""
    monkeypatch.setattr("streameval.engines.dask.PATIENCE", 2)
    process, address = running
    with distributed.Client(address, timeout=15, set_as_default=False) as client:
        os.killpg(process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(StorageError, match="no Dask scheduler answered"):
            se.evaluate(network(), data, options=PassOptions(engine=on(address)))
        with pytest.raises(StorageError, match="the Dask scheduler does not answer any more"):
            se.evaluate(network(), data, options=PassOptions(engine=replace(on(address), client=client)))
        took = time.monotonic() - begun
        os.killpg(process.pid, signal.SIGCONT)
    assert took < 20


def test_a_worker_of_another_version_computes_nothing(data: Path, running: Running, tmp_path: Path) -> None:
    """A copy of the package in which the bits mean something else."""
    shutil.copytree(ROOT / "streameval", tmp_path / "other" / "streameval")
    changed = tmp_path / "other" / "streameval" / "evaluation" / "identity.py"
    before = changed.read_text()
    changed.write_text(before.replace("\nRESULT_VERSION = 1\n", "\nRESULT_VERSION = 99\n"))
    assert changed.read_text() != before
    with (
        worker(running[1], PYTHONPATH=str(tmp_path / "other")),
        pytest.raises(
            IncompleteError,
            match=rf"41 spans with {ROWS} of {ROWS} rows .*results 99.*, expected .*results 1.* same version",
        ) as caught,
    ):
        se.evaluate(network(), data, options=PassOptions(engine=on(running[1])))
    assert caught.value.exit_code == 7


def test_a_worker_that_sees_another_file_at_the_path_is_3(
    data: Path, running: Running, tmp_path: Path
) -> None:
    """In its own view of the file system, another file is mounted over the data's."""
    other = write(tmp_path / "other.arrow", ROWS, seed=9)
    mounting = ("unshare", "--mount", "sh", "-c")
    command = f'mount --bind {other} {data} && exec "$0" "$@"'
    if subprocess.run([*mounting, command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount of one's own needs root")
    with (
        worker(running[1], before=(*mounting, command)),
        pytest.raises(IncompleteError, match="this worker sees data with fingerprint") as caught,
    ):
        se.evaluate(network(), data, options=PassOptions(engine=on(running[1])))
    assert caught.value.exit_code == 3
    assert isinstance(caught.value, se.errors.DataError)


@pytest.mark.parametrize("with_engine", [False, True])
def test_an_engine_ends_with_the_code_that_a_pass_without_one_has(
    tmp_path: Path, running: Running, with_engine: bool
) -> None:
    """A label that the model does not know: 3. Too little memory: 5."""
    x, t = drawn(30_000)
    t[12_345] = 4
    bad = create(tmp_path / "bad.arrow", [(x, t)], rows=len(x), shape=(4, 4), dtype="u1", classes=5)
    good = write(tmp_path / "good.arrow", 30_000)
    with worker(running[1]):
        options = PassOptions(engine=on(running[1]) if with_engine else None)
        with pytest.raises(se.errors.DataError, match="row 12345: label 4") as data_error:
            se.evaluate(network(), bad, options=options)
        with pytest.raises(StorageError, match="max_memory: 1048576 bytes") as storage_error:
            se.evaluate(network(), good, max_memory="1M", options=options)
    assert (data_error.value.exit_code, storage_error.value.exit_code) == (3, 5)
    assert isinstance(data_error.value, IncompleteError) == with_engine


def test_workers_that_are_all_short_of_memory_end_the_pass_with_5(
    network_file: Path, running: Running, tmp_path: Path
) -> None:
    """Each may have 6 GiB of addresses, and a chunk, of a file of holes, takes 8."""
    rows = 10 << 20
    for name, shape in (("images.npy", (rows, 28, 28)), ("labels.npy", (rows,))):
        np.lib.format.open_memmap(tmp_path / name, "w+", np.uint8, shape).flush()
    little = ("sh", "-c", 'ulimit -v 6291456 && exec "$0" "$@"')
    given = replace(on(running[1]), span_rows=rows)
    source = se.open(tmp_path, io="pread")  # type: ignore[attr-defined]
    options, model = PassOptions(engine=given), se.load_model(network_file)
    with (
        worker(running[1], before=little),
        worker(running[1], before=little),
        pytest.raises(StorageError, match=r"1 spans with 10485760 .* Unable to allocate") as caught,
    ):
        se.evaluate(model, source, chunk_rows=rows, options=options)
    assert caught.value.exit_code == 5
    assert isinstance(caught.value, IncompleteError)
