"""Outputs appear whole or not at all; locks die with their owner."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streameval.companions import OLD, fresh
from streameval.errors import LockedError, StorageError
from streameval.files import (
    atomic_file,
    atomic_folder,
    lock,
    read_small,
    regular_file,
    remove_leftovers,
    storage_errors,
)


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


KILLED = """
    import sys, time
    from streameval.files import atomic_file, atomic_folder, lock
    with lock(sys.argv[2]), {"file": atomic_file, "folder": atomic_folder}[sys.argv[1]](sys.argv[2]):
        print("begun", flush=True)
        time.sleep(60)
"""


def killed_writer(kind: str, path: Path) -> None:
    """Begin an output in another process, and kill that."""
    with writing(kind, path) as writer:
        writer.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def writing(kind: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun to write `path`, and goes on until the block ends."""
    with python(KILLED, kind, path) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        try:
            yield writer
        finally:
            writer.kill()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_this_output_are_removed_and_nothing_else(tmp_path, kind):
    kept = [".other.0123456789ab.part", ".output.0123456789ab.part", ".out.part", ".out.old", "out.part"]
    kept += [f".out.{middle}.part" for middle in ("mine", "0123456789ab", "0" * 20)]
    kept += [".out.arrow.0123456789ab.old"]
    for name in kept:
        (tmp_path / name).touch()
    killed_writer(kind, tmp_path / "out")
    killed_writer("file", tmp_path / "out.arrow")
    left = [name for name in names(tmp_path) if name not in kept]
    assert sum(name.endswith(".part") for name in left) == 2
    with lock(tmp_path / "out"):
        remove_leftovers(tmp_path / "out")
    others = [name for name in left if name.startswith(".out.arrow.")]
    assert len(others) == 2  # the unfinished file, and its lock
    assert names(tmp_path) == sorted([*kept, *others])


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("other", ["out", "out.arrow"])
def test_a_living_writer_keeps_what_it_has_begun(tmp_path, kind, other):
    """Of an output whose name begins alike, and even of the same one, should its lock have been removed."""
    with writing(kind, tmp_path / other):
        begun = [name for name in names(tmp_path) if name.endswith(".part")]
        (tmp_path / f".{other}.lock").unlink()
        with lock(tmp_path / "out"):
            remove_leftovers(tmp_path / "out")
        assert len(begun) == 1
        assert names(tmp_path) == begun


def test_a_folder_that_was_only_moved_aside_is_put_back(tmp_path):
    """Where folders cannot change places in one step, a writer may die between the two."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    (tmp_path / "out").rename(fresh(tmp_path / "out", OLD))
    with lock(tmp_path / "out"):
        remove_leftovers(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["old"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o666])
def test_a_file_that_is_replaced_hands_on_its_mode(tmp_path, mode):
    path = tmp_path / "out"
    path.touch()
    path.chmod(mode)
    with atomic_file(path) as file:
        file.write(b"new")
        (part,) = (entry for entry in tmp_path.iterdir() if entry.name.endswith(".part"))
        assert part.stat().st_mode & 0o777 == 0o600  # not for others before it is whole
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (mode, b"new")


def test_a_folder_that_is_replaced_hands_on_its_modes(tmp_path):
    path = tmp_path / "out"
    path.mkdir(0o700)
    (path / "inside").touch(0o600)
    with atomic_folder(path) as folder:
        (folder / "inside").touch()
        (folder / "another").touch(0o640)
    assert path.stat().st_mode & 0o777 == 0o700
    assert [entry.stat().st_mode & 0o777 for entry in sorted(path.iterdir())] == [0o640, 0o600]


def test_a_symbolic_link_stays_and_what_it_leads_to_is_written(tmp_path):
    """From link to link, also to what is not there yet; both names share one lock."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "out").write_text("old")
    (tmp_path / "middle").symlink_to("store/out")
    (tmp_path / "link").symlink_to(tmp_path / "middle")
    (tmp_path / "new").symlink_to("store/new")
    for name in ("link", "new"):
        with atomic_file(tmp_path / name) as file:
            file.write(b"new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == "new"
    with lock(tmp_path / "link"), pytest.raises(LockedError), lock(tmp_path / "store" / "out"):
        pass
    assert names(tmp_path / "store") == ["new", "out"]
    (tmp_path / "gone").symlink_to("store/nowhere/out")
    missing = pytest.raises(StorageError, match="store/nowhere: the folder does not exist")
    with missing, atomic_file(tmp_path / "gone"):
        pass


def test_a_link_to_a_folder_stays_too(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["new"]
    assert names(tmp_path) == ["link", "real"]


def test_links_in_a_circle_are_said_so(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with (
        pytest.raises(StorageError, match="one: Too many levels of symbolic links"),
        atomic_file(tmp_path / "one"),
    ):
        pass


def test_files_that_happen_to_be_called_like_a_lock_are_not_removed(tmp_path):
    (tmp_path / ".out.lock").write_text("mine")
    with lock(tmp_path / "out"):
        pass
    assert (tmp_path / ".out.lock").read_text() == "mine"
    (tmp_path / "elsewhere").touch()
    (tmp_path / ".link.lock").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="belongs to user"), lock(tmp_path / "link"):
        pass


# Several users.


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder in which any user may write, or a skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can be several users")
    folder = Path(tempfile.mkdtemp(prefix="streameval-shared-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


ANOTHER, SOMEBODY = 65_533, 65_534


def as_user(user: int, code: str, *args: object) -> tuple[int, str]:
    """Run Python code in a process that becomes that user once it has loaded what only root may see, perhaps."""
    become = f"import streameval.files, os; os.setgroups([]); os.setgid({user}); os.setuid({user})\n"
    command = [sys.executable, "-c", become + textwrap.dedent(code), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


LOCKS = """
    import os, sys
    from streameval.errors import StreamevalError
    from streameval.files import atomic_file, lock, remove_leftovers
    os.umask(0o077)
    try:
        with lock(sys.argv[1]):
            remove_leftovers(sys.argv[1])
            with atomic_file(sys.argv[1]) as file:
                file.write(b"mine")
                if sys.argv[2:]:
                    os.kill(os.getpid(), 9)
    except StreamevalError as error:
        print(error)
        sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_what_another_users_killed_process_left_does_not_block_a_shared_folder(shared_folder, mode):
    shared_folder.chmod(mode)
    assert as_user(ANOTHER, LOCKS, shared_folder / "out", "killed")[0] == -signal.SIGKILL
    assert len(names(shared_folder)) == 2
    assert as_user(SOMEBODY, LOCKS, shared_folder / "out") == (0, "")
    assert (shared_folder / "out").read_text() == "mine"
    assert (shared_folder / "out").stat().st_uid == SOMEBODY
    # What is another's to remove, where the folder says so, stays.
    assert len(names(shared_folder)) == (3 if mode == 0o1777 else 2)


def test_a_living_process_of_another_user_is_waited_for(shared_folder):
    with lock(shared_folder / "out"):
        code, said = as_user(SOMEBODY, LOCKS, shared_folder / "out")
    assert code == 8
    assert "another process is writing it" in said


def test_a_lock_that_another_user_closed_is_named(shared_folder):
    (shared_folder / ".out.lock").touch(0o600)
    code, said = as_user(SOMEBODY, LOCKS, shared_folder / "out")
    assert code == 5
    assert f"{shared_folder}/.out.lock belongs to user 0" in said


def test_an_output_that_root_replaces_stays_its_owners(shared_folder):
    path = shared_folder / "out"
    path.touch(0o640)
    os.chown(path, SOMEBODY, ANOTHER)
    with atomic_file(path):
        pass
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (SOMEBODY, ANOTHER, 0o640)


def test_where_the_group_cannot_be_kept_another_one_gets_no_more_than_everybody(shared_folder):
    shared_folder.chmod(0o777)
    path = shared_folder / "out"
    path.touch()
    path.chmod(0o664)  # of root's group, which SOMEBODY is not in
    assert as_user(SOMEBODY, LOCKS, path) == (0, "")
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (SOMEBODY, SOMEBODY, 0o644)


def test_a_link_that_another_user_put_into_a_shared_folder_is_refused(shared_folder, tmp_path):
    """Whatever fs.protected_symlinks is: it would send the output to a place that somebody else chose."""
    (shared_folder / "out").symlink_to(tmp_path / "chosen")
    os.lchown(shared_folder / "out", SOMEBODY, SOMEBODY)
    with pytest.raises(StorageError, match="link of another user"), atomic_file(shared_folder / "out"):
        pass
    assert names(tmp_path) == []


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_a_small_file_may_be_a_pipe_that_is_written_to(pipe, late):
    """Whoever opens it first, in as many pieces as come, more than it holds at once."""
    pieces = [b"a" * 50_000, b"b" * 50_000]

    def write():
        time.sleep(late)
        with pipe.open("wb", buffering=0) as file:
            for piece in pieces:
                time.sleep(0.1)
                file.write(piece)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_small(pipe, "bytes", 100_000) == b"".join(pieces)
    writer.join()


def test_a_pipe_without_a_writer_a_device_and_a_folder_are_no_small_files(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr("streameval.files.PATIENCE", 10)
    with pytest.raises(StorageError, match="pipe: a pipe into which nobody writes, expected a key"):
        read_small(pipe, "a key", 10)
    with pytest.raises(StorageError, match="zero: is neither a file nor a pipe, expected a key"):
        read_small("/dev/zero", "a key", 10)
    with pytest.raises(StorageError, match=rf"{tmp_path.name}: Is a directory"):
        read_small(tmp_path, "a key", 10)
    for path in (pipe, "/dev/zero"):
        with (
            pytest.raises(StorageError, match="is not a regular file, expected a key"),
            regular_file(path, "a key"),
        ):
            pass


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_no_more_is_read_of_a_small_file_than_was_said(pipe, tmp_path, kind):
    (tmp_path / "file").write_bytes(bytes(11))
    path = tmp_path / kind
    reader = os.open(pipe, os.O_RDWR)  # keeps what is written
    os.write(reader, bytes(11))
    with pytest.raises(StorageError, match=f"{kind}: too large, expected a key of at most 10 bytes"):
        read_small(path, "a key", 10)
    os.close(reader)


def test_an_error_names_the_path_and_what_to_do(tmp_path):
    absent = pytest.raises(StorageError, match=r"/absent: No such file or directory\. Check the path")
    with absent, storage_errors(tmp_path / "x"):
        (tmp_path / "absent").read_bytes()
    full = pytest.raises(StorageError, match=r"/x: No space left on device\. Free some space")
    with full, storage_errors(tmp_path / "x"):
        raise OSError(28, "No space left on device")
