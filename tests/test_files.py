"""Outputs appear whole or not at all; locks die with their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from streameval.errors import LockedError, StorageError
from streameval.files import atomic_file, atomic_folder, lock, remove_leftovers, storage_errors


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def python(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "out"
    with atomic_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_new_files_and_folders_have_the_permissions_that_the_umask_gives(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file"):
            pass
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("swap", ["exchange", "rename"])
def test_a_folder_takes_the_place_of_another_one(tmp_path, swap, monkeypatch):
    if swap == "rename":
        monkeypatch.setattr("streameval.files._exchange", lambda one, other: False)
    path = tmp_path / "out"
    for content in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / content).write_text(content)
        assert names(path) == [content]
        assert names(tmp_path) == ["out"]


def test_a_folder_that_was_not_finished_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "old").touch()

    def write() -> None:
        with atomic_folder(tmp_path / "out") as folder:
            (folder / "new").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert names(tmp_path / "out") == ["old"]
    assert names(tmp_path) == ["out"]


def test_when_the_rename_of_a_folder_fails_the_old_one_is_put_back(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "old").touch()
    monkeypatch.setattr("streameval.files._exchange", lambda one, other: False)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(5, "Input/output error", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StorageError, match="Input/output error"), atomic_folder(tmp_path / "out"):
        pass
    assert names(tmp_path / "out") == ["old"]
    assert names(tmp_path) == ["out"]


def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused_by_name(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="folder: is a folder"), atomic_file(tmp_path / "folder"):
        pass
    with pytest.raises(StorageError, match="file: is a file"), atomic_folder(tmp_path / "file"):
        pass


@pytest.mark.parametrize("writer", [atomic_file, atomic_folder, lock])
def test_a_missing_folder_is_named(tmp_path, writer):
    with (
        pytest.raises(StorageError, match=r"missing: the folder does not exist"),
        writer(tmp_path / "missing" / "out"),
    ):
        pass


@pytest.mark.parametrize("name", ["ä" * 120, "x" * 250, "with space", "日本語.arrow", "-dash", "a'b\"c"])
@pytest.mark.parametrize("writer", [atomic_file, atomic_folder])
def test_any_name_that_the_file_system_takes_works(tmp_path, name, writer):
    path = tmp_path / name
    with lock(path), writer(path):
        assert not path.exists()
    assert names(tmp_path) == [name]


def test_long_names_that_begin_alike_have_locks_of_their_own(tmp_path):
    with lock(tmp_path / ("x" * 240 + "a")), lock(tmp_path / ("x" * 240 + "b")):
        assert len(names(tmp_path)) == 2


def test_a_lock_is_held_against_others_and_free_after(tmp_path):
    with lock(tmp_path / "out"):
        with pytest.raises(LockedError, match="out: another process is writing it"), lock(tmp_path / "out"):
            pass
        with lock(tmp_path / "other"):
            pass
    with lock(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = """
        import sys, time
        from streameval.files import lock
        with lock(sys.argv[1]):
            print("held", flush=True)
            time.sleep(60)
    """
    with python(code, tmp_path / "out") as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(LockedError), lock(tmp_path / "out"):
            pass
        owner.send_signal(signal.SIGKILL)
    assert names(tmp_path) == [".out.lock"]
    with lock(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_only_one_of_many_processes_holds_a_lock_at_a_time(tmp_path):
    """Each counts up a file under the lock, by reading and writing it: nothing is lost."""
    code = """
        import sys, pathlib
        from streameval.errors import LockedError
        from streameval.files import lock
        counter, done = pathlib.Path(sys.argv[1]), 0
        while done < 100:
            try:
                with lock(counter):
                    counter.write_text(str(int(counter.read_text()) + 1))
                    done += 1
            except LockedError:
                pass
    """
    (tmp_path / "counter").write_text("0")
    workers = [python(code, tmp_path / "counter") for _ in range(3)]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
    assert (tmp_path / "counter").read_text() == "300"


def test_leftovers_of_this_output_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".out.0123456789ab.part").touch()
    (tmp_path / ".out.0123456789ab.old").mkdir()
    kept = [".other.0123456789ab.part", ".out.lock", "out", "out.part", ".output.0123456789ab.part"]
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "out")
    assert names(tmp_path) == sorted(kept)


def test_an_error_names_the_path_and_what_to_do(tmp_path):
    absent = pytest.raises(StorageError, match=r"/absent: No such file or directory\. Check the path")
    with absent, storage_errors(tmp_path / "x"):
        (tmp_path / "absent").read_bytes()
    full = pytest.raises(StorageError, match=r"/x: No space left on device\. Free some space")
    with full, storage_errors(tmp_path / "x"):
        raise OSError(28, "No space left on device")
