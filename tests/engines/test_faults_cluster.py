"""Clusters that fall apart or do not fit: the right code within seconds, and nothing that was done is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dask_processes import Listener, scheduler, worker
from long_runs import network

import streameval as se
from streameval.engines import engine
from streameval.errors import IncompleteError, StorageError
from streameval.evaluation.evaluate import PassOptions

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


def test_a_scheduler_that_is_killed_ends_the_pass_with_7(
    data: Path, whole: se.Report, running: Running, tmp_path: Path
) -> None:
    """Also in the middle of handing results on."""
    process, address = running
    kept, begun = tmp_path / "checkpoint", []

    def strike() -> None:
        os.killpg(process.pid, signal.SIGKILL)
        begun.append(time.monotonic())

    with worker(address):
        options = PassOptions(engine=on(address), checkpoint=kept, callbacks=[early(strike)])
        with pytest.raises(
            IncompleteError, match=r"the Dask scheduler (does not answer any more|lost it)"
        ) as caught:
            se.evaluate(network(), data, options=options)
        assert time.monotonic() - begun[0] < 20
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


def test_no_worker_is_told_so_with_5(data: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streameval.engines.dask.PATIENCE", 1)
    with pytest.raises(StorageError, match=r"no Dask worker came within 1 s.*dask worker") as caught:
        se.evaluate(network(), data, options=PassOptions(engine=on(running[1])))
    assert caught.value.exit_code == 5
