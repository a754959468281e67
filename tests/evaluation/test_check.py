"""Rows are of one content: a file that was written to is noticed, and --check knows what was read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import in_process
from long_runs import drawn, network, write

import streameval as se
from streameval.defaults import IO
from streameval.engines.local import Local
from streameval.errors import CheckError, DataError
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.passes import PassSpec
from streameval.evaluation.selection import Selection, Task
from streameval.evaluation.shards import write_state
from streameval.scoring.scorer import Budget
from streameval.storage.checked import CheckedSource
from streameval.storage.source import Span

ROWS, CHUNK = 60_000, 4096
BATCH = 16_384  # rows of a block, and of a record batch


class StoppedError(Exception):
    """The pass was stopped."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "drawn.arrow", ROWS)


@pytest.fixture(scope="module")
def digest() -> str:
    return se.evaluate(network(), drawn(ROWS)).digest


def overwrite(path: Path, row: int, *, times: bool = True) -> None:
    """Write other pixels into a row, in place; put the time of writing back, as far as one may."""
    status = path.stat()
    batch = se.open(path)._layout  # type: ignore[attr-defined]
    at = int(batch.value_at[row // BATCH]) + 16 * (row % BATCH)
    with path.open("r+b") as file:
        file.seek(at)
        was = file.read(16)
        file.seek(at)
        file.write(bytes(255 - one for one in was))
    if times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def at_half(act: Callable[[], None]) -> Callable[[int, int], None]:
    """A progress that acts once, in the middle of the pass."""
    done = [False]

    def progress(rows: int, total: int) -> None:
        if not done[0] and rows > total // 2:
            done[0] = True
            act()

    return progress


@pytest.mark.parametrize("io", IO[1:])
@pytest.mark.parametrize("row", [5, ROWS - 5])
def test_a_write_during_a_pass_is_noticed_though_its_time_is_put_back(data: Path, io: str, row: int) -> None:
    """By the time of change, which only the system sets."""
    with pytest.raises(DataError, match=r"ctime_ns.* Let no one write to it"):
        se.evaluate(
            network(), se.open(data, io=io), chunk_rows=CHUNK, progress=at_half(lambda: overwrite(data, row))
        )


@pytest.mark.parametrize("io", IO[1:])
def test_what_is_hashed_is_what_is_computed(data: Path, digest: str, io: str) -> None:
    """Any way of reading, any chunks, any rows: the same digest; all that was read is as recorded."""
    for chunk_rows in (1000, CHUNK, 100_000):
        report = se.evaluate(network(), se.open(data, io=io, check=True), chunk_rows=chunk_rows)
        assert report.digest == digest
        assert report.to_dict()["check"] == {
            "rows": ROWS, "blocks": 4, "recorded": True, "content": report.data.fingerprint,
        }  # fmt: skip
    rows = np.random.default_rng(0).integers(0, ROWS, 300)
    for some in (rows, slice(7, 40_000), slice(20_000, 20_010)):
        plain, hashed = (
            se.evaluate(network(), se.open(data, io=io, check=one), rows=some) for one in (False, True)
        )
        assert hashed.digest == plain.digest
    assert hashed.hashed is not None
    assert (hashed.hashed.rows, hashed.hashed.content) == (BATCH, None)


def test_the_memory_that_was_hashed_is_given_on(data: Path) -> None:
    """A write through another mapping after the hash cannot reach a kernel."""
    source = se.open(data, check=True)
    chunk = next(source.chunks(Span(0, 10), 10))
    mapped = next(se.open(data).chunks(Span(0, 10), 10))
    overwrite(data, 0)
    assert np.array_equal(chunk.x[0], 255 - mapped.x[0])
    assert not np.shares_memory(chunk.values, mapped.values)


@pytest.mark.parametrize("row", [0, 20_000, ROWS - 1])
def test_a_file_that_is_not_as_recorded_is_refused_with_the_block(data: Path, row: int) -> None:
    """Without --check it is read as it is: a fingerprint of recorded hashes says nothing of the rows."""
    overwrite(data, row)
    first = row // BATCH * BATCH
    with pytest.raises(DataError, match=rf"block {row // BATCH}, rows {first}:.*as recorded"):
        se.evaluate(network(), se.open(data, check=True))
    assert se.evaluate(network(), data).rows == ROWS
    with pytest.raises(DataError, match="as recorded"):
        se.evaluate(network(), se.open(data, check=True), rows=[row])
    with pytest.raises(DataError, match="as recorded"):
        se.minibatch(network(), se.open(data, check=True), size=2000)
    other = (row + 2 * BATCH) % ROWS
    assert se.evaluate(network(), se.open(data, check=True), rows=[other]).rows == 1


def test_no_row_of_a_block_reaches_a_checkpoint_before_it_was_compared(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    overwrite(data, 2 * BATCH - 1)
    with pytest.raises(DataError, match="block 1"):
        se.evaluate(
            network(), se.open(data, check=True), chunk_rows=100,
            options=se.PassOptions(checkpoint=Checkpoint(path, 0.0)),
        )  # fmt: skip
    assert json.loads(path.read_text())["tallies"][0]["stop"] == BATCH


def test_data_that_record_nothing_are_compared_with_themselves(digest: str) -> None:
    """What was read has the fingerprint that another reading gave; a change between two readings is found."""
    x, t = drawn(ROWS)
    source = CheckedSource(se.open((x, t)))
    report = se.evaluate(network(), source)
    assert report.digest == digest
    assert report.hashed is not None
    assert (report.hashed.recorded, report.hashed.content) == (False, report.data.fingerprint)
    x[3] ^= 1
    with pytest.raises(DataError, match="when they were read before"):
        se.evaluate(network(), source)
    fresh = CheckedSource(se.open((x, t)))
    assert fresh.fingerprint
    x[3] ^= 1
    with pytest.raises(DataError, match="a reading before gave"):
        se.evaluate(network(), fresh)


def interrupted(data: Any, path: Path) -> None:
    def stop(rows: int, total: int) -> None:
        if rows > total // 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        se.evaluate(
            network(),
            data,
            chunk_rows=CHUNK,
            progress=stop,
            options=se.PassOptions(checkpoint=Checkpoint(path, 0.0)),
        )


def test_a_pass_does_not_go_on_with_another_file(data: Path, tmp_path: Path) -> None:
    """Its recorded fingerprint is the same, its rows need not be."""
    path, options = tmp_path / "checkpoint", se.PassOptions(checkpoint=tmp_path / "checkpoint")
    interrupted(data, path)
    overwrite(data, 5)  # among the rows that are done
    with pytest.raises(
        DataError, match=r"written to, moved or copied since.*Remove the checkpoint to start again"
    ):
        se.evaluate(network(), data, options=options)
    # To hash what is there now does not tell what was read then.
    overwrite(data, 5)
    with pytest.raises(DataError, match="with --check, a pass can go on with a copy"):
        se.evaluate(network(), se.open(data, check=True), options=options)


def test_a_pass_that_hashed_goes_on_with_a_copy_if_it_hashes_on(
    data: Path, digest: str, tmp_path: Path
) -> None:
    path, options = tmp_path / "checkpoint", se.PassOptions(checkpoint=tmp_path / "checkpoint")
    copy = tmp_path / "copy.arrow"
    interrupted(se.open(data, check=True), path)
    shutil.copy(data, copy)
    with pytest.raises(DataError, match="go on with --check"):
        se.evaluate(network(), copy, options=options)
    report = se.evaluate(network(), se.open(copy, check=True), options=options)
    assert report.digest == digest
    assert report.hashed is not None
    assert (report.hashed.rows, report.hashed.recorded) == (ROWS, True)
    # A copy that differs in rows to come is refused where it differs.
    interrupted(se.open(data, check=True), path)
    shutil.copy(data, copy)
    overwrite(copy, ROWS - 1)
    with pytest.raises(DataError, match="block 3"):
        se.evaluate(network(), se.open(copy, check=True), options=options)


def test_merging_says_what_was_hashed(data: Path, tmp_path: Path, digest: str) -> None:
    paths = [tmp_path / "0.json", tmp_path / "1.json"]
    for k, check in ((0, True), (1, False)):
        write_state(
            se.evaluate(network(), se.open(data, check=check), options=se.PassOptions(shard=(k, 2))), paths[k]
        )
    merged = se.merge(paths)
    assert merged.digest == digest
    assert merged.hashed is not None
    assert (merged.hashed.rows, merged.hashed.content) == (ROWS // 2, None)
    said = " ".join(in_process("merge", *paths).stdout.split())
    assert "30,000 rows of 60,000; of the others only recorded hashes are known" in said
    write_state(
        se.evaluate(network(), se.open(data, check=True), options=se.PassOptions(shard=(1, 2))), paths[1]
    )
    whole = se.merge(paths)
    assert whole.to_dict()["check"]["content"] == whole.data.fingerprint
    assert se.verify(whole.to_dict(), network(), data).whole
    overwrite(data, ROWS - 1)
    with pytest.raises(DataError, match="block 3"):
        se.evaluate(network(), se.open(data, check=True), options=se.PassOptions(shard=(1, 2)))


def test_shards_that_read_different_content_of_one_block_do_not_merge(tmp_path: Path) -> None:
    """Where nothing is recorded, the block in which two shards meet was read by both."""
    x, t = drawn(ROWS)
    paths = [tmp_path / "0.json", tmp_path / "1.json"]
    for k, path in enumerate(paths):
        source = CheckedSource(se.open((x, t)))
        assert source.fingerprint
        source._source.__dict__["fingerprint"] = "sample-sha256:the same"
        write_state(se.evaluate(network(), source, options=se.PassOptions(shard=(k, 2))), path)
        if k == 0:
            x[ROWS // 2 + 1] ^= 1
    with pytest.raises(DataError, match=r"1\.json: it read other content of block 1 than .*0\.json"):
        se.merge(paths)


def test_verify_compares_the_content_that_was_read(data: Path) -> None:
    report = se.evaluate(network(), se.open(data, check=True)).to_dict()
    assert se.verify(json.loads(json.dumps(report)), network(), data).hashes == 4
    from lies import altered, lies

    for name in ("rows", "blocks", "recorded", "content"):
        for lie in lies(report["check"][name]):
            with pytest.raises(CheckError):
                se.verify(altered(json.loads(json.dumps(report)), ("check", name), lie), network(), data)


def test_workers_hash_what_they_read(data: Path) -> None:
    from streameval.engines import worker

    whole = Selection(Span(0, ROWS))
    with se.open(data) as source:  # type: ignore[attr-defined]
        from streameval.evaluation.identity import Identity
        from streameval.losses import CrossEntropy

        identity = Identity.of(network(), source, whole, CrossEntropy(), nonfinite=False)
    spec = PassSpec(network(), str(data), 1 / 255, "auto", identity, CHUNK, Budget(1), False, True)
    task = Task(Span(0, 100), whole.within(Span(0, 100)))
    assert len(worker.compute_task(spec, task).span) == 100
    overwrite(data, 200)  # in the same block, of which no row is asked for
    worker._KEPT.clear()
    with pytest.raises(DataError, match="as recorded"):
        worker.compute_task(spec, task)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Files that record no hashes."""
    x, t = drawn(ROWS)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "t.npy", t)
    return tmp_path / "x.npy", tmp_path / "t.npy"


@pytest.mark.parametrize(
    "rows", [None, slice(20_000, 50_000), [40_000, 3, 3, 59_999]], ids=["all", "span", "numbers"]
)
def test_what_workers_hashed_is_reported_where_nothing_is_recorded(
    pair: tuple[Path, Path], rows: Any
) -> None:
    """As of a pass in this process, whatever the spans of the workers."""
    alone = se.evaluate(network(), se.open(pair, check=True), rows=rows)
    assert alone.hashed is not None
    assert alone.hashed.rows > 0
    for span_rows in (10_000, 100_000):
        options = se.PassOptions(engine=Local(span_rows))
        report = se.evaluate(network(), se.open(pair, check=True), rows=rows, options=options)
        assert (report.digest, report.hashed) == (alone.digest, alone.hashed)


def test_what_workers_hashed_is_kept_in_a_checkpoint(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """A pass that goes on counts it as hashed, and need not read it again."""
    kept = tmp_path / "kept"

    def stop() -> None:
        raise StoppedError

    options = se.PassOptions(engine=Local(10_000), checkpoint=Checkpoint(kept, every=0.0))
    with pytest.raises(StoppedError):
        se.evaluate(network(), se.open(pair, check=True), options=options, progress=at_half(stop))
    assert [block for block, *_ in json.loads(kept.read_text())["hashes"]] == [0, 1, 2]
    report = se.evaluate(network(), se.open(pair, check=True), options=options)
    assert report.hashed == se.evaluate(network(), se.open(pair, check=True)).hashed


def test_workers_that_read_different_content_of_a_block_are_told(pair: tuple[Path, Path]) -> None:
    """Each of them has only its own reading, and finds nothing."""

    class Elsewhere(Local):
        def map(self, spec: PassSpec, tasks: Any) -> Any:
            for task in tasks:
                for part in super().map(spec, [task]):
                    (block, features, targets), *others = part.hashes
                    other = "0" * 64 if task.span.start else features
                    yield replace(part, hashes=[[block, other, targets], *others])

    with pytest.raises(DataError, match=r"block 0, rows 0:16384: the features .* when they were read before"):
        se.evaluate(network(), se.open(pair, check=True), options=se.PassOptions(engine=Elsewhere(10_000)))


@pytest.mark.parametrize("command", ["evaluate", "minibatch", "compare", "until"])
def test_commands_check(data: Path, tmp_path: Path, command: str) -> None:
    network().save(tmp_path / "model.safetensors")
    more = {"compare": ("--sizes", "10", "--trials", "5"), "until": ("--half-width", "5")}.get(command, ())
    arguments = (command, tmp_path / "model.safetensors", data, "--check", *more)
    done = in_process(*arguments)
    assert done.returncode == 0, done.stderr
    if command == "evaluate":
        assert "hashed as it was read, as recorded: 60,000 rows" in " ".join(done.stdout.split())
    for row in range(0, ROWS, BATCH):
        overwrite(data, row)
    done = in_process(*arguments)
    assert (done.returncode, "as recorded" in done.stderr) == (3, True)
