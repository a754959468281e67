"""Engines give the bits of one pass, whoever computes, however often somebody dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import needs_proc
from dask_processes import Listener, shell
from hypothesis import given
from hypothesis import strategies as st
from long_runs import drawn, network, write
from small_files import idx_pair

import streameval as se
from streameval.engines import engine
from streameval.engines.local import Local
from streameval.engines.worker import cut_evenly
from streameval.errors import DataError, IncompleteError, StorageError, StreamevalError, UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.passes import Failure, Part, PassSpec
from streameval.evaluation.selection import Selection, Task
from streameval.storage.source import Span
from streameval.storage.writing import create

ROWS = 400_003
SPAN = 9_999


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes with one thread each, and a client."""
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install 'streameval[dask]'"
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, memory_limit=0, dashboard_address="127.0.0.1:0"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client


def dask(client: Any, **options: Any) -> Any:
    from streameval.engines.dask import Dask

    return Dask(client=client, **{"span_rows": SPAN} | options)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 100))
def test_spans_tile_a_gap_and_are_cut_at_multiples(start: int, length: int, rows: int) -> None:
    """No row is lost or doubled, no span is empty, and all inner cuts are multiples."""
    spans = cut_evenly(Span(start, start + length), rows)
    assert [row for span in spans for row in range(span.start, span.stop)] == list(
        range(start, start + length)
    )
    assert all(0 < len(span) <= rows for span in spans)
    assert all(span.start % rows == 0 for span in spans[1:])


def test_the_local_engine_gives_the_same_bits(data: Path, whole: se.Report) -> None:
    """State and blocks, from a path or from an open source."""
    for given_data in (data, str(data), se.open(data)):
        report = se.evaluate(network(), given_data, options=PassOptions(engine=Local(SPAN)))
        assert (report.digest, report.blocks) == (whole.digest, whole.blocks)


def test_dask_workers_give_the_same_bits(data: Path, whole: se.Report, cluster: Any) -> None:
    """All rows, and chosen rows with repeats."""
    report = se.evaluate(network(), data, options=PassOptions(engine=dask(cluster)))
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    rows = np.random.default_rng(0).integers(0, ROWS, 50_000)
    assert se.evaluate(network(), data, rows=rows, options=PassOptions(engine=dask(cluster))).digest == (
        se.evaluate(network(), data, rows=rows).digest
    )


def test_workers_together_use_no_more_threads_than_they_were_given(data: Path, cluster: Any) -> None:
    """One thread each here, whatever the machine has."""
    se.evaluate(network(), data, options=PassOptions(engine=dask(cluster)))

    def threads() -> list[int]:
        from streameval.engines import worker

        return [bench.scorer.threads for bench in worker._KEPT.values()]

    assert list(cluster.run(threads).values()) == [[1], [1]]


@needs_proc
def test_a_report_tells_what_the_workers_used_and_not_what_the_client_did(data: Path, cluster: Any) -> None:
    """The threads of all workers, the largest peak of one; with `max_memory`, each worker's own plan."""
    ballast = np.ones(400 << 17)  # 400 MiB that the client holds
    own = se.evaluate(network(), data, rows=slice(0, 10)).resources.peak_anon_bytes
    assert own > ballast.nbytes
    used = se.evaluate(network(), data, options=PassOptions(engine=dask(cluster))).resources
    peaks = cluster.run(lambda: __import__("streameval.system", fromlist=["_"]).memory_in_use()["RssAnon"])
    assert used.threads == 2
    assert 0 < used.peak_anon_bytes < ballast.nbytes
    assert used.peak_anon_bytes > min(peaks.values()) / 2
    assert used.base_bytes is None
    with_limit = se.evaluate(network(), data, max_memory="64M", options=PassOptions(engine=dask(cluster)))
    assert with_limit.resources.max_memory_bytes == 64 << 20
    assert with_limit.resources.threads == 2


def test_the_client_packs_no_weights(data: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not compute does not prepare to: with and without a limit of memory."""
    model = network(17)  # which nobody has packed

    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("weights were packed")

    monkeypatch.setattr("streameval.kernels.packing.pack", refuse)
    reports = [
        se.evaluate(model, data, max_memory=limit, options=PassOptions(engine=dask(cluster)))
        for limit in (None, "64M")
    ]
    with pytest.raises(AssertionError, match="weights were packed"):
        se.evaluate(model, data)
    monkeypatch.undo()
    assert {report.digest for report in reports} == {se.evaluate(model, data).digest}


@pytest.mark.parametrize("threads", [None, 1])
def test_the_local_engine_tells_its_own_threads(data: Path, threads: int | None) -> None:
    options = PassOptions(engine=Local(SPAN))
    used = se.evaluate(network(), data, threads=threads, options=options).resources
    assert used.threads == se.evaluate(network(), data, threads=threads).resources.threads


def test_a_worker_that_is_killed_in_mid_run_changes_nothing(
    data: Path, whole: se.Report, cluster: Any
) -> None:
    """Its spans are computed by others: each row exactly once, the same digest."""
    workers = cluster.run(os.getpid)
    victim = next(iter(workers.values()))
    listener = Listener(5, lambda: os.kill(victim, signal.SIGKILL))
    report = se.evaluate(network(), data, options=PassOptions(engine=dask(cluster), callbacks=[listener]))
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert sorted(listener.spans) == cut_evenly(Span(0, ROWS), SPAN)
    cluster.wait_for_workers(2, timeout=60)
    assert victim not in cluster.run(os.getpid).values()


def test_a_span_that_always_fails_leaves_the_others_in_the_checkpoint(tmp_path: Path, cluster: Any) -> None:
    """A label that the model does not know: the row is named, and everything else is kept (7)."""
    x, t = drawn(60_000)
    t[12_345] = 4
    path = create(tmp_path / "bad.arrow", [(x, t)], rows=len(x), shape=(4, 4), dtype="u1", classes=5)
    kept = tmp_path / "pass.checkpoint"
    with pytest.raises(
        IncompleteError, match=r"1 spans with 9999 of 60000 rows .* row 12345: label 4"
    ) as caught:
        se.evaluate(network(), path, options=PassOptions(engine=dask(cluster), checkpoint=kept))
    assert caught.value.exit_code == 7
    spans = [(one["start"], one["stop"]) for one in json.loads(kept.read_bytes())["tallies"]]
    assert spans == [(0, 9_999), (19_998, 60_000)]
    # Where nothing is kept, it is a bad row as in a pass without an engine.
    with pytest.raises(IncompleteError, match=r"row 12345: label 4") as caught:
        se.evaluate(network(), path, options=PassOptions(engine=dask(cluster)))
    assert (caught.value.exit_code, isinstance(caught.value, DataError)) == (3, True)


@dataclass(frozen=True)
class Flaky:
    """The local engine with some spans that fail, come twice, or come back changed."""

    failing: frozenset[int] = frozenset()
    twice: bool = False
    wrong: bool = False
    inner: Local = field(default_factory=lambda: Local(SPAN))

    def cut(self, gap: Span) -> Iterator[Span]:
        return self.inner.cut(gap)

    def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
        good = [task for number, task in enumerate(tasks) if number not in self.failing]
        for task in tasks:
            if task not in good:
                yield Failure(task.span, "the disk of that machine is full.")
        for outcome in self.inner.map(spec, good):
            yield outcome
            if self.twice and isinstance(outcome, Part):
                yield outcome
            if self.wrong and isinstance(outcome, Part):
                tally = outcome.tallies[0]
                yield replace(outcome, tallies=(replace(tally, state=tally.state + tally.state),))


def test_when_the_cause_is_gone_only_the_missing_spans_are_computed(
    data: Path, whole: se.Report, tmp_path: Path
) -> None:
    """From any engine's checkpoint, by any other engine or by none."""
    for second in (Local(SPAN), Local(12_345), None):
        path = tmp_path / "pass.checkpoint"
        with pytest.raises(
            IncompleteError, match=r"3 spans with 29997 of 400003 rows .* disk of that machine"
        ):
            se.evaluate(
                network(), data, options=PassOptions(engine=Flaky(frozenset({3, 4, 17})), checkpoint=path)
            )
        listener = Listener(0, None)
        report = se.evaluate(
            network(), data, options=PassOptions(engine=second, checkpoint=path, callbacks=[listener])
        )
        assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
        assert sum(map(len, listener.spans)) == 3 * SPAN
        assert not path.exists()


def test_a_span_reported_twice_counts_once_and_a_different_one_is_an_error(
    data: Path, whole: se.Report
) -> None:
    """Exactly once; and a machine that computes wrongly is not believed: 1."""
    assert se.evaluate(network(), data, options=PassOptions(engine=Flaky(twice=True))).digest == whole.digest
    with pytest.raises(StreamevalError, match="Equal ones were expected") as caught:
        se.evaluate(network(), data, options=PassOptions(engine=Flaky(wrong=True)))
    assert caught.value.exit_code == 1


def test_an_engine_that_loses_a_span_is_noticed(data: Path) -> None:
    """Spans must tile all rows."""

    class Loses(Flaky):
        def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
            return self.inner.map(spec, tasks[1:])

    with pytest.raises(IncompleteError, match="9999 of 400003 rows are missing: 0:9999"):
        se.evaluate(network(), data, options=PassOptions(engine=Loses()))


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_workers_that_die_of_a_file_that_was_cut_short_end_with_3(
    data: Path, tmp_path: Path, with_checkpoint: bool
) -> None:
    """SIGBUS lets them say nothing: what the engine knows is that they were killed."""
    mine = tmp_path / "mine.arrow"
    shutil.copy(data, mine)

    class Killed(Flaky):
        def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
            yield from self.inner.map(spec, tasks[:3])
            os.truncate(mine, mine.stat().st_size // 2)
            yield from (Failure(task.span, "KilledWorker.") for task in tasks[3:])

    options = PassOptions(engine=Killed(), checkpoint=tmp_path / "kept" if with_checkpoint else None)
    with pytest.raises(
        IncompleteError, match=r"KilledWorker.*mine.arrow: the file changed while it was read"
    ) as caught:
        se.evaluate(network(), mine, options=options)
    assert (caught.value.exit_code, isinstance(caught.value, DataError)) == (3, True)


def test_a_worker_that_sees_other_data_is_refused(data: Path, tmp_path: Path, whole: se.Report) -> None:
    """The file at the same path on another machine is another one."""
    other = write(tmp_path / "other.arrow", ROWS, seed=9)

    class Elsewhere(Flaky):
        def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
            return self.inner.map(replace(spec, data=str(other)), tasks)

    with pytest.raises(IncompleteError, match="this worker sees data with fingerprint"):
        se.evaluate(network(), data, options=PassOptions(engine=Elsewhere()))


def test_a_pair_of_files_that_is_open_already_is_a_pair_for_workers_too(tmp_path: Path) -> None:
    """Of .npy files without a manifest, and of IDX files: the commands open data before they hand them on."""
    x, t = drawn(1_000)
    images, labels = tmp_path / "images.npy", tmp_path / "labels.npy"
    np.save(images, x)
    np.save(labels, t)
    wide = se.Mlp([se.Layer(np.ones((20, 10), "f4"), np.arange(10, dtype="f4"), "identity")])
    for pair, model in ((tmp_path, network()), ((images, labels), network()), (idx_pair(tmp_path, 20), wide)):
        source = se.open(pair)  # type: ignore[attr-defined]
        found = se.evaluate(model, source, options=PassOptions(engine=Local(7)))
        assert found.digest == se.evaluate(model, source).digest


def test_arrays_and_wrong_names_are_refused() -> None:
    """Workers open a path; engines are rows of a table."""
    with pytest.raises(UsageError, match="workers open the data themselves"):
        se.evaluate(network(), drawn(10), options=PassOptions(engine=Local()))
    with pytest.raises(UsageError, match="expected one of local, dask"):
        engine("spark")
    with pytest.raises(UsageError, match="the local engine has none"):
        engine("local", address="tcp://127.0.0.1:1")


def test_no_scheduler_is_said_so() -> None:
    """5, with what to type."""
    pytest.importorskip("distributed")
    from streameval.engines import dask as module

    lonely = module.Dask("tcp://127.0.0.1:9")
    tasks = [Task(Span(0, 1), Selection(Span(0, 1)))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PATIENCE", 1)
        with pytest.raises(StorageError, match=r"no Dask scheduler answered.*dask scheduler"):
            list(lonely.map(None, tasks))  # type: ignore[arg-type]


def test_a_scheduler_and_workers_from_the_shell_do(data: Path, whole: se.Report, tmp_path: Path) -> None:
    """`dask scheduler`, `dask worker`, and the address; one of two workers dies."""
    distributed = pytest.importorskip("distributed")
    place = tmp_path / "scheduler.json"
    common = ("--scheduler-file", str(place))
    with shell("scheduler", *common, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"):
        workers = ("worker", *common, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        with shell(*workers), shell(*workers) as second:
            with distributed.Client(scheduler_file=str(place), timeout=30, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            address = json.loads(place.read_text())["address"]
            listener = Listener(3, lambda: os.killpg(second.pid, signal.SIGKILL))
            found = replace(engine("dask", address=address), span_rows=SPAN)  # type: ignore[type-var]
            report = se.evaluate(network(), data, options=PassOptions(engine=found, callbacks=[listener]))
            assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
            assert sorted(listener.spans) == cut_evenly(Span(0, ROWS), SPAN)


def test_a_worker_with_too_little_memory_says_so(data: Path) -> None:
    """`max_memory` holds for each worker, and each says what it lacks: nothing is planned for it here."""
    said = rf"{-(-ROWS // SPAN)} spans with {ROWS} of {ROWS} rows .* max_memory: 1048576 bytes, but .* Allow more"
    with pytest.raises(IncompleteError, match=said):
        se.evaluate(network(), data, max_memory="1M", options=PassOptions(engine=Local(SPAN)))
    assert (
        se.evaluate(network(), data, max_memory="64M", options=PassOptions(engine=Local(SPAN))).rows == ROWS
    )


def test_a_changed_file_is_noticed_by_the_workers(data: Path, tmp_path: Path) -> None:
    """After each span the worker looks at the file again."""
    mine = tmp_path / "mine.arrow"
    mine.write_bytes(data.read_bytes())
    listener = Listener(3, lambda: os.utime(mine, ns=(1, 1)))
    with pytest.raises((DataError, IncompleteError), match="changed while it was read"):
        se.evaluate(network(), mine, options=PassOptions(engine=Local(SPAN), callbacks=[listener]))
