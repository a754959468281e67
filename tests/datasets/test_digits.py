"""Drawn digits: the same bytes everywhere, as sparse as MNIST, and a network that reads them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import naive_digits
import numpy as np
import pytest
from command_line import needs_proc
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.stats import chi2

from streameval.datasets.digits import STYLES, demo_network_path, digits, draw
from streameval.errors import StorageError, UsageError
from streameval.models import load

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = st.integers(0, 2**64 - 1)

# SHA-256 of 50,000 rows of seed 1, images, then labels as little-endian int64: enough rows that threads do
# run at the same time. It is here so that no one changes the digits by accident: files and digests that users
# hold depend on them. A change on purpose needs a line in CHANGELOG.md, the demo network trained again, and
# only then the new hash here.
PINNED = "ce8d77c1e8aaa4ceaf46dfdbf20a7e247f89b5871d275facd3ee52b75308f485"

HASH_PINNED_ROWS = """
import hashlib
from streameval.datasets.digits import draw
x, t = draw(0, 50_000, seed=1)
print(hashlib.sha256(x.tobytes() + t.astype("<i8").tobytes()).hexdigest())
"""
HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+sse4.2,+popcnt"}


@given(SEEDS, st.integers(0, 2**63 - 4))
@settings(max_examples=60, deadline=None)
def test_a_row_is_what_the_obvious_drawing_gives(seed, row):
    """Seeds and rows up to the last ones; three rows each."""
    images, labels = draw(row, row + 3, seed=seed)
    for k in range(3):
        image, label = naive_digits.draw_row(STYLES, seed, row + k)
        assert labels[k] == label
        np.testing.assert_array_equal(images[k], image)


def test_every_style_is_drawn_as_the_obvious_drawing_does():
    """300 rows meet each of the styles; the twin parses the strokes by itself."""
    images, labels = draw(0, 300, seed=3)
    met = set()
    for row in range(300):
        image, label = naive_digits.draw_row(STYLES, 3, row)
        met.add((label, naive_digits.Hand(3, row).pick(1, len(STYLES[label]))))
        assert labels[row] == label
        np.testing.assert_array_equal(images[row], image)
    assert met == {(label, k) for label, styles in STYLES.items() for k in range(len(styles))}


def test_the_twin_has_the_published_splitmix64():
    """The first outputs of SplitMix64 for seed 1234567, as other implementations list them."""
    words = [naive_digits.splitmix(1234567, k) for k in range(3)]
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(SEEDS, st.integers(0, 2**40), st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_rows_do_not_depend_on_where_they_are_cut(seed, start, before, after):
    """Any cut, empty parts too, gives the bytes of the whole."""
    whole, labels = draw(start, start + before + after, seed=seed)
    left, right = (
        draw(start, start + before, seed=seed),
        draw(start + before, start + before + after, seed=seed),
    )
    np.testing.assert_array_equal(np.concatenate([left[0], right[0]]), whole)
    np.testing.assert_array_equal(np.concatenate([left[1], right[1]]), labels)


def test_rows_are_the_pinned_ones():
    images, labels = draw(0, 50_000, seed=1)
    assert images.dtype == np.uint8
    assert images.shape == (50_000, 28, 28)
    assert labels.dtype == np.int64
    assert labels.shape == (50_000,)
    assert hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest() == PINNED


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_the_pinned_ones_on_any_number_of_threads(threads):
    assert _in_a_process(NUMBA_NUM_THREADS=str(threads)) == PINNED


@needs_proc
def test_rows_are_the_pinned_ones_on_an_older_machine():
    """Compiled for AVX2 instead of what this machine has: other vectors, the same bytes."""
    if platform.machine() != "x86_64" or "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("needs an x86-64 machine with AVX2")
    assert _in_a_process(**HASWELL) == PINNED


def test_digits_are_about_as_sparse_as_mnist():
    """MNIST's 60,000 rows: 19.1 % of the pixels are not 0, and 28.4 % of the aligned groups of four."""
    images, _ = draw(0, 20_000, seed=5)
    assert (images > 0).mean() == pytest.approx(0.191, abs=0.008)
    assert (images.reshape(-1, 4) > 0).any(axis=1).mean() == pytest.approx(0.284, abs=0.010)
    share = (images > 0).mean(axis=(1, 2))
    assert np.quantile(share, [0.05, 0.5, 0.95]) == pytest.approx([0.102, 0.191, 0.279], abs=0.02)


def test_digits_are_placed_as_in_mnist():
    """The middle of the ink at (14, 14), the longer side 20 pixels and a little."""
    images, _ = draw(0, 20_000, seed=6)
    ink = images.astype(float)
    total = ink.sum(axis=(1, 2))
    down = (ink.sum(axis=2) @ np.arange(28)) / total
    across = (ink.sum(axis=1) @ np.arange(28)) / total
    assert (down.mean(), across.mean()) == pytest.approx((14.0, 14.0), abs=0.1)
    assert max(down.std(), across.std()) < 0.5  # MNIST: 0.29
    height = (images > 0).any(axis=2).sum(axis=1)
    width = (images > 0).any(axis=1).sum(axis=1)
    assert np.maximum(height, width).mean() == pytest.approx(20.5, abs=1.0)
    assert np.maximum(height, width).min() >= 15


def test_labels_are_uniform_and_one_row_tells_nothing_of_the_next():
    """Chi-square over 200,000 labels and over pairs of neighbours; false alarms: 1 in 1,000 seeds each."""
    labels = np.concatenate([draw(start, start + 20_000, seed=8)[1] for start in range(0, 200_000, 20_000)])
    _assert_uniform(np.bincount(labels, minlength=10))
    _assert_uniform(np.bincount(labels[::2] * 10 + labels[1::2], minlength=100))


def test_neighbouring_seeds_have_nothing_in_common():
    """Row k of seed s is not row k' of seed s' for small numbers: no two of 20 x 500 images are alike."""
    seen = {image.tobytes() for seed in range(20) for image in draw(0, 500, seed=seed)[0]}
    assert len(seen) == 20 * 500


def test_the_demo_network_reads_fresh_digits():
    """At least 95 % right, a mean loss of about 0.1 and a long tail, on rows that it was not trained on."""
    logits, labels = _logits(20_000, seed=77)
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]

    assert (logits.argmax(axis=1) == labels).mean() >= 0.95
    assert 0.1 <= losses.mean() <= 0.25
    assert losses.std() > 3 * losses.mean()  # MNIST and the article's network: 0.675 and 0.224
    assert np.median(losses) < 0.03


def test_the_demo_network_loads_as_a_sigmoid_network():
    model = load(demo_network_path())
    assert model.sizes == (784, 50, 100, 10)
    assert model.activations == ("sigmoid", "sigmoid", "identity")
    with safe_open(demo_network_path(), "numpy") as file:
        assert file.metadata() == {"activations": "sigmoid,sigmoid,identity"}


@pytest.mark.parametrize("name", ["drawn.arrow", "drawn"])
def test_a_written_data_set_holds_the_drawn_rows(tmp_path, name):
    """More than one block and a ragged end; a folder of .npy files unless the name ends in .arrow."""
    from streameval import storage

    steps = []
    path = digits(
        tmp_path / name, rows=16_384 + 77, seed=9, progress=lambda done, rows: steps.append((done, rows))
    )
    assert path == tmp_path / name
    assert steps[-1] == (16_461, 16_461)
    images, labels = draw(0, 16_461, seed=9)
    source = storage.open(path)
    try:
        assert (source.rows, source.shape, source.classes) == (16_461, (28, 28), 10)
        chunk = source.take(np.arange(16_461))
        np.testing.assert_array_equal(chunk.x, images.reshape(-1, 784))
        np.testing.assert_array_equal(chunk.t, labels)
    finally:
        source.close()


def test_a_longer_data_set_starts_with_the_rows_of_a_shorter_one():
    short, long = draw(0, 100, seed=4), draw(0, 1000, seed=4)
    np.testing.assert_array_equal(long[0][:100], short[0])
    np.testing.assert_array_equal(long[1][:100], short[1])


def test_no_rows_are_an_empty_block():
    images, labels = draw(5, 5, seed=0)
    assert (images.shape, labels.shape) == ((0, 28, 28), (0,))


@pytest.mark.parametrize(
    ("start", "stop", "seed", "says"),
    [
        (3, 2, 0, "rows 3:2"),
        (-1, 2, 0, "rows -1:2"),
        (0, 2**63, 0, "2\\*\\*63"),
        (0, 1, -1, "seed -1 is out of range. Give a whole number from 0"),
        (0, 1, 2**64, "2\\*\\*64 - 1"),
        (0, 1.5, 0, "stop=1.5 is not a whole number"),
        (0, 1, "x", "seed='x' is not a whole number"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_cure(start, stop, seed, says):
    with pytest.raises(UsageError, match=says):
        draw(start, stop, seed=seed)


@pytest.mark.parametrize(("rows", "seed"), [(-1, 0), (1, -1), (1.5, 0)])
def test_what_cannot_be_written_is_refused_before_anything_is_made(tmp_path, rows, seed):
    with pytest.raises(UsageError, match="Give"):
        digits(tmp_path / "drawn.arrow", rows=rows, seed=seed)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        digits(tmp_path / "nowhere" / "drawn.arrow", rows=10)


@pytest.mark.slow
def test_the_training_script_makes_a_network_like_the_one_shipped(tmp_path):
    """From the same seeds; the machine's matrix product may change the last bits and, step by step, more."""
    said = _run("examples/train_demo_network.py", tmp_path / "network.safetensors")
    right = float(re.search(r"([\d.]+)% right", said).group(1))
    assert right == pytest.approx(96.4, abs=0.6)
    trained, shipped = load(tmp_path / "network.safetensors"), load(demo_network_path())
    assert (trained.sizes, trained.activations) == (shipped.sizes, shipped.activations)


def test_the_batch_job_leaves_a_report_or_an_exit_code(tmp_path):
    path = digits(tmp_path / "drawn.arrow", rows=2000, seed=12)
    _run("examples/batch_job.py", demo_network_path(), path, tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"] == 2000
    logits, labels = _logits(2000, seed=12)
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(2000), labels]
    assert report["loss"] == pytest.approx(losses.mean(), abs=1e-5)

    path.write_bytes(path.read_bytes()[:1000])
    said = _run("examples/batch_job.py", demo_network_path(), path, tmp_path / "other.json", code=3)
    assert "drawn.arrow" in said
    assert not (tmp_path / "other.json").exists()


def test_the_article_runs_step_by_step(mnist_dir):
    said = _run("examples/article.py", mnist_dir, mnist_dir / "sample_weight.pkl")
    assert "all 60000 rows: 0.2240008" in said
    assert "x_train (60000, 784) float32" in said
    one_hot, labels, again = re.findall(r"mini-batch(?:, [a-z-]+ [a-z]+)?: +([\d.]+)\n", said)
    assert float(one_hot) == pytest.approx(float(labels), abs=1e-7)
    assert float(one_hot) == pytest.approx(float(again), abs=1e-6)


def _logits(rows, *, seed):
    """Return the demo network's outputs in float64 for `rows` drawn digits, and their labels."""
    network = load_file(demo_network_path())
    images, labels = draw(0, rows, seed=seed)
    z = images.reshape(-1, 784) / 255.0
    for k in (1, 2):
        z = 1 / (1 + np.exp(-(z @ network[f"W{k}"] + network[f"b{k}"])))
    return z @ network["W3"] + network["b3"], labels


def _run(*words, code=0):
    """Run a Python script of the repository; return what it says, after checking its exit code."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def _assert_uniform(counts):
    expected = counts.sum() / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(counts) - 1)


def _in_a_process(**settings):
    done = subprocess.run(
        [sys.executable, "-c", HASH_PINNED_ROWS],
        env=os.environ | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
