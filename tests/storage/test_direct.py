"""Files read past the page cache: the same rows, few buffers, and the page cache used where it helps."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from long_runs import run

from streameval import storage
from streameval.errors import DataError, StorageError
from streameval.storage import direct, memory_limit, reading
from streameval.storage.direct import BLOCK, Direct, DirectFile
from streameval.storage.mapping import File
from streameval.storage.source import Span
from streameval.storage.stored import StoredSource
from streameval.system import memory_call

ROWS, SHAPE = 100_000, (28, 28)


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8), draw.integers(0, 10, ROWS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rows: tuple[np.ndarray, np.ndarray]) -> Path:
    """78 MB: past the size up to which files stay mapped."""
    return written(tmp_path_factory.mktemp("direct") / "rows.arrow", *rows)


def written(path: Path, x: np.ndarray, t: np.ndarray) -> Path:
    storage.create(path, [(x, t)], rows=len(x), shape=x.shape[1:], dtype=np.uint8, classes=10)
    try:
        DirectFile(File(path / "images.npy" if path.is_dir() else path))
    except OSError as error:
        pytest.skip(f"{path.parent}: this file system has no reading past the page cache: {error}")
    return path


tells_cached = pytest.mark.skipif(
    memory_call("mincore", ctypes.c_char_p) is None,
    reason="this system does not say what its page cache holds",
)


def forget(path: Path) -> None:
    """Let the page cache drop the file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if not hasattr(os, "posix_fadvise"):
            pytest.skip("this system cannot be asked to forget a file")
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 3 * BLOCK),
    size=st.integers(1, 3 * BLOCK),
    end=st.booleans(),
    part=st.sampled_from([1, 3]),
)
def test_any_bytes_are_those_of_the_file(path: Path, at: int, size: int, end: bool, part: int) -> None:
    """From any position, aligned or not, to the last byte of a file whose length is no multiple of a block."""
    whole = path.stat().st_size
    assert whole % BLOCK
    at = whole - size - at % 7 if end else at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "PART_BYTES", part * BLOCK)
        found = DirectFile(File(path)).fetch(at, size).result()
    with path.open("rb") as file:
        file.seek(at)
        assert found.tobytes() == file.read(size)


@pytest.mark.parametrize("chunk_rows", [1_000, 16_384])
@pytest.mark.parametrize("first", [0, 12_345])
def test_a_pass_gives_the_rows_in_order(
    path: Path, rows: tuple[np.ndarray, np.ndarray], chunk_rows: int, first: int
) -> None:
    """Chunks no longer than asked for, and none of more than 4 MiB."""
    x, t = rows
    source, row = storage.open(path, io="direct"), first
    for chunk in source.chunks(Span(first, ROWS), chunk_rows):
        assert 1 <= len(chunk) <= min(chunk_rows, direct.PIECE_BYTES // 784)
        assert np.array_equal(chunk.x, x[row : row + len(chunk)].reshape(len(chunk), 784))
        assert np.array_equal(chunk.t, t[row : row + len(chunk)])
        row += len(chunk)
    assert row == ROWS
    assert source.check_content() == -(-ROWS // 16_384)
    assert source.fingerprint == storage.open(path, io="pread").fingerprint


def test_buffers_are_used_again_but_never_while_somebody_holds_their_rows(
    path: Path, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole pass takes four buffers for features and four for targets at most; held chunks keep what they said."""
    made: list[int] = []

    class Counted(mmap.mmap):
        def __new__(cls, *given: Any, **more: Any) -> Any:
            if given[0] == -1:  # of no file
                made.append(given[1])
            return super().__new__(cls, *given, **more)

    monkeypatch.setattr(direct.mmap, "mmap", Counted)
    source = storage.open(path, io="direct")
    for _ in source.chunks(Span(0, ROWS), 2_048):
        pass
    assert len(made) <= 8, made
    held = list(source.chunks(Span(0, ROWS), 2_048))
    for chunk in held:
        assert np.array_equal(chunk.x, rows[0][chunk.rows.start : chunk.rows.stop].reshape(-1, 784))
    assert len(made) > len(held)


@pytest.mark.parametrize("call", ["preadv", "O_DIRECT"])
def test_without_a_call_that_it_needs_nothing_is_read_past_the_page_cache(
    path: Path, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It would go through the page cache unseen; the rows are those of the file, mapped."""
    monkeypatch.delattr(os, call)
    with pytest.raises(OSError, match="there is no O_DIRECT, or no preadv"):
        DirectFile(File(path))
    source = storage.open(path, io="direct")
    assert is_mapped(path)(next(source.chunks(Span(0, 10), 10)))
    assert np.array_equal(source.take(np.arange(5)).x, rows[0][:5].reshape(5, -1))


@tells_cached
def test_the_page_cache_stays_as_it_was(path: Path) -> None:
    """Nothing of the file comes into it by a direct pass; a mapped one fills it."""
    mapped = File(path).map()
    span = (1 << 20, 70 << 20)
    forget(path)
    for _ in storage.open(path, io="direct").chunks(Span(0, ROWS), 16_384):
        pass
    assert not mapped.cached(*span)
    for chunk in storage.open(path, io="mmap").chunks(Span(0, ROWS), 16_384):
        chunk.x.max()
    assert mapped.cached(*span)


def is_mapped(path: Path) -> Callable[[Any], bool]:
    """A test of chunks: mapped ones lie in memory as far apart as in the file, and all in one array of its size."""
    if memory_call("madvise", ctypes.c_int) is None:
        pytest.skip("this system takes no pages back, so that large files are not mapped")
    size = path.stat().st_size
    return lambda chunk: chunk.values.size == size


@tells_cached
def test_of_a_file_too_large_to_be_kept_only_what_is_cached_is_mapped(
    tmp_path: Path, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half is read into the cache before; whichever way a chunk came, its rows are right."""
    monkeypatch.setattr(reading, "cacheable", lambda size: False)
    path = written(tmp_path / "rows.arrow", *rows)
    source, mapped = storage.open(path), is_mapped(path)
    forget(path)
    with path.open("rb") as file:
        file.read(path.stat().st_size // 2)
    seen = []
    for chunk in source.chunks(Span(0, ROWS), 4_096):
        seen.append(mapped(chunk))
        assert np.array_equal(chunk.x, rows[0][chunk.rows.start : chunk.rows.stop].reshape(-1, 784))
    assert all(seen[:8])
    # The system reads up to 8 MiB ahead.
    assert not any(seen[-8:])
    assert isinstance(source, StoredSource)
    assert source.io == "auto"


def test_files_that_fit_are_mapped(path: Path) -> None:
    """The second pass finds them in memory."""
    assert is_mapped(path)(next(storage.open(path).chunks(Span(0, 10), 10)))
    assert not is_mapped(path)(next(storage.open(path, io="direct").chunks(Span(0, 10), 10)))


def test_small_files_that_are_large_together_are_read_past_the_cache(
    tmp_path: Path, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the data set, not its files."""
    x, t = rows
    for part in range(3):
        written(
            tmp_path / f"{part}.arrow", x[part * 100 : part * 100 + 100], t[part * 100 : part * 100 + 100]
        )
    one = (tmp_path / "0.arrow").stat().st_size
    monkeypatch.setattr(memory_limit, "memory", lambda: 4 * one)
    kinds = []
    monkeypatch.setattr(
        direct, "Direct", lambda *given, **more: kinds.append("direct") or Direct(*given, **more)
    )
    assert storage.open(tmp_path / "0.arrow").rows == 100
    assert kinds == []
    source = storage.open(tmp_path)
    assert kinds == ["direct"] * 3
    assert source.io == "auto"
    assert np.array_equal(np.concatenate([c.t for c in source.chunks(Span(0, 300), 64)]), t[:300])


def test_a_file_system_without_it_is_read_through_the_page_cache(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused at opening: mapped. Refused at reading, as where blocks are larger: read by position."""
    opened = os.open

    def refuse(name: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return opened(name, flags, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert is_mapped(path)(next(storage.open(path, io="direct").chunks(Span(0, 10), 10)))
    monkeypatch.setattr(direct, "BLOCK", 100)
    found = DirectFile(File(path)).fetch(12_345, 678).result()
    with path.open("rb") as file:
        assert found.tobytes() == file.read()[12_345 : 12_345 + 678]


def test_a_file_cut_short_under_the_reader_names_the_offset(
    tmp_path: Path, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between the check of the size and the read; and before the next chunk, where the size tells."""
    path = written(tmp_path / "a", rows[0][:10_000], rows[1][:10_000]) / "images.npy"
    source = storage.open(path.parent, io="direct")
    chunks = source.chunks(Span(0, 10_000), 1_000)
    next(chunks)
    whole = path.stat().st_size
    os.truncate(path, 3_000_001)
    with pytest.raises(DataError, match=rf"3000001 bytes long now, expected {whole}"):
        list(chunks)
    monkeypatch.setattr("streameval.storage.mapping.File.check_size", lambda self: None)
    with pytest.raises(DataError, match=r"images\.npy: the file ends at offset 3000001, but \d+ more bytes"):
        list(source.chunks(Span(0, 10_000), 1_000))


def test_a_disk_that_fails_is_an_error_of_storage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file's name, and the exit code of input and output."""

    def fail(*given: Any) -> int:
        raise OSError(5, "Input/output error")

    source = storage.open(path, io="direct")
    for module in ("mapping", "direct"):
        monkeypatch.setattr(f"streameval.storage.{module}.read_into", fail)
    with pytest.raises(StorageError, match=r"rows\.arrow.*Input/output error") as caught:
        next(source.chunks(Span(0, 10), 10))
    assert caught.value.exit_code == 5


def test_another_file_at_the_path_is_not_read_instead(path: Path, tmp_path: Path) -> None:
    """It is opened a second time, and must be the same file then."""
    copy = tmp_path / "copy.arrow"
    copy.write_bytes(path.read_bytes()[:10_000])
    file = File(copy)
    copy.unlink()
    copy.write_bytes(b"x" * 10_000)
    with pytest.raises(OSError, match="another file"):
        DirectFile(file)


def test_a_fork_reads_too(path: Path) -> None:
    """The threads that read do not come along into a child: it starts its own."""
    code = """
        import os, sys
        from streameval import storage
        from streameval.storage.source import Span
        source = storage.open(sys.argv[1], io="direct")
        first = [chunk.t.sum() for chunk in source.chunks(Span(0, 20_000), 4096)]
        child = os.fork()
        again = [chunk.t.sum() for chunk in source.chunks(Span(0, 20_000), 4096)]
        if child == 0:
            os._exit(0 if again == first else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), again == first)
    """
    done = run(code, path)
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_forks_of_a_process_that_is_reading_read_too(path: Path) -> None:
    """Whatever another thread was in the middle of: its lock is nobody's in the child, and its pieces never come."""
    code = """
        import collections, faulthandler, os, sys, threading, warnings
        from streameval import storage
        from streameval.storage.source import Span
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
        source = storage.open(sys.argv[1], io="direct")
        total = lambda: sum(int(chunk.t.sum()) for chunk in source.chunks(Span(0, 6_000), 512))
        wanted, over, ends = total(), threading.Event(), collections.Counter()
        def read():
            while not over.is_set():
                total()
        thread = threading.Thread(target=read)
        thread.start()
        for _ in range(60):
            child = os.fork()
            if child == 0:
                faulthandler.dump_traceback_later(5, exit=True)
                os._exit(0 if total() == wanted else 2)
            ends[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])] += 1
        over.set()
        thread.join()
        print(dict(ends))
    """
    done = run(code, path)
    assert done.stdout.strip() == "{0: 60}", done.stderr


def test_many_threads_read_one_source(path: Path, rows: tuple[np.ndarray, np.ndarray]) -> None:
    """Each its own rows, pieces that others asked for included."""
    source = storage.open(path, io="direct")

    def total(start: int) -> int:
        return sum(int(chunk.x.sum()) for chunk in source.chunks(Span(start, start + 20_000), 2_000))

    starts = [0, 0, 500, 40_000, 70_000, 80_000] * 3
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(total, starts))
    assert found == [int(rows[0][start : start + 20_000].sum()) for start in starts]


def test_a_closed_source_says_so(path: Path) -> None:
    """And reads nothing more."""
    source = storage.open(path, io="direct")
    source.close()
    with pytest.raises(StorageError, match="was closed"):
        next(source.chunks(Span(0, 10), 10))
