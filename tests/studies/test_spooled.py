"""Losses spooled to a nameless mapped file: the same as in memory, gone afterwards, whatever happens."""

from __future__ import annotations

import contextlib
import mmap
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import small_networks as small
from command_line import in_process, streameval

import streameval as se
from streameval.errors import DataError, LabelError, StorageError
from streameval.losses import CrossEntropy
from streameval.scoring.scorer import Budget
from streameval.studies.spooled import spooled_array, spooled_losses


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def model_and_rows(n=40_000, seed=0):
    model = se.Mlp(se.Layer(*layer) for layer in small.network([6, 5, 4], ["relu"], seed=seed))
    return model, (small.pixels("mixed", n, 6, seed=seed), small.labels(n, 4, seed=seed))


def kept_files():
    """Deleted files that this process holds open."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            place = str(handle.readlink())
            if "(deleted)" in place:
                found.append(place)
    return found


def test_they_are_the_losses_of_every_model_and_the_labels(folder):
    one, data = model_and_rows()
    other, _ = model_and_rows(n=1, seed=1)
    source = se.open(data)
    with spooled_losses([one, other], source, CrossEntropy()) as spooled:
        for model, losses, report in zip((one, other), spooled.losses, spooled.reports, strict=True):
            assert np.array_equal(losses, se.per_sample_losses(model, data))
            assert report.digest == se.evaluate(model, data).digest
        assert np.array_equal(spooled.labels, data[1])
        assert [scorer.model for scorer in spooled.scorers] == [one, other]
        assert spooled.seconds_per_row > 0


def test_they_are_mapped_and_not_held_in_memory(folder):
    model, data = model_and_rows()
    with spooled_losses([model], se.open(data), CrossEntropy()) as spooled:
        base = spooled.losses[0]
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap.mmap)
        assert list(folder.iterdir()) == []
        assert any(str(folder) in place for place in kept_files())
        with pytest.raises(ValueError, match="read-only"):
            spooled.losses[0][0] = 0.0
    del spooled, base  # the file goes with the last that looks at it
    assert not any(str(folder) in place for place in kept_files())


def test_nothing_is_left_after_an_error_in_the_pass_or_in_the_block(folder):
    model, (x, t) = model_and_rows()
    wrong = t.copy()
    wrong[30_000] = 4
    with (
        pytest.raises(LabelError, match="row 30000"),
        spooled_losses([model], se.open((x, wrong)), CrossEntropy()),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), spooled_losses([model], se.open((x, t)), CrossEntropy()):
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []
    assert not any(str(folder) in place for place in kept_files())


def test_a_row_that_is_not_finite_is_refused(folder):
    model, _ = model_and_rows(1)
    x = np.zeros((20_000, 6), np.float32)
    x[17_000, 3] = np.nan
    with (
        pytest.raises(DataError, match="row 17000"),
        spooled_losses([model], se.open((x, np.zeros(20_000, np.int64))), CrossEntropy()),
    ):
        pass


def test_a_loss_too_large_to_count_is_refused_for_what_it_is(folder):
    """Finite in every part, but over what the exact sum holds."""
    model = se.Mlp([se.Layer(np.float32([[0.0, 5e6]]), np.zeros(2), "identity")])
    data = np.ones((3, 1), np.float32), np.array([1, 1, 0])
    assert np.isfinite(se.per_sample_losses(model, (data[0][:2], data[1][:2]), eps=0.0)).all()
    with (
        pytest.raises(DataError, match=r"row 2: .*or the loss is over 4e6 "),
        spooled_losses([model], se.open(data), CrossEntropy(eps=0.0)),
    ):
        pass


def test_memory_that_is_short_changes_no_loss_and_too_little_is_refused(folder):
    one, data = model_and_rows()
    other, _ = model_and_rows(n=1, seed=1)
    source = se.open(data)
    with spooled_losses([one, other], source, CrossEntropy(), budget=Budget(max_memory=16 << 20)) as spooled:
        for model, losses, report in zip((one, other), spooled.losses, spooled.reports, strict=True):
            assert np.array_equal(losses, se.per_sample_losses(model, data))
            assert report.resources.max_memory_bytes == 16 << 20
    del spooled, losses
    with (
        pytest.raises(StorageError, match=r"max_memory: 1048576 bytes, but .* Allow more memory"),
        spooled_losses([one, other], source, CrossEntropy(), budget=Budget(max_memory=1 << 20)),
    ):
        pass
    assert not any(str(folder) in place for place in kept_files())


def test_pieces_become_one_array(folder):
    with spooled_array(iter([np.arange(3.0), np.arange(3.0, 10_000.0)])) as found:
        assert np.array_equal(found, np.arange(10_000.0))


def test_a_full_disk_ends_with_5_and_leaves_nothing(tmp_path, digits_file, network_file):
    """The limit on the size of a file makes the write of 24,000 bytes of losses fail, as a full disk would."""
    in_process("compare", network_file, digits_file, "--trials", "5")  # kernels compiled and kept

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = streameval(
        "compare",
        network_file,
        digits_file,
        "--trials",
        "5",
        env={"TMPDIR": str(tmp_path)},
        preexec_fn=small_files,
    )
    assert done.returncode == 5, done.stderr
    assert str(tmp_path) in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
