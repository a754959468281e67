"""Whether what lies in a folder was put there by this user: machine code and pickles are run as they are found.

Knows owners, modes and links. Does not know what the folder is for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40


class UntrustedError(Exception):
    """Another user could have put something there; the text says where, and what to do."""


def private_folder(path: Path) -> Path:
    """Make a folder and those above it, where missing, for this user alone (0700); return it with no link in its path.

    Raises UntrustedError if another user than this one and root can change it, a folder above it, or a link on the way;
    OSError if it cannot be made.
    """
    place, links = Path("/"), 0
    left = list(reversed(Path(path).absolute().parts[1:]))
    while left:
        _check_folder(place, last=False)
        entry = place / left.pop()
        try:
            found = entry.lstat()
        except FileNotFoundError:
            entry.mkdir(0o700)
            found = entry.lstat()
        if not stat.S_ISLNK(found.st_mode):
            place = entry
            continue
        _check_owner(entry, found)
        links += 1
        if links > _MOST_LINKS:
            raise UntrustedError(f"{path} leads in a circle of symbolic links")
        target = entry.readlink()
        left += reversed([part for part in target.parts if part != target.anchor])
        place = Path("/") if target.is_absolute() else place
    place = Path(os.path.normpath(place)) if ".." in place.parts else place
    _check_folder(place, last=True)
    return place


def read_trusted(path: Path) -> bytes:
    """The content of a file of a private folder. Raises UntrustedError if another user made it or could change it."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
            raise UntrustedError(
                f"{path} {_described(found)}, expected a file that this user alone can write"
            )
        return file.read()


def _check_folder(place: Path, *, last: bool) -> None:
    """On the way root may be the owner, and all may write where a sticky bit keeps entries their owners'."""
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "Not a directory", str(place))
    _check_owner(place, found, root=not last)
    if found.st_mode & _OTHERS and (last or not found.st_mode & stat.S_ISVTX):
        raise UntrustedError(
            f"{place} {_described(found)}, so that others can put files there. If it is yours alone, and nobody else "
            f"wrote there, type: chmod go-w {place}"
        )


def _check_owner(place: Path, found: os.stat_result, *, root: bool = True) -> None:
    if found.st_uid != os.geteuid() and not (root and found.st_uid == 0):
        raise UntrustedError(f"{place} {_described(found)}, expected user {os.geteuid()}")


def _described(found: os.stat_result) -> str:
    return f"belongs to user {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):04o}"
