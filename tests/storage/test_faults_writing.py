"""Writers of data files that run out of disk, are killed, meet another one, or must not grow in memory."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_files import SHAPE, drawn, idx_pair, names, python, stored

from streameval import storage
from streameval.errors import LockedError, StorageError

# Disk full.


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of 1 MiB at `folder`, or skip with the reason."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def filling(other: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches between which someone else fills the disk, after it was found to have room."""
    yield drawn(20_000)
    other.write_bytes(bytes(500_000))
    yield drawn(20_000)


@pytest.mark.parametrize("name", ["out.arrow", "out"])
def test_a_full_disk_leaves_the_old_output_and_nothing_else(tmp_path, name):
    disk = tmp_path / "disk"
    with small_disk(disk):
        old = storage.open(stored(disk / name, 1_000)).fingerprint
        with pytest.raises(StorageError, match="2100000 bytes are needed"):
            stored(disk / name, 100_000)
        with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
            storage.create(
                disk / name, filling(disk / "other"), rows=40_000, shape=SHAPE, dtype="uint8", classes=10
            )
        (disk / "other").unlink()
        assert names(disk) == [name]
        assert storage.open(disk / name).fingerprint == old
        stored(disk / name, 2_000)


@pytest.mark.parametrize("name", ["out.arrow", "out"])
@pytest.mark.parametrize("limit", [0, 100, 100_000, 400_000, 800_100])
def test_a_write_that_fails_anywhere_leaves_the_old_output_and_nothing_else(tmp_path, name, limit):
    path = stored(tmp_path / name, 1_000)
    old = storage.open(path).fingerprint
    code = f"""
        import resource, signal, sys
        import numpy as np
        from streameval import storage
        from streameval.errors import StorageError
        storage.create  # loaded before the limit
        import pyarrow
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            x, t = np.zeros((40_000, 4, 5), np.uint8), np.zeros(40_000, np.uint8)
            storage.create(sys.argv[1], [(x, t)], rows=40_000, shape=(4, 5), dtype="uint8", classes=10)
        except StorageError as error:
            print(error)
            sys.exit(5)
    """
    with python(code, path) as writer:
        said, errors = writer.communicate(timeout=60)
    assert writer.returncode == 5, errors
    assert "File too large" in said
    assert names(tmp_path) == [name]
    assert storage.open(path).fingerprint == old


# Kill -9.


@pytest.mark.parametrize("name", ["out.arrow", "out"])
@pytest.mark.parametrize("before", [False, True])
def test_a_killed_conversion_leaves_the_old_output_or_none_and_the_next_one_cleans_up(tmp_path, name, before):
    source = tmp_path / "source"
    source.mkdir()
    pair = idx_pair(source, 200_000)
    folder = tmp_path / "dest"
    folder.mkdir()
    dest = folder / name
    old = storage.open(stored(dest, 100)).fingerprint if before else None
    new = storage.open(pair).fingerprint
    code = """
        import sys
        from streameval import storage
        import pyarrow
        print("ready", flush=True)
        storage.convert(*sys.argv[1:], classes=10)
    """
    rng = random.Random(name)
    for _ in range(6):
        with python(code, *pair, dest) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.09))
            writer.send_signal(signal.SIGKILL)
        if dest.exists():
            found = storage.open(dest)
            found.check_content()
            assert found.fingerprint in {old, new}
        else:
            assert old is None
    storage.convert(*pair, dest, classes=10)
    assert names(folder) == [name]
    assert storage.open(dest).fingerprint == new


# Two converters.


def test_of_two_converters_one_wins_and_the_other_is_told(tmp_path):
    pair = idx_pair(tmp_path, 50_000)
    dest = tmp_path / "out.arrow"
    refused = []

    def second(done: int, rows: int) -> None:
        with pytest.raises(LockedError, match="another process is writing it") as error:
            storage.convert(*pair, dest)
        refused.append(error.value.exit_code)

    storage.convert(*pair, dest, progress=second)
    assert refused == [8, 8, 8, 8]
    assert storage.open(dest).rows == 50_000
    storage.convert(*pair, dest)
    assert names(tmp_path) == ["images", "labels", "out.arrow"]


# Memory.


def test_peak_memory_of_a_conversion_does_not_grow_with_the_rows(tmp_path):
    """3 and 12 blocks of 500 bytes a row: the peak is that of a few blocks."""
    peaks = []
    for blocks in (3, 12):
        rows = blocks * 16_384
        code = """
            import resource, sys, numpy as np
            from streameval import storage
            rows = int(sys.argv[2])
            def batches():
                for start in range(0, rows, 1000):
                    n = min(1000, rows - start)
                    yield np.full((n, 500), start % 251, np.uint8), np.zeros(n, np.uint8)
            storage.create(sys.argv[1], batches(), rows=rows, shape=(500,), dtype="uint8", classes=10)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
        with python(code, tmp_path / "a.arrow", rows) as writer:
            said, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
        peaks.append(int(said) * 1024)
    assert peaks[1] - peaks[0] < 16_384 * 500 * 2
