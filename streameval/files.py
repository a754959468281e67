"""Outputs that destroy nothing that is read, appear whole or not at all; locks that die with their owner; inputs that
begin at once, and end.

Knows files, folders, pipes, fsync and flock. Does not know what is written or read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import glob
import os
import select
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path, PurePath
from typing import BinaryIO

from streameval.companions import (
    LOCK,
    OLD,
    PART,
    begin_file,
    begin_folder,
    fresh,
    give_back,
    hold,
    inherit,
    remove_abandoned,
    resolved,
)
from streameval.errors import StorageError, UsageError
from streameval.frozen import frozen

Place = str | os.PathLike[str]

AT_FDCWD, RENAME_EXCHANGE = -100, 2
# Milliseconds in which somebody must have begun to write into a pipe that is read.
PATIENCE = 1000
# Bytes that are read from a pipe where nothing else was said.
PIPED = 1 << 28


@frozen
class Output:
    """What will be written, before it is begun.

    name    what messages call it: the option or the argument
    path    where it goes; None if it was not asked for
    inside  of a folder: the pattern of the names that are written in it; None for a file
    added   the file is added to, and may be a pipe; others are replaced
    """

    name: str
    path: Place | None
    inside: str | None = None
    added: bool = False


def check_outputs(outputs: Iterable[Output], inputs: Mapping[str, Iterable[Place]]) -> None:
    """Raise, before anything is computed, if an output would destroy what is read or another output, or cannot be.

    inputs  name for messages -> paths that are read, and patterns of those that would be read another time

    Files are compared as such: links and other spellings of a path are seen.

    Raises:
        UsageError: an output is an input, would become part of one, or is another output.
        StorageError: its folder is missing or not writable, or something else than a file or folder is there.
    """
    wanted = [one for one in outputs if one.path is not None]
    for k, one in enumerate(wanted):
        for name, paths in inputs.items():
            for path in paths:
                _check_apart(one, name, path)
        for other in wanted[:k]:
            if _hits(one, other.path) or _hits(other, one.path):
                raise UsageError(
                    f"{one.path}: {other.name} and {one.name} would overwrite each other. Give them different paths."
                )
    for one in wanted:
        _check_writable(one)


def check_space(path: Place, needed: int) -> None:
    """Raise StorageError, naming both numbers, if fewer than `needed` bytes are free where `path` will be written."""
    with storage_errors(Path(path).parent):
        target = resolved(Path(path))
        folder = target.parent
        _check_parent(target)
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{path}: {needed} bytes are needed, {free} are free there. Write fewer rows, free some space, or write "
            "to another disk."
        )


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` only when the block ends without an error.

    Temporary file beside `path`, fsync, rename, fsync of the folder. On any error, Ctrl-C included, the
    temporary file is removed and the old `path` is untouched. A file that is replaced hands on its mode, its access
    list and, where the user may do that, its owner and group; where `path` is a symbolic link, the file that it leads
    to is replaced.

    Raises:
        StorageError: the folder is missing or not writable, or the disk is full.
    """
    with storage_errors(path):
        target = resolved(Path(path))
        _check_file(target)
        _check_parent(target)
        made, handle = begin_file(target)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                inherit(handle, target)
                os.fsync(handle)
                # Still open, and so still locked: nobody takes it for a dead writer's.
                made.replace(target)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` only when the block ends without an error.

    Every file written into it is synced before the rename. A folder that was at `path` changes places with it
    in one step where the file system can do that, and is removed after. Modes, owners and symbolic links are kept as
    `atomic_file` does, those of files of the same name too.

    Raises:
        StorageError: the parent is missing or not writable, the disk is full, or `path` is a file.
    """
    with storage_errors(path):
        target = resolved(Path(path))
        _check_folder(target)
        _check_parent(target)
        made, handle = begin_folder(target)
        try:
            yield made
            for file in made.iterdir():
                _finish(file, target / file.name)
            inherit(handle, target)
            os.fsync(handle)
            _swap_folder(made, target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        finally:
            os.close(handle)
        sync_folder(target.parent)


@contextlib.contextmanager
def lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the only right to write `path`; the lock is free again when its owner ends, however it ends.

    The lock is an flock on an empty hidden file beside `path`, removed when it is given back. In a shared folder,
    what another user's killed process left is taken over.

    Raises:
        LockedError: another process holds it.
        StorageError: the folder is missing or not writable.
    """
    with storage_errors(path):
        target = resolved(Path(path))
        _check_parent(target)
        beside, handle = hold(target)
    try:
        yield
    finally:
        give_back(beside, handle)


def destination(path: str | os.PathLike[str]) -> Path:
    """Where an output at `path` goes: to the end of symbolic links, which stay what they are. Raises StorageError."""
    with storage_errors(path):
        return resolved(Path(path))


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what killed writers of `path` left beside it. Only for who holds the lock on `path`.

    A name alone removes nothing: it must be one that only this program gives, for this output, and no living process
    may hold it.
    """
    with storage_errors(path):
        remove_abandoned(resolved(Path(path)))


@contextlib.contextmanager
def regular_file(path: Place, expected: str) -> Iterator[BufferedReader]:
    """Open a regular file for reading: a pipe might have no writer, and a device no end.

    expected  what it should be, for the message

    Raises StorageError for anything else, and for what cannot be read.
    """
    with _opened(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StorageError(f"{path}: is not a regular file, expected {expected}.")
        yield file


def read_small(path: Place, expected: str, most: int | None = None) -> bytes:
    """All bytes of a file, or of a pipe that somebody writes to, as a shell's <(command) is.

    most  bytes that it may have; None: as many as a file has, and `PIPED` of a pipe

    Raises StorageError for a device, a pipe without a writer, for more bytes, and for what cannot be read.
    """
    too_large = StorageError(f"{path}: too large, expected {expected} of at most {most or PIPED} bytes.")
    with _opened(path) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            if most is not None and status.st_size > most:
                raise too_large
            return file.read()
        if not stat.S_ISFIFO(status.st_mode):
            raise StorageError(f"{path}: is neither a file nor a pipe, expected {expected}.")
        writer = select.poll()
        writer.register(file, select.POLLIN)
        writer.poll(PATIENCE)
        os.set_blocking(file.fileno(), True)
        content = bytearray()
        # As it comes: what never ends is too large at some time, whether or not its writer goes on.
        while piece := os.read(file.fileno(), 1 << 20):
            content += piece
            if len(content) > (most or PIPED):
                raise too_large
    if not content:
        raise StorageError(f"{path}: a pipe into which nobody writes, expected {expected}. Give a file.")
    return bytes(content)


@contextlib.contextmanager
def storage_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError raised inside into a StorageError that names `path` and the cure."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        cause = error.strerror or str(error)
        named = str(error.filename or path)
        shown = path if named.endswith((PART, OLD, LOCK)) else named
        raise StorageError(f"{shown}: {cause}.{_cure(error.errno)}") from error


def sync_folder(path: Path) -> None:
    """Make a rename in `path` last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _opened(path: Place) -> Iterator[BufferedReader]:
    """Open what is there for reading, without waiting for the writer of a pipe."""
    with storage_errors(path), open(path, "rb", opener=_at_once) as file:
        yield file


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _check_apart(one: Output, name: str, path: Place) -> None:
    """Raise UsageError if writing `one` would replace the file `place`, or a file that the pattern `place` names."""
    if _hits(one, path):
        raise UsageError(
            f"{one.path}: {one.name} would overwrite {name}, which is read. Give {one.name} another path."
        )
    pattern = os.fspath(path)
    if one.path is None or not glob.has_magic(pattern) or os.path.lexists(pattern):
        return
    if any(_hits(one, matching) for matching in _matching(Path(pattern))):
        raise UsageError(
            f"{one.path}: {one.name} would overwrite a part of {name} ({pattern}), which is read. Give {one.name} "
            "another path."
        )
    if one.inside is None and PurePath(os.path.realpath(one.path)).match(os.path.realpath(pattern)):
        raise UsageError(
            f"{one.path}: {one.name} would become a part of {name} ({pattern}), and be read as data from then on. "
            f"Give {one.name} another name or folder."
        )


def _matching(pattern: Path) -> Iterator[Path]:
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _hits(one: Output, path: Place | None) -> bool:
    """Whether writing `one` replaces what is at `place`."""
    if one.path is None or path is None:
        return False
    return _same(one.path, path) or (
        one.inside is not None
        and _same(one.path, Path(os.path.realpath(path)).parent)
        and fnmatch.fnmatchcase(Path(os.path.realpath(path)).name, one.inside)
    )


def _same(one: Place, other: Place) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with contextlib.suppress(OSError):
        return Path(one).samefile(other)
    return False


def _check_writable(one: Output) -> None:
    """Raise StorageError unless `one` can be written."""
    with storage_errors(one.path or ""):
        target = resolved(Path(one.path or ""))
        if one.added and target.exists() and not target.is_dir():
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, "Permission denied", str(target))
            return
        if one.inside is None:
            _check_file(target)
        else:
            _check_folder(target)
        _check_parent(target)
        folder = target if one.inside is not None and target.exists() else target.parent
        import tempfile

        # A nameless file tells more than the permissions: a disk may be read-only, or the quota be used up.
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(folder)) from None


def _check_file(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, a file name was expected", str(target))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "is a device or pipe, a file name was expected", str(target))


def _check_folder(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, a folder was expected", str(target))


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(target.parent))


def _finish(file: Path, old: Path) -> None:
    """Let a new file of a folder last through a power cut, with the permissions of the old one of its name."""
    handle = os.open(file, os.O_RDONLY)
    try:
        inherit(handle, old)
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap_folder(made: Path, target: Path) -> None:
    if not target.exists():
        made.rename(target)
    elif _exchange(made, target):
        shutil.rmtree(made, ignore_errors=True)
    else:
        aside = fresh(target, OLD)
        target.rename(aside)
        try:
            made.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    done: int = renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    return done == 0


def _cure(number: int | None) -> str:
    return {
        errno.ENOSPC: " Free some space, or write to another disk.",
        errno.EDQUOT: " The disk quota is used up: free some space, or write to another disk.",
        errno.EFBIG: " The file would be larger than allowed here (ulimit -f, or the file system).",
        errno.EEXIST: " Something else lies there: remove it, or choose another name.",
        errno.ENOTDIR: " Choose another path, or remove the file that lies there.",
        errno.ENOENT: " Check the path, and that the folder it lies in exists.",
        errno.EACCES: " Check the permissions of the file and of its folder.",
        errno.EPERM: " Check the permissions of the file and of its folder.",
        errno.EIO: " The disk or the network file system failed: see the system's log, and use another disk.",
        errno.EROFS: " The file system is read-only: choose another destination.",
    }.get(number or 0, "")
