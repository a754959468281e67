"""The hidden files beside an output: names that no other file has, locks that die with their owner, permissions.

Knows names, flock and modes. Does not know what is written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from streameval.errors import LockedError, StorageError

NAME_BYTES = 180
PART, OLD, LOCK = ".part", ".old", ".lock"
_TOKEN_DIGITS, _PROOF_DIGITS = 12, 8
_MOST_LINKS = 40
_ACCESS_LIST = "system.posix_acl_access"
# A hidden file is opened for its lock alone: never through a link, and never waiting for the writer of a pipe.
_QUIETLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def resolved(path: Path) -> Path:
    """Where an output at `path` goes: to the end of symbolic links, which stay what they are.

    Raises OSError for links in a circle, and for one that another user put where anybody may put one.
    """
    end, links = path, 0
    while end.is_symlink():
        _check_link(end)
        end, links = end.parent / end.readlink(), links + 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return Path(os.path.realpath(path)) if links else path


def fresh(target: Path, suffix: str) -> Path:
    """A new hidden name beside `target`, which `is_ours` recognises."""
    token = secrets.token_hex(_TOKEN_DIGITS // 2)
    return target.with_name(f".{stem(target)}.{token}{_proof(target, token, suffix)}{suffix}")


def is_ours(name: str, target: Path) -> bool:
    """Whether `fresh` made this name for `target`: its last digits hash the others and the target's name."""
    start = f".{stem(target)}."
    end = Path(name).suffix
    middle = name[len(start) : -len(end) or None]
    if not name.startswith(start) or end not in (PART, OLD) or len(middle) != _TOKEN_DIGITS + _PROOF_DIGITS:
        return False
    return middle[_TOKEN_DIGITS:] == _proof(target, middle[:_TOKEN_DIGITS], end)


def begin_file(target: Path) -> tuple[Path, int]:
    """Make a hidden file that will take the place of `target`; return it and a descriptor that holds its lock.

    Nobody else may read it until `inherit`, if there is an output whose permissions it will get.
    """
    mode = 0o600 if target.exists() else 0o666
    while True:
        made = fresh(target, PART)
        handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if _held(handle, made):
            return made, handle
        os.close(handle)


def begin_folder(target: Path) -> tuple[Path, int]:
    """As `begin_file`, for a folder."""
    mode = 0o700 if target.exists() else 0o777
    while True:
        made = fresh(target, PART)
        made.mkdir(mode)
        handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _held(handle, made):
            return made, handle
        os.close(handle)


def inherit(handle: int, old: Path) -> None:
    """Give an open file or folder the mode, access list and owner of `old`, which it replaces, as far as one may.

    Where the group cannot be kept, another one gets no more than everybody has. Without `old` nothing is changed.
    """
    try:
        was = old.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(was.st_mode) & (0o7777 if stat.S_ISDIR(was.st_mode) else 0o777)
    if not _give(handle, was.st_uid, was.st_gid) and not _give(handle, -1, was.st_gid):
        mode = mode & ~0o070 | (mode & 0o007) << 3
    # Some file systems have no modes, and most files no access list.
    with contextlib.suppress(OSError):
        os.fchmod(handle, mode)
    if hasattr(os, "getxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(handle, _ACCESS_LIST, os.getxattr(old, _ACCESS_LIST))


def remove_abandoned(target: Path) -> None:
    """Remove what writers of `target` that died left beside it, and nothing else. For who holds the lock on it.

    Removed is what has a name that only `fresh` gives, and is not held by a living writer. An output that was only
    moved aside when its writer died is put back.
    """
    for entry in list(target.parent.iterdir()):
        if not is_ours(entry.name, target):
            continue
        # What is gone by now, a link, or another user's, is left alone.
        with contextlib.suppress(OSError):
            handle = _open(entry)
            try:
                if _claim(handle, entry):
                    _remove(entry, target)
            finally:
                os.close(handle)


def hold(target: Path) -> tuple[Path, int]:
    """Take the lock on `target`: return the hidden file that stands for it, and the descriptor that holds it.

    Raises LockedError if another process has it, StorageError if another user's file keeps everybody from it.
    """
    beside = target.with_name(f".{stem(target)}{LOCK}")
    while True:
        handle = _open_lock(beside, target)
        try:
            # The last owner may have removed the file between our open and our flock: then lock the new one.
            if _claim(handle, beside):
                return beside, handle
        except BlockingIOError:
            os.close(handle)
            raise LockedError(
                f"{target}: another process is writing it. Wait for it to end, or choose another destination."
            ) from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def give_back(beside: Path, handle: int) -> None:
    """Give a lock back. Its file goes too, but for one that somebody wrote into, or that is not ours to remove."""
    with contextlib.suppress(OSError):
        if os.fstat(handle).st_size == 0 and _is(beside, handle):
            beside.unlink()
    os.close(handle)


def stem(target: Path) -> str:
    """The name that hidden companions of `target` begin with, short enough for any file system."""
    raw = os.fsencode(target.name)
    if len(raw) <= NAME_BYTES:
        return target.name
    return raw[: NAME_BYTES - 20].decode(errors="ignore") + hashlib.sha256(raw).hexdigest()[:16]


def _proof(target: Path, token: str, suffix: str) -> str:
    content = b"\0".join((b"streameval", os.fsencode(target.name), token.encode(), suffix.encode()))
    return hashlib.sha256(content).hexdigest()[:_PROOF_DIGITS]


def _check_link(path: Path) -> None:
    """What Linux checks where fs.protected_symlinks is set, which is not so everywhere."""
    folder, link = path.parent.stat(), path.lstat()
    anybody = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if anybody and link.st_uid not in (os.geteuid(), folder.st_uid):
        raise PermissionError(
            errno.EACCES,
            "is a symbolic link of another user, in a folder where anybody may put one",
            str(path),
        )


def _held(handle: int, made: Path) -> bool:
    """Whether what was just made is ours for good. Who looks for leftovers may have had it first, and removes it."""
    try:
        return _claim(handle, made)
    except BlockingIOError:
        return False
    except OSError:
        return True  # A file system without locks: there nobody removes leftovers either.


def _claim(handle: int, path: Path) -> bool:
    """Lock what is open; False if it is not what lies at `path` by now. Raises BlockingIOError if another has it."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return _is(path, handle)


def _is(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    """Open for a lock: network file systems want to write for that, local ones take what may only be read."""
    try:
        return os.open(path, os.O_RDWR | _QUIETLY)
    except (PermissionError, IsADirectoryError):
        return os.open(path, os.O_RDONLY | _QUIETLY)


def _open_lock(beside: Path, target: Path) -> int:
    while True:
        try:
            handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            pass
        else:
            # It says nothing, and whoever may write here must be able to lock it, also after we are killed.
            with contextlib.suppress(OSError):
                os.fchmod(handle, 0o666)
            return handle
        try:
            return _open(beside)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ELOOP):
                raise
            raise StorageError(
                f"{target}: its lock {beside} belongs to user {beside.lstat().st_uid}, and cannot be opened "
                f"({error.strerror}). Have it removed if that user writes nothing here, or choose another destination."
            ) from error


def _give(handle: int, user: int, group: int) -> bool:
    try:
        os.fchown(handle, user, group)
    except OSError:
        return False
    return True


def _remove(entry: Path, target: Path) -> None:
    if entry.suffix == OLD and not os.path.lexists(target):
        entry.rename(target)
    elif entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink()
