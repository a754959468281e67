"""A file of losses holds the loss of every row, bit for bit those of a plain pass, however the pass was carried out."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from long_runs import drawn, network, start, write

import streameval as se
from streameval.engines.local import Local
from streameval.errors import DataError, IncompleteError, LockedError, StreamevalWarning, UsageError
from streameval.evaluation import loss_file, sealed
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.events import Callback, EventFile
from streameval.evaluation.passes import Failure, Part
from streameval.evaluation.shards import StateFile
from streameval.files import lock

ROWS = 50_000
CHUNK = 1_000
MARK = 32  # bytes before the losses that wait beside a checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "drawn.arrow", ROWS)


@pytest.fixture(scope="module")
def plain(data: Path) -> Any:
    """The losses of all rows, held in memory by another function."""
    return se.per_sample_losses(network(), data)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A file in a folder of its own, so that whatever is left beside it is seen."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "losses.arrow"


def columns(path: Path) -> tuple[Any, Any]:
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
        return table["row"].to_numpy().copy(), table["loss"].to_numpy().copy()


def check(path: Path, losses: Any, rows: Any = None) -> None:
    """The file holds these losses of these rows, bit for bit, and nothing lies beside it."""
    numbers, found = columns(path)
    assert numbers.tolist() == (list(range(len(losses))) if rows is None else list(rows))
    assert found.tobytes() == np.asarray(losses).tobytes()
    assert list(path.parent.iterdir()) == [path]


class StopAt:
    """A callback that ends the pass after some parts; keeps how many rows were computed."""

    def __init__(self, parts: int = -1) -> None:
        self.left, self.computed = parts, 0

    def started(self, event: Any) -> None: ...

    def finished(self, report: Any) -> None: ...

    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self.computed += len(event.span)
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("stop")


def stopped(data: Any, kept: Path, out: Path, parts: int = 7, **settings: Any) -> Path:
    """Leave a checkpoint of seven chunks and the losses that go with it; the path of those."""
    options = PassOptions(
        checkpoint=Checkpoint(kept, every=0.0), losses=out, callbacks=[StopAt(parts)],
        shard=settings.pop("shard", None),
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="stop"):
        se.evaluate(network(), data, chunk_rows=CHUNK, options=options, **settings)
    spool = kept.with_name(f"{kept.name}.losses")
    assert not out.exists()
    assert kept.exists()
    assert spool.exists()
    return spool


def resume(data: Any, kept: Path, out: Path, **settings: Any) -> tuple[se.Report, int]:
    """Go on with other chunks; the report, and how many rows were computed."""
    counter, shard = StopAt(), settings.pop("shard", None)
    options = PassOptions(checkpoint=kept, losses=out, callbacks=[counter], shard=shard)
    report = se.evaluate(network(), data, chunk_rows=333, options=options, **settings)
    return report, counter.computed


def test_a_plain_pass_writes_the_losses_of_all_rows(data: Path, out: Path, plain: Any) -> None:
    report = se.evaluate(network(), data, options=PassOptions(losses=out))
    check(out, plain)
    with pa.memory_map(str(out)) as file:
        record = json.loads(pa.ipc.open_file(file).schema.metadata[b"streameval.losses"])
    assert record == {
        "version": 1,
        "model": network().sha256,
        "data": se.open(data).fingerprint,
        "loss": {"name": "cross-entropy", "eps": (1e-7).hex()},
        "eps": 1e-7,
    }
    assert report.digest == se.evaluate(network(), data).digest


def test_memory_that_is_short_changes_no_loss(data: Path, out: Path, plain: Any) -> None:
    report = se.evaluate(network(), data, max_memory="24M", options=PassOptions(losses=out))
    assert report.resources.max_memory_bytes == 24 << 20
    check(out, plain)


def test_a_pass_that_stopped_goes_on_with_the_losses_it_had(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    kept = tmp_path / "kept"
    spool = stopped(data, kept, out)
    # What is computed again would not be this: the losses come from the spool.
    assert np.fromfile(spool, offset=MARK)[: 6 * CHUNK].tobytes() == plain[: 6 * CHUNK].tobytes()
    report, computed = resume(data, kept, out)
    assert computed == ROWS - 7 * CHUNK
    check(out, plain)
    assert report.digest == se.evaluate(network(), data).digest
    assert not spool.exists()
    assert not kept.exists()


KILLED = """
    import sys, time
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
        def finished(self, report): ...
        def stopped(self, error): ...

    checkpoint = Checkpoint(sys.argv[2], every=0.05)
    options = PassOptions(checkpoint=checkpoint, losses=sys.argv[3], callbacks=[Slow()])
    se.evaluate(network(), sys.argv[1], chunk_rows=500, options=options)
"""


def test_a_pass_that_is_killed_goes_on_to_the_same_losses(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    """kill -9, twice; nothing is computed again that the checkpoint has, and no warning is needed."""
    kept, done = tmp_path / "kept", 0
    for _ in range(2):
        process = start(KILLED, data, kept, out)
        first = process.stdout.readline()  # type: ignore[union-attr]
        before = int(first.split()[1])
        assert before >= done
        for _ in range(12):
            process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        done = sum(one["stop"] - one["start"] for one in json.loads(kept.read_bytes())["tallies"])
        assert done > before
        assert not out.exists()
    _, computed = resume(data, kept, out)
    assert computed == ROWS - done
    check(out, plain)


DAMAGE: dict[str, Any] = {
    "missing": lambda spool: spool.unlink(),
    "empty": lambda spool: spool.write_bytes(b""),
    "cut short": lambda spool: spool.write_bytes(spool.read_bytes()[: MARK + 8 * 5_500]),
    "cut within a loss": lambda spool: spool.write_bytes(spool.read_bytes()[: MARK + 8 * 5_500 + 3]),
    "a flipped bit": lambda spool: flip(spool, MARK + 8 * 4_321 + 5),
}


@pytest.mark.parametrize(
    "content", [b"my own notes", b"12345678" * 1000, b"streameval: losses of a pass, my own notes"]
)
def test_a_file_of_anothers_where_losses_would_be_kept_is_refused_and_stays(
    data: Path, tmp_path: Path, out: Path, content: bytes
) -> None:
    """Before anything is computed."""
    own, counter = tmp_path / "kept.losses", StopAt()
    own.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"kept\.losses: there is a file that no pass has written.*Move it away"
    ):
        se.evaluate(
            network(),
            data,
            options=PassOptions(checkpoint=tmp_path / "kept", losses=out, callbacks=[counter]),
        )
    assert counter.computed == 0
    assert own.read_bytes() == content


def flip(spool: Path, at: int) -> None:
    raw = bytearray(spool.read_bytes())
    raw[at] ^= 1
    spool.write_bytes(raw)


def swap(spool: Path, one: int, other: int) -> None:
    raw = spool.read_bytes()
    losses = np.frombuffer(raw, offset=MARK).copy()
    losses[[one, other]] = losses[[other, one]]
    spool.write_bytes(raw[:MARK] + losses.tobytes())


@pytest.mark.parametrize("damage", DAMAGE)
def test_losses_that_are_lost_are_computed_again_with_a_warning(
    data: Path, tmp_path: Path, out: Path, plain: Any, damage: str
) -> None:
    """The checkpoint alone does not do: what it says of rows is believed where their losses come to it."""
    kept = tmp_path / "kept"
    spool = stopped(data, kept, out)
    DAMAGE[damage](spool)
    with pytest.warns(StreamevalWarning, match=rf"{spool}: the losses of 7000 rows .* computed again"):
        report, computed = resume(data, kept, out)
    assert computed == ROWS
    check(out, plain)
    assert report.digest == se.evaluate(network(), data).digest
    assert not spool.exists()
    assert not kept.exists()


def test_losses_with_a_checksum_of_their_own_must_still_add_up(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    """Who changes a loss, its checksum and the checkpoint's seal: the sums in the checkpoint tell."""
    kept = tmp_path / "kept"
    spool = stopped(data, kept, out)
    raw = spool.read_bytes()
    losses = np.frombuffer(raw, offset=MARK).copy()
    losses[3] += 0.25
    spool.write_bytes(raw[:MARK] + losses.tobytes())
    content = json.loads(kept.read_text())
    (start, stop, _), = content["losses"]  # fmt: skip
    span = se.Span(start, stop)
    content["losses"] = [[start, stop, loss_file._checksum(span, losses[start:stop])]]
    del content["sha256"]
    kept.write_text(json.dumps(sealed.seal(content)))
    with pytest.warns(StreamevalWarning, match="the losses of 7000 rows .* computed again"):
        _, computed = resume(data, kept, out)
    assert computed == ROWS
    check(out, plain)


def test_no_output_takes_the_place_of_the_losses_that_are_kept(data: Path, tmp_path: Path) -> None:
    """They are removed at the end of the pass: so would the output be."""
    kept = tmp_path / "kept"
    spool = tmp_path / "kept.losses"
    for options in (
        PassOptions(checkpoint=kept, losses=spool),
        PassOptions(checkpoint=kept, losses=tmp_path / "out", shard=(0, 1), callbacks=[StateFile(spool)]),
        PassOptions(checkpoint=kept, losses=tmp_path / "out", callbacks=[EventFile(spool)]),
    ):
        with pytest.raises(UsageError, match="overwrite each other"):
            se.evaluate(network(), data, options=options)
    assert not kept.exists()


def test_a_file_that_came_to_the_place_of_the_losses_meanwhile_stays(
    data: Path, tmp_path: Path, out: Path
) -> None:
    spool, other = tmp_path / "kept.losses", tmp_path / "other"
    other.write_text("of another pass")

    class Moves(Callback):
        def advanced(self, *_: Any) -> None:
            if other.exists():
                other.replace(spool)

    se.evaluate(
        network(), data, options=PassOptions(checkpoint=tmp_path / "kept", losses=out, callbacks=[Moves()])
    )
    assert spool.read_text() == "of another pass"


def test_a_checkpoint_without_losses_serves_for_losses_and_one_with_them_without(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    kept = tmp_path / "kept"
    options = PassOptions(checkpoint=Checkpoint(kept, every=0.0), callbacks=[StopAt(7)])
    with pytest.raises(RuntimeError, match="stop"):
        se.evaluate(network(), data, chunk_rows=CHUNK, options=options)
    with pytest.warns(StreamevalWarning, match="the losses of 7000 rows"):
        _, computed = resume(data, kept, out)
    assert computed == ROWS
    check(out, plain)
    out.unlink()
    stopped(data, kept, out)
    counter = StopAt()
    se.evaluate(network(), data, options=PassOptions(checkpoint=kept, callbacks=[counter]))
    assert counter.computed == ROWS - 7 * CHUNK
    # What was kept for the losses goes with the checkpoint, and nothing of anybody else.
    assert not kept.with_name("kept.losses").exists()
    kept.with_name("kept.losses").write_text("my own notes")
    se.evaluate(network(), data, options=PassOptions(checkpoint=kept))
    assert kept.with_name("kept.losses").read_text() == "my own notes"


def test_only_the_gaps_of_an_engine_are_computed_again(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    """Spans came out of order, some not at all; the losses of those that came are used."""

    class Backwards(Local):
        def map(self, spec: Any, tasks: Any) -> Iterator[Part | Failure | None]:
            failing = {2, 5}
            for number in reversed(range(len(tasks))):
                if number in failing:
                    yield Failure(tasks[number].span, "that machine is down.")
                else:
                    yield from super().map(spec, [tasks[number]])

    kept = tmp_path / "kept"
    engine = Backwards(7_001)
    with pytest.raises(IncompleteError, match="2 spans with 14002 of 50000 rows"):
        se.evaluate(network(), data, options=PassOptions(checkpoint=kept, losses=out, engine=engine))
    assert not out.exists()
    _, computed = resume(data, kept, out)
    assert computed == 14_002
    check(out, plain)


def test_one_lost_span_of_several_is_computed_again_and_the_others_are_kept(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    class Gaps(Local):
        def map(self, spec: Any, tasks: Any) -> Iterator[Part | Failure | None]:
            yield from super().map(spec, tasks[:2])
            yield Failure(tasks[2].span, "that machine is down.")
            yield from super().map(spec, tasks[3:])

    kept = tmp_path / "kept"
    with pytest.raises(IncompleteError):
        se.evaluate(network(), data, options=PassOptions(checkpoint=kept, losses=out, engine=Gaps(10_000)))
    flip(kept.with_name("kept.losses"), MARK + 8 * 45_000)
    with pytest.warns(StreamevalWarning, match="the losses of 20000 rows"):
        _, computed = resume(data, kept, out)
    assert computed == 30_000
    check(out, plain)


def test_losses_of_another_order_are_noticed_where_the_worst_rows_tell(
    data: Path, tmp_path: Path, out: Path, plain: Any
) -> None:
    """Sums do not know an order, but the row numbers of the ten largest losses do."""
    kept = tmp_path / "kept"
    spool = stopped(data, kept, out)
    swap(spool, int(np.argmax(plain[: 7 * CHUNK])), 3)
    with pytest.warns(StreamevalWarning, match="the losses of 7000 rows"):
        resume(data, kept, out)
    check(out, plain)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_shard_writes_the_losses_of_its_rows_alone(
    data: Path, tmp_path: Path, out: Path, plain: Any, index: int
) -> None:
    """At once, and after it stopped."""
    span = slice(ROWS * index // 3, ROWS * (index + 1) // 3)
    rows = range(ROWS)[span]
    report = se.evaluate(network(), data, options=PassOptions(losses=out, shard=(index, 3)))
    assert report.rows == len(rows)
    check(out, plain[span], rows)
    out.unlink()
    stopped(data, tmp_path / "kept", out, shard=(index, 3))
    _, computed = resume(data, tmp_path / "kept", out, shard=(index, 3))
    assert computed == len(rows) - 7 * CHUNK
    check(out, plain[span], rows)


def test_the_local_engine_gives_the_same_losses(data: Path, out: Path, plain: Any) -> None:
    report = se.evaluate(network(), data, options=PassOptions(losses=out, engine=Local(9_999)))
    check(out, plain)
    assert report.digest == se.evaluate(network(), data).digest


def test_dask_gives_the_same_losses(data: Path, out: Path, plain: Any) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'streameval[dask]'")
    from streameval.engines.dask import Dask

    rows = np.random.default_rng(5).integers(0, ROWS, 20_000)
    engine = Dask(workers=2, span_rows=3_333)
    se.evaluate(network(), data, rows=rows, options=PassOptions(losses=out, engine=engine))
    check(out, plain[rows], rows)


@pytest.mark.parametrize("engine", [None, Local(777)])
def test_rows_by_number_come_in_their_order_with_repeats(
    data: Path, tmp_path: Path, out: Path, plain: Any, engine: Any
) -> None:
    rows = np.random.default_rng(1).integers(0, ROWS, 12_345)
    assert len(np.unique(rows)) < len(rows)
    se.evaluate(network(), data, rows=rows, options=PassOptions(losses=out, engine=engine))
    check(out, plain[rows], rows)
    out.unlink()
    stopped(data, tmp_path / "kept", out, rows=rows)
    _, computed = resume(data, tmp_path / "kept", out, rows=rows)
    assert computed == len(rows) - 7 * CHUNK
    check(out, plain[rows], rows)


def test_rows_that_are_left_out_have_a_loss_of_nan_and_are_resumed_with_it(tmp_path: Path, out: Path) -> None:
    x, t = drawn(20_000)
    x = x.reshape(len(x), -1).astype(np.float32)
    bad = np.random.default_rng(2).choice(len(x), 300, replace=False)
    x[bad, 3] = np.nan
    good = np.setdiff1d(np.arange(len(x)), bad)
    expected = np.full(len(x), np.nan)
    expected[good] = se.per_sample_losses(network(), (x, t), rows=good)
    report = se.evaluate(network(), (x, t), allow_nonfinite=True, options=PassOptions(losses=out))
    assert report.state.sums.left_out == 300
    rows, losses = columns(out)
    assert rows.tolist() == list(range(len(x)))
    np.testing.assert_array_equal(losses, expected)
    whole = losses.tobytes()
    out.unlink()
    stopped((x, t), tmp_path / "kept", out, allow_nonfinite=True)
    again, computed = resume((x, t), tmp_path / "kept", out, allow_nonfinite=True)
    assert computed == len(x) - 7 * CHUNK
    assert columns(out)[1].tobytes() == whole
    assert again.digest == report.digest
    out.unlink()
    # A row that was left out and whose loss is a number now was changed.
    spool = stopped((x, t), tmp_path / "kept", out, allow_nonfinite=True)
    raw = spool.read_bytes()
    kept = np.frombuffer(raw, offset=MARK).copy()
    kept[bad.min()] = 1.0
    spool.write_bytes(raw[:MARK] + kept.tobytes())
    with pytest.warns(StreamevalWarning, match="the losses of 7000 rows"):
        resume((x, t), tmp_path / "kept", out, allow_nonfinite=True)
    assert columns(out)[1].tobytes() == whole


def test_no_rows_make_a_file_without_rows(data: Path, out: Path) -> None:
    se.evaluate(network(), data, rows=slice(7, 7), options=PassOptions(losses=out))
    check(out, np.empty(0), [])


def test_a_pass_that_fails_leaves_no_file_and_does_not_touch_an_earlier_one(
    tmp_path: Path, out: Path
) -> None:
    x, t = drawn(20_000)
    t[15_000] = 7
    out.write_bytes(b"of an earlier pass")
    with pytest.raises(DataError, match="row 15000"):
        se.evaluate(network(), (x, t), options=PassOptions(losses=out))
    assert out.read_bytes() == b"of an earlier pass"
    assert list(out.parent.iterdir()) == [out]


def test_two_passes_do_not_write_the_same_losses(data: Path, tmp_path: Path, out: Path, plain: Any) -> None:
    for checkpoint in (None, tmp_path / "kept"):
        with lock(out), pytest.raises(LockedError):
            se.evaluate(network(), data, options=PassOptions(losses=out, checkpoint=checkpoint))
    assert not out.exists()
