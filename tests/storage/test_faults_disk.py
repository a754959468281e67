"""Disks that fail or are full while they are read from and written to: 5, no half result, nothing old lost."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import in_process, result, streameval
from long_runs import drawn, network

import streameval as se
from streameval.defaults import IO
from streameval.engines.local import Local
from streameval.errors import StorageError, UnwrittenWarning
from streameval.evaluation import checkpoint
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.passes import Failure

PAGE = 4096
# Of the rows, so many bytes are in memory: more than are looked at before the pass begins.
KNOWN = 1 << 18


def mounted(*arguments: object) -> None:
    """Mount something, or skip."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextlib.contextmanager
def disk(image: Path, at: Path, *options: str) -> Iterator[Path]:
    """A file system that lies in a file."""
    at.mkdir(exist_ok=True)
    mounted("-o", ",".join(("loop", *options)), image, at)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def known(path: Path, length: int) -> None:
    """Let the system have the first bytes of a file in memory, and none behind them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
        assert len(os.pread(handle, length, 0)) == length
    finally:
        os.close(handle)


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Path]:
    """A data set of .npy files on a disk that has lost most of its blocks since it was mounted."""
    image, at = tmp_path / "disk", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(48 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be made here: {error}")
    x, t = drawn(1_000_000)
    with disk(image, at):
        (at / "data").mkdir()
        np.save(at / "data" / "images.npy", x)
        np.save(at / "data" / "labels.npy", t.astype(np.uint8))
    with disk(image, at, "ro"):
        for name, length in (("images.npy", KNOWN), ("labels.npy", len(t))):
            known(at / "data" / name, length)
        assert sorted(one.name for one in (at / "data").iterdir()) == ["images.npy", "labels.npy"]
        (at / "data" / "manifest.json").exists()
        os.truncate(image, PAGE)
        with pytest.raises(OSError, match="Input/output error"):
            (at / "data" / "images.npy").read_bytes()
        yield at / "data"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    network().save(path)
    return path


@pytest.mark.parametrize("io", IO)
def test_a_disk_that_fails_under_a_pass_ends_it_with_5(
    failing: Path, model: Path, tmp_path: Path, io: str
) -> None:
    out = tmp_path / "losses.arrow"
    done = streameval("evaluate", model, failing, "--io", io, "--losses", out, "--json", "--threads", 1)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert done.stderr.startswith(f"streameval: error: {failing}"), done.stderr
    assert "Input/output error" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_rows_by_number_from_a_disk_that_fails_are_5_too(failing: Path, model: Path) -> None:
    done = streameval("minibatch", model, failing, "--io", "pread", "--size", 100, "--json")
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert f"{failing / 'images.npy'}: Input/output error" in done.stderr


ROWS = 100_003


class EndedError(Exception):
    """What ends a pass in the middle."""


class Breaks:
    """Ends a pass after three chunks."""

    def __init__(self) -> None:
        self.chunks = 0

    def started(self, event: Any) -> None: ...

    def finished(self, report: Any) -> None: ...

    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self.chunks += 1
        if self.chunks == 3:
            raise EndedError


@pytest.fixture
def kept(data: Path, tmp_path: Path) -> Iterator[Path]:
    """The checkpoint of a pass that was ended in the middle, on a disk that has become full since."""
    at = tmp_path / "small"
    at.mkdir()
    mounted("-t", "tmpfs", "-o", "size=128k", "tmpfs", at)
    try:
        path = at / "checkpoint"
        options = PassOptions(checkpoint=Checkpoint(path, every=0), callbacks=[Breaks()])
        with pytest.raises(EndedError):
            se.evaluate(network(), data, chunk_rows=9_999, options=options)
        assert path.exists()
        with contextlib.suppress(OSError), (at / "else").open("wb", buffering=0) as full:
            while True:
                full.write(bytes(PAGE))
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def test_a_pass_whose_checkpoint_finds_no_room_gives_its_result(
    data: Path, whole: se.Report, kept: Path
) -> None:
    """The old checkpoint stays as it was, nothing is left beside it, and a later pass goes on from it."""
    before = kept.read_bytes()
    options = PassOptions(checkpoint=Checkpoint(kept, every=0))
    with (
        pytest.warns(se.errors.StreamevalWarning, match=r"No space left.*the pass goes on"),
        pytest.warns(UnwrittenWarning, match=r"No space left.*its result holds"),
    ):
        report = se.evaluate(network(), data, chunk_rows=9_999, options=options)
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert kept.read_bytes() == before
    assert sorted(one.name for one in kept.parent.iterdir()) == ["checkpoint", "else"]

    (kept.parent / "else").unlink()
    again = se.evaluate(network(), data, options=PassOptions(checkpoint=kept))
    assert again.digest == whole.digest
    assert not kept.exists()


def test_the_command_gives_the_result_and_ends_with_5(
    data: Path, model: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every write to a full disk does; with room for the checkpoint again it is 0."""
    fast = itertools.count(0, 10)
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: next(fast)))
    command = ("evaluate", model, data, "--checkpoint", kept, "--chunk-rows", 9_999, "--json")
    before = kept.read_bytes()
    done = in_process(*command)
    assert done.returncode == 5, done.stderr
    assert [line.partition("small/")[0] for line in done.stderr.splitlines()] == [
        f"streameval: warning: {kept.parent.parent}/"
    ] * 2
    assert "Free some space" in done.stderr
    assert kept.read_bytes() == before

    (kept.parent / "else").unlink()
    again = result(*command)
    assert again["digest"] == json.loads(done.stdout)["digest"]
    assert list(kept.parent.iterdir()) == []


class Fails(Local):
    """An engine that cannot compute the last span."""

    def map(self, spec: Any, tasks: Any) -> Iterator[Any]:
        yield from super().map(spec, tasks[:-1])
        yield Failure(tasks[-1].span, "it is gone.")


def test_an_incomplete_pass_that_cannot_be_kept_says_both(data: Path, kept: Path) -> None:
    before = kept.read_bytes()
    options = PassOptions(checkpoint=kept, engine=Fails(9_999))
    with pytest.raises(
        StorageError, match=r"it is gone\..* This time they are not: .*No space left"
    ) as caught:
        se.evaluate(network(), data, options=options)
    assert caught.value.exit_code == 5
    assert kept.read_bytes() == before
