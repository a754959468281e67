"""A pass that is interrupted goes on where it was, and ends with the bits of an uninterrupted one."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from long_runs import CLASSES, drawn, network, start, write

import streameval as se
from streameval.engines.local import Local
from streameval.errors import (
    DataError,
    LockedError,
    StorageError,
    StreamevalError,
    StreamevalWarning,
    UsageError,
)
from streameval.evaluation import tally as tallies
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.state import State, fold_classes, fold_losses
from streameval.evaluation.tally import Block, Tally, fold_tally
from streameval.files import lock
from streameval.scoring.scorer import Scores
from streameval.storage.source import Span

ROWS = 50_000


class StopAt:
    """A callback that ends the pass after some chunks."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks
        self.computed = 0

    def started(self, event: Any) -> None: ...

    def finished(self, report: Any) -> None: ...

    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self.computed += len(event.span)
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("stop")


def stop_after(chunks: int, data: object, path: Path, **options: Any) -> None:
    """Leave a checkpoint that was written after every chunk."""
    with pytest.raises(RuntimeError, match="stop"):
        se.evaluate(
            network(),
            data,
            options=PassOptions(checkpoint=Checkpoint(path, every=0.0), callbacks=[StopAt(chunks)]),
            **options,
        )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tally_does_not_depend_on_where_the_rows_are_cut(draw: st.DataObject) -> None:
    """Any cuts, joined in any order by partial results, give the whole's state and one digest for each block."""
    rows = draw.draw(st.integers(0, 60), "rows")
    draws = np.random.default_rng(draw.draw(st.integers(0, 9), "seed"))
    loss, target, predicted = (
        draws.exponential(size=rows),
        draws.integers(0, 3, rows),
        draws.integers(0, 3, rows),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "BLOCK_ROWS", 7)  # so that a few rows are many blocks
        check_cuts(draw, rows, loss, target, predicted)


def check_cuts(draw: st.DataObject, rows: int, loss: Any, target: Any, predicted: Any) -> None:
    """Cut, join, and compare with the fold of all rows and of each block."""
    numbers = np.arange(rows)
    cuts = sorted({0, rows, *draw.draw(st.lists(st.integers(0, rows), max_size=6), "cuts")})
    spans = [Span(a, b) for a, b in pairwise(cuts)]
    results = PartialResults(Span(0, rows))
    for span in draw.draw(st.permutations(spans), "order"):
        part = slice(span.start, span.stop)
        scores = Scores(loss[part], target[part], predicted[part])
        results.add_tally(fold_tally(span.start, scores, numbers[part], 3)[0])
    tally = results.whole(3)

    def fold(part: slice) -> State:
        sums, left_out = fold_losses(loss[part], numbers[part])
        assert left_out is None
        return State(sums, fold_classes(loss[part], target[part], predicted[part], 3))

    assert tally.state == fold(slice(None))
    expected = []
    for first in range(0, rows, tallies.BLOCK_ROWS):
        expected.append(Block.of(fold(slice(first, first + tallies.BLOCK_ROWS))))
    assert tally.blocks(rows) == tuple(expected)
    assert Tally.from_dict(json.loads(json.dumps(tally.to_dict()))) == tally


@pytest.mark.parametrize("chunks", [1, 7, 48])
def test_a_pass_that_stopped_goes_on_to_the_same_digest(data: Path, tmp_path: Path, chunks: int) -> None:
    """What was done is not done again, and the checkpoint is gone at the end."""
    path = tmp_path / "pass.checkpoint"
    stop_after(chunks, data, path, chunk_rows=1024)
    assert path.exists()
    counter = StopAt(-1)
    report = se.evaluate(
        network(), data, chunk_rows=333, options=PassOptions(checkpoint=path, callbacks=[counter])
    )
    whole = se.evaluate(network(), data)
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert counter.computed == ROWS - 1024 * chunks
    assert list(tmp_path.iterdir()) == []


def test_chosen_rows_with_repeats_go_on_too(data: Path, tmp_path: Path) -> None:
    """A selection by number is resumed by place, and another selection is another pass."""
    rows = np.random.default_rng(1).integers(0, ROWS, 5000)
    path = tmp_path / "pass.checkpoint"
    stop_after(2, data, path, chunk_rows=1000, rows=rows)
    with pytest.raises(DataError, match="another pass: rows sha256:"):
        se.evaluate(network(), data, rows=rows[::-1], options=PassOptions(checkpoint=path))
    report = se.evaluate(network(), data, rows=rows, options=PassOptions(checkpoint=path))
    assert report.digest == se.evaluate(network(), data, rows=rows).digest
    assert report.blocks is None


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model": network(1)}, "model [0-9a-f]{64}, expected"),
    "loss": ({"eps": 0.0}, r"loss CrossEntropy\(eps=1e-07\), expected CrossEntropy\(eps=0.0\)"),
    "rows": ({"rows": slice(0, 100)}, "rows all, expected 0:100; total 50000, expected 100"),
    "nonfinite": ({"allow_nonfinite": True}, "nonfinite False, expected True"),
    "shard": ({"shard": (1, 2)}, "rows 0:50000, expected 25000:50000"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_of_another_pass_is_refused_by_name(data: Path, tmp_path: Path, case: str) -> None:
    """It stays as it was."""
    changes, message = CASES[case]
    path = tmp_path / "pass.checkpoint"
    stop_after(3, data, path, chunk_rows=1000)
    before = path.read_bytes()
    model = changes.get("model", network())
    settings = {name: value for name, value in changes.items() if name not in ("model", "shard")}
    options = PassOptions(checkpoint=path, shard=changes.get("shard"))
    with pytest.raises(DataError, match=message):
        se.evaluate(model, data, options=options, **settings)
    assert path.read_bytes() == before


def test_a_checkpoint_of_other_data_or_another_meaning_is_refused(data: Path, tmp_path: Path) -> None:
    """The data's fingerprint and the version of the kernels' meaning belong to a pass."""
    path = tmp_path / "pass.checkpoint"
    stop_after(3, data, path, chunk_rows=1000)
    other = write(tmp_path / "other.arrow", ROWS, seed=1)
    with pytest.raises(DataError, match=r"data sha256:.*, expected sha256:"):
        se.evaluate(network(), other, options=PassOptions(checkpoint=path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streameval.evaluation.identity.RESULT_VERSION", 2)
        patch.setattr("streameval.evaluation.identity.Identity.__init__.__defaults__", (2, ""))
        with pytest.raises(DataError, match="meaning 1, expected 2"):
            se.evaluate(network(), data, options=PassOptions(checkpoint=path))


@pytest.mark.parametrize("damage", ["cut", "bit", "garbage", "empty"])
def test_a_damaged_checkpoint_is_set_aside_with_a_warning(data: Path, tmp_path: Path, damage: str) -> None:
    """The pass starts again, and nothing of the damaged file is used or destroyed."""
    path = tmp_path / "pass.checkpoint"
    stop_after(3, data, path, chunk_rows=1000)
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        del raw[len(raw) // 2 :]
    elif damage == "bit":
        raw[raw.index(b'"units": ') + 9] ^= 1
    else:
        raw = bytearray(b"\0garbage" if damage == "garbage" else b"")
    path.write_bytes(raw)
    with pytest.warns(StreamevalWarning, match="starts again"):
        report = se.evaluate(network(), data, options=PassOptions(checkpoint=path))
    assert report.digest == se.evaluate(network(), data).digest
    assert [one.name for one in tmp_path.iterdir()] == ["pass.checkpoint.damaged"]
    assert (tmp_path / "pass.checkpoint.damaged").read_bytes() == raw
    # What lies there already, of whomever, stays.
    path.write_bytes(b"damaged again")
    with pytest.warns(StreamevalWarning, match=r"kept as .*pass\.checkpoint\.damaged\.2, and"):
        se.evaluate(network(), data, options=PassOptions(checkpoint=path))
    assert (tmp_path / "pass.checkpoint.damaged").read_bytes() == raw
    assert (tmp_path / "pass.checkpoint.damaged.2").read_bytes() == b"damaged again"


@pytest.mark.parametrize("there", ["nothing", "a pass", "damage"])
def test_a_link_stands_for_the_file_that_it_leads_to(data: Path, tmp_path: Path, there: str) -> None:
    (tmp_path / "disk").mkdir()
    file, link = tmp_path / "disk" / "kept", tmp_path / "pass.checkpoint"
    link.symlink_to(file)
    counter, expected = StopAt(0), se.evaluate(network(), data).digest
    if there == "damage":
        file.write_bytes(b"damaged")
        with pytest.warns(StreamevalWarning, match=rf"kept as {file}\.damaged, and the pass starts again"):
            assert se.evaluate(network(), data, options=PassOptions(checkpoint=link)).digest == expected
        assert (tmp_path / "disk" / "kept.damaged").read_bytes() == b"damaged"
    else:
        if there == "a pass":
            stop_after(3, data, link, chunk_rows=1000)
            assert file.exists()
        report = se.evaluate(network(), data, options=PassOptions(checkpoint=link, callbacks=[counter]))
        assert report.digest == expected
        assert counter.computed == len(se.open(data)) - (3000 if there == "a pass" else 0)
    assert link.is_symlink()
    assert not file.exists()


def test_a_whole_file_of_something_else_is_refused_and_stays(data: Path, tmp_path: Path) -> None:
    """The state of a shard is no checkpoint, and the data file least of all."""
    from streameval.evaluation.shards import write_state

    path = tmp_path / "state.json"
    write_state(se.evaluate(network(), data, options=PassOptions(shard=(0, 1))), path)
    with pytest.raises(DataError, match=r"its schema is 'streameval/state/2', expected a checkpoint"):
        se.evaluate(network(), data, options=PassOptions(checkpoint=path))
    before = data.read_bytes()
    with pytest.raises(UsageError, match="overwrite the data"):
        se.evaluate(network(), data, options=PassOptions(checkpoint=data))
    assert data.read_bytes() == before


def test_two_passes_on_one_checkpoint_do_not_mix(data: Path, tmp_path: Path) -> None:
    """The second one ends with `locked`."""
    path = tmp_path / "pass.checkpoint"
    with lock(path), pytest.raises(LockedError):
        se.evaluate(network(), data, options=PassOptions(checkpoint=path))


def test_a_file_that_changed_leaves_no_checkpoint_behind(data: Path, tmp_path: Path) -> None:
    """What was computed of a file that changed is not kept."""
    mine, path = tmp_path / "mine.arrow", tmp_path / "pass.checkpoint"
    mine.write_bytes(data.read_bytes())

    class Touch(StopAt):
        def advanced(self, event: Any) -> None:
            if self.left > 0:
                mine.write_bytes(data.read_bytes())
            super().advanced(event)

    with pytest.raises(DataError, match="changed while it was read"):
        se.evaluate(
            network(),
            mine,
            chunk_rows=1000,
            options=PassOptions(checkpoint=Checkpoint(path, every=0.0), callbacks=[Touch(2)]),
        )
    kept = json.loads(path.read_bytes())["tallies"][0]["stop"] if path.exists() else 0
    assert kept <= 1000


SLOW = """
    import signal, sys, time
    sys.path.insert(0, "tests")
    import streameval as se
    from long_runs import network
    from streameval.evaluation.checkpoint import Checkpoint
    from streameval.evaluation.evaluate import PassOptions

    class Slow:
        def started(self, event): print("started", event.done, flush=True)
        def advanced(self, event):
            print(event.rows, flush=True)
            time.sleep(0.02)
        def finished(self, report): print("digest", report.digest, flush=True)
        def stopped(self, error): print("stopped", type(error).__name__, flush=True)

    checkpoint = Checkpoint(sys.argv[2], every=float(sys.argv[3])) if sys.argv[2] else None
    options = PassOptions(checkpoint=checkpoint, callbacks=[Slow()])
    se.evaluate(network(), sys.argv[1], chunk_rows=500, options=options)
"""


def read_rows(process: Any, chunks: int) -> int:
    """Wait until so many chunks are done; return the rows done."""
    rows = 0
    for _ in range(chunks + 1):
        line = process.stdout.readline()
        assert line, process.stderr.read()
        rows = 0 if line.startswith("started") else int(line)
    return rows


def test_a_killed_pass_goes_on_to_the_same_digest(data: Path, tmp_path: Path) -> None:
    """kill -9, three times, at moments that nobody chose; what the checkpoint held is not computed again."""
    path, done = tmp_path / "pass.checkpoint", 0
    for kill in range(3):
        process = start(SLOW, data, path, 0.0)
        first = process.stdout.readline()  # type: ignore[union-attr]
        before = int(first.split()[1])
        assert before >= done
        for _ in range(8 + 3 * kill):
            done = int(process.stdout.readline())  # type: ignore[union-attr]
        time.sleep(0.004 * kill)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        # Reported after it was written: nothing reported is lost.
        assert sum(t["stop"] - t["start"] for t in json.loads(path.read_bytes())["tallies"]) >= done
    report = se.evaluate(network(), data, options=PassOptions(checkpoint=path))
    whole = se.evaluate(network(), data)
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_chunk_and_the_checkpoint(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The checkpoint, which by time alone would not have been written, holds all chunks that were reported."""
    path = tmp_path / "pass.checkpoint"
    process = start(SLOW, data, path, 1000.0)
    read_rows(process, 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode in ((1, -signal.SIGINT) if number == signal.SIGINT else (-signal.SIGTERM,)), err
    done = [int(line) for line in out.splitlines() if line.isdigit()]
    kept = json.loads(path.read_bytes())["tallies"]
    assert [(one["start"], one["stop"]) for one in kept] == [(0, max(done, default=1500))]
    assert f"interrupted: {kept[0]['stop']} of {ROWS} rows are kept in {path}." in err
    report = se.evaluate(network(), data, options=PassOptions(checkpoint=path))
    assert report.digest == se.evaluate(network(), data).digest


def test_a_signal_after_the_last_chunk_loses_none(data: Path, tmp_path: Path) -> None:
    """It comes while workers are ended, or the report is made: the checkpoint then holds the whole pass."""
    path, before = tmp_path / "pass.checkpoint", signal.getsignal(signal.SIGINT)

    class Told(Local):
        def map(self, spec: Any, tasks: Any) -> Iterator[Any]:
            yield from super().map(spec, tasks)
            signal.raise_signal(signal.SIGINT)

    with (
        pytest.warns(StreamevalWarning, match=f"interrupted: {ROWS} of {ROWS} rows are kept"),
        pytest.raises(KeyboardInterrupt),
    ):
        se.evaluate(network(), data, options=PassOptions(checkpoint=path, engine=Told()))
    assert signal.getsignal(signal.SIGINT) == before
    listener = StopAt(0)
    report = se.evaluate(network(), data, options=PassOptions(checkpoint=path, callbacks=[listener]))
    assert (report.digest, listener.computed) == (se.evaluate(network(), data).digest, 0)


def test_a_signal_that_workers_got_too_is_no_other_trouble(data: Path, tmp_path: Path) -> None:
    """A batch system ends all processes of a job: workers that do not come any more are not what is told."""
    path = tmp_path / "pass.checkpoint"

    class Gone(Local):
        def map(self, spec: Any, tasks: Any) -> Iterator[Any]:
            signal.raise_signal(signal.SIGINT)
            raise StorageError("no workers")
            yield

    with (
        pytest.warns(StreamevalWarning, match=f"interrupted: 0 of {ROWS} rows are kept"),
        pytest.raises(KeyboardInterrupt),
    ):
        se.evaluate(network(), data, options=PassOptions(checkpoint=path, engine=Gone()))


def test_a_second_signal_ends_at_once(data: Path, tmp_path: Path) -> None:
    """In the middle of a callback that would take a minute, and without a checkpoint."""
    code = SLOW.replace("time.sleep(0.02)", "time.sleep(0 if event.rows < 1500 else 60)")
    path = tmp_path / "pass.checkpoint"
    process = start(code, data, path, 1000.0)
    read_rows(process, 3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # held back: the chunk is not finished
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 20
    assert "KeyboardInterrupt" in err
    assert not path.exists()


def test_without_a_checkpoint_a_signal_just_ends_the_pass(data: Path) -> None:
    """Nothing is held back."""
    code = SLOW.replace("time.sleep(0.02)", "time.sleep(0 if event.rows < 1500 else 60)")
    process = start(code, data, "", 0)
    read_rows(process, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err


def test_handlers_are_as_before_after_a_pass_and_threads_may_keep_checkpoints(
    data: Path, tmp_path: Path
) -> None:
    """Signals belong to the main thread; in another one a checkpoint works without them."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    found: list[str] = []

    def work() -> None:
        found.append(
            se.evaluate(network(), data, options=PassOptions(checkpoint=tmp_path / "pass.checkpoint")).digest
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    se.evaluate(network(), data, options=PassOptions(checkpoint=tmp_path / "pass.checkpoint"))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert found == [se.evaluate(network(), data).digest]


def test_partial_results_take_each_row_once() -> None:
    """Equal repeats of a span are ignored, different ones and overlaps are refused."""
    x, t = drawn(300)
    span = Span(100, 200)

    def tally(span: Span, bad: bool = False) -> Tally:
        part = slice(span.start, span.stop)
        loss = np.linspace(0, 1, 300)[part] + bad
        return fold_tally(span.start, Scores(loss, t[part], t[part]), np.arange(300)[part], CLASSES)[0]

    results = PartialResults(Span(0, 300))
    assert results.add_tally(tally(span), origin="a")
    assert not results.add_tally(tally(span), origin="b")
    with pytest.raises(StreamevalError, match=r"b: rows 100:200 have digest .* came from a") as caught:
        results.add_tally(tally(span, bad=True), origin="b")
    assert caught.value.exit_code == 1
    with pytest.raises(DataError, match="c: rows 150:250 overlap with rows 100:200"):
        results.add_tally(tally(Span(150, 250)), origin="c")
    with pytest.raises(DataError, match="expected rows within 0:300"):
        results.add_tally(Tally.of(Span(299, 301), tally(span).state), origin="d")
    assert results.gaps() == [Span(0, 100), Span(200, 300)]
    results.add_tally(tally(Span(200, 300)))
    results.add_tally(tally(Span(0, 100)))
    assert results.gaps() == []
    assert len(results.tallies) == 1
    assert len(x) == results.rows
