"""What the control groups of Linux allow this process: folders of its own group and of those around it.

Knows versions 1 and 2 of the file system. Does not know what a limit means for whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def settings(controller: str, unified: str, legacy: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what one setting says in this process's own group and in each group around it, where it can be read.

    controller   "cpu" or "memory": the folder of version 1
    unified      the file of version 2; its words are yielded
    legacy       the files of version 1; the first word of each is yielded
    """
    for folder in _own_folders(controller):
        try:
            yield tuple((folder / unified).read_text().split())
        except OSError:
            try:
                yield tuple((folder / name).read_text().split()[0] for name in legacy)
            except (OSError, IndexError):
                continue


def _own_folders(controller: str) -> list[Path]:
    """This process's folders, version 2 or 1, with their parents up to the roots."""
    folders = [_ROOT, _ROOT / controller]
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            base = _ROOT if controllers == "" else _ROOT / controller
            own = base / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if base in parent.parents)]
    return folders
