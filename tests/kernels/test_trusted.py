"""Compiled kernels are run as they are found: only where nobody but the user could have put them."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import environment

from streameval.errors import StreamevalWarning
from streameval.kernels import caching
from streameval.kernels.trusted import UntrustedError, private_folder, read_trusted

SOMEBODY = 65_534
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


def given(path: Path, user: int = SOMEBODY) -> Path:
    os.chown(path, user, user, follow_symlinks=False)
    return path


def test_a_new_folder_is_this_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = private_folder(tmp_path / "one" / "two")
    finally:
        os.umask(old)
    assert made == tmp_path / "one" / "two"
    assert [one.stat().st_mode & 0o777 for one in (made, made.parent)] == [0o700, 0o700]
    assert private_folder(made) == made


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
@pytest.mark.parametrize("which", ["itself", "above"])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int, which: str) -> None:
    """Itself in any case; one above it unless a sticky bit keeps what lies there its owner's."""
    inner = tmp_path / "above" / "itself"
    inner.mkdir(parents=True, mode=0o700)
    changed = inner if which == "itself" else inner.parent
    changed.chmod(mode)
    if which == "above" and mode == 0o1777:
        assert private_folder(inner) == inner
        return
    with pytest.raises(UntrustedError, match=rf"{which} belongs to .*mode {mode:04o}.*chmod go-w .*{which}"):
        private_folder(inner)


@root
@pytest.mark.parametrize("which", ["itself", "above"])
def test_a_folder_of_another_user_is_refused(tmp_path: Path, which: str) -> None:
    """Also one that lies in a folder of another user, who could put another one in its place."""
    inner = tmp_path / "above" / "itself"
    inner.mkdir(parents=True, mode=0o700)
    given(inner if which == "itself" else inner.parent)
    with pytest.raises(
        UntrustedError, match=f"{which} belongs to user {SOMEBODY} .*expected user {os.geteuid()}"
    ):
        private_folder(inner)


def test_links_are_followed_to_a_folder_that_is_judged_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "real" / ".." / "link")
    assert private_folder(tmp_path / "again" / "new") == tmp_path / "real" / "new"
    (tmp_path / "real" / "new").chmod(0o777)
    with pytest.raises(UntrustedError, match="real/new belongs to"):
        private_folder(tmp_path / "again" / "new")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UntrustedError, match="circle"):
        private_folder(tmp_path / "circle")


@root
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    """In a folder where all may write: today it leads to a good place, tomorrow to another one."""
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o1777)
    (tmp_path / "mine").mkdir(0o700)
    (tmp_path / "all" / "link").symlink_to(tmp_path / "mine")
    assert private_folder(tmp_path / "all" / "link") == tmp_path / "mine"
    given(tmp_path / "all" / "link")
    with pytest.raises(UntrustedError, match=f"link belongs to user {SOMEBODY}"):
        private_folder(tmp_path / "all" / "link")


@root
def test_a_file_of_another_user_or_one_that_others_may_write_to_is_not_read(tmp_path: Path) -> None:
    """It may be older than the permissions of its folder are."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(0o644)
    assert read_trusted(path) == b"content"
    path.chmod(0o664)
    with pytest.raises(UntrustedError, match="mode 0664"):
        read_trusted(path)
    path.chmod(0o600)
    with pytest.raises(UntrustedError, match=f"belongs to user {SOMEBODY}"):
        read_trusted(given(path))
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError, match="symbolic links"):
        read_trusted(tmp_path / "link")


@pytest.fixture
def fresh_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`cache_folder` as in a new process."""
    caching.cache_folder.cache_clear()
    yield lambda path: monkeypatch.setenv("STREAMEVAL_CACHE_DIR", str(path))
    monkeypatch.undo()
    caching.cache_folder.cache_clear()


def test_a_refused_cache_is_told_once_and_none_is_used(tmp_path: Path, fresh_cache: Any) -> None:
    tmp_path.chmod(0o777)
    fresh_cache(tmp_path)
    with pytest.warns(StreamevalWarning, match=r"compiled anew in every process: .* chmod go-w ") as told:
        assert caching.cache_folder() is None
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert caching.cache_folder() is None
    assert list(tmp_path.iterdir()) == []


class Planted:
    """Whoever unpickles it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


KERNEL = """
    import numpy as np
    from streameval.kernels.compiling import kernel
    @kernel(name="planted")
    def fill(out):
        for i in range(len(out)):
            out[i] = i
    out = np.empty(3)
    fill(out)
    print(out.tolist())
"""


def fill_in_a_process(cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KERNEL)],
        env=environment(STREAMEVAL_CACHE_DIR=str(cache)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("how", ["open to all", "of another user", "file of another user"])
def test_what_another_user_planted_is_not_run(tmp_path: Path, how: str) -> None:
    """The index is replaced by a pickle that runs code: the kernel is compiled instead, and one warning says why."""
    if how != "open to all" and os.geteuid() != 0:
        pytest.skip("only root can give files to other users")
    cache, mark = tmp_path / "cache", tmp_path / "ran"
    assert fill_in_a_process(cache).stderr == ""
    (folder,) = cache.iterdir()
    data = pickle.dumps(Planted(mark))
    for index in folder.glob("*.nbi"):
        index.write_bytes(hashlib.sha256(data).digest() + data)
        if how == "file of another user":
            given(index)
    planted = tmp_path / "planted"
    shutil.copytree(cache, planted)
    if how == "open to all":
        (planted / folder.name).chmod(0o777)
    if how == "of another user":
        given(planted / folder.name)
    done = fill_in_a_process(cache if how == "file of another user" else planted)
    assert done.stdout == "[0.0, 1.0, 2.0]\n"
    assert not mark.exists()
    assert done.stderr.count("StreamevalWarning") == 1


def test_the_same_would_run_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """What the test above would see, were nothing refused."""
    cache, mark = tmp_path / "cache", tmp_path / "ran"
    fill_in_a_process(cache)
    data = pickle.dumps(Planted(mark))
    for index in cache.glob("*/*.nbi"):
        index.write_bytes(hashlib.sha256(data).digest() + data)
    fill_in_a_process(cache)
    assert mark.exists()
