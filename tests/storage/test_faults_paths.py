"""Paths of any kind, missing, closed, or in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_files import idx_pair, names, python, stored

from streameval import storage
from streameval.errors import DataError, StorageError, UsageError


@pytest.mark.parametrize(
    "name", ["with space", "日本語 データ", "näme", "[x]", "a*b", "?", "-n", "new\nline"]
)
def test_paths_of_any_kind_work(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    pair = idx_pair(folder, 100)
    prints = {storage.open(pair).fingerprint}
    for dest in (folder / f"{name}.arrow", folder / name):
        prints.add(storage.open(str(storage.convert(*pair, dest))).fingerprint)
    prints.add(storage.open(str(folder)).fingerprint)
    assert len(prints) == 1


CALLS = {
    "open": lambda path: storage.open(path),
    "pair": lambda path: storage.open((path, path)),
    "convert": lambda path: storage.convert(path, path, path.with_name("out")),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_file_is_named(tmp_path, call):
    with pytest.raises(StorageError, match=r"missing\.arrow: No such file or directory\. Check the path"):
        CALLS[call](tmp_path / "missing.arrow")


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="pipe: is not a regular file"):
        storage.open(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"a folder without \.arrow, .* files"):
        storage.open(tmp_path)
    with pytest.raises(StorageError, match="is not a regular file"):
        storage.open((tmp_path, tmp_path))


def test_a_missing_folder_for_the_output_is_named(tmp_path):
    with pytest.raises(StorageError, match="absent: the folder does not exist"):
        stored(tmp_path / "absent" / "a.arrow")


def test_a_folder_that_holds_other_files_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("kept")
    with pytest.raises(UsageError, match=r"holds other files \(letter\.txt\)"):
        stored(tmp_path / "home")
    with pytest.raises(StorageError, match="is a folder"):
        stored(tmp_path / "home", format="arrow")
    assert names(tmp_path) == ["home"]
    assert names(tmp_path / "home") == ["letter.txt"]


def test_missing_permissions_are_named(tmp_path):
    """As a user without rights: root would be let through."""
    path = stored(tmp_path / "a.arrow", 10)
    path.chmod(0)
    (tmp_path / "closed").mkdir(mode=0o500)
    code = """
        import os, sys
        sys.path.insert(0, sys.argv[3])
        from streameval import storage
        from streameval.errors import StorageError
        import numpy, pyarrow
        storage.open, storage.create
        from streameval.storage import npy_writer
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for call in (
            lambda: storage.open(sys.argv[1]),
            lambda: storage.create(sys.argv[2], [], rows=0, shape=(2,), dtype="uint8"),
        ):
            try:
                call()
            except StorageError as error:
                print(error)
    """
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    root = Path(__file__).resolve().parent.parent.parent
    with python(code, path, tmp_path / "closed" / "b.arrow", root) as reader:
        said, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    first, second = said.splitlines()
    assert first == f"{path}: Permission denied. Check the permissions of the file and of its folder."
    assert second.startswith(f"{tmp_path}/closed/b.arrow: Permission denied.")
