"""Outputs that appear whole or not at all, and locks that die with their owner.

Knows files, folders, fsync and flock. Does not know what is written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from streameval.errors import LockedError, StorageError


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` only when the block ends without an error.

    Temporary file beside `path`, fsync, rename, fsync of the folder. On any error, Ctrl-C included, the
    temporary file is removed and the old `path` is untouched.

    Raises:
        StorageError: the folder is missing or not writable, or the disk is full.
    """
    target = Path(path)
    with storage_errors(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder, a file name was expected", str(target))
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent)
        try:
            os.fchmod(handle, 0o666 & ~_umask())
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` only when the block ends without an error.

    Every file written into it is synced before the rename. A folder that was at `path` is moved away
    first and removed after; if the rename fails it is put back.

    Raises:
        StorageError: the parent is missing or not writable, the disk is full, or `path` is a file.
    """
    target = Path(path)
    with storage_errors(target):
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is a file, a folder was expected", str(target))
        made = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent))
        try:
            made.chmod(0o777 & ~_umask())
            yield made
            for file in made.iterdir():
                _sync(file)
            sync_folder(made)
            _swap_folder(made, target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        sync_folder(target.parent)


@contextlib.contextmanager
def lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the only right to write `path`; the lock is free again when its owner ends, however it ends.

    The lock is an flock on a hidden file beside `path`, removed when it is given back.

    Raises:
        LockedError: another process holds it.
        StorageError: the folder is missing or not writable.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name[:200]}.lock")
    with storage_errors(target):
        handle = _lock_file(beside, target)
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def storage_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError raised inside into a StorageError that names `path` and the cure."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        cause = error.strerror or str(error)
        raise StorageError(f"{error.filename or path}: {cause}.{_cure(error.errno)}") from error


def sync_folder(path: Path) -> None:
    """Make a rename in `path` last through a power cut."""
    _sync(path)


def _lock_file(beside: Path, target: Path) -> int:
    while True:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LockedError(
                f"{target}: another process is writing it. Wait for it to end, or choose another destination."
            ) from None
        # The last owner may have removed the file between our open and our flock: then lock the new one.
        with contextlib.suppress(FileNotFoundError):
            if beside.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)


def _swap_folder(made: Path, target: Path) -> None:
    if not target.exists():
        made.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}.", suffix=".old", dir=target.parent))
    target.rename(aside)
    try:
        made.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cure(number: int | None) -> str:
    return {
        errno.ENOSPC: " Free some space, or write to another disk.",
        errno.EDQUOT: " The disk quota is used up: free some space, or write to another disk.",
        errno.ENOENT: " Check the path, and that the folder it lies in exists.",
        errno.EACCES: " Check the permissions of the file and of its folder.",
        errno.EPERM: " Check the permissions of the file and of its folder.",
        errno.EROFS: " The file system is read-only: choose another destination.",
    }.get(number or 0, "")
