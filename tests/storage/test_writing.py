"""Writing: any batches become the same blocks, real MNIST survives conversion, pages are given back."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval import storage
from streameval.errors import DataError, LabelError, UsageError
from streameval.storage import Span, formats
from streameval.storage.columns import column_of

CONTENT = {  # SHA-256 of the decompressed files
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=5), st.sampled_from(["a.arrow", "a"]))
def test_batches_of_any_lengths_give_the_same_bytes(tmp_path_factory, lengths, name):
    folder = tmp_path_factory.mktemp("any")
    rows = sum(lengths)
    x = (np.arange(rows * 2) % 251).astype(np.uint8).reshape(rows, 2)
    t = np.arange(rows) % 10
    ends = np.cumsum([0, *lengths])
    cut = [(x[a:b], t[a:b]) for a, b in itertools.pairwise(ends)]
    made = []
    for number, batches in enumerate((cut, [(x, t)])):
        dest = folder / str(number) / name
        dest.parent.mkdir()
        storage.create(dest, batches, rows=rows, shape=(2,), dtype="uint8", classes=10)
        files = sorted(dest.iterdir()) if dest.is_dir() else [dest]
        made.append([file.read_bytes() for file in files])
    assert made[0] == made[1]
    assert storage.open(dest).fingerprint == storage.open((x, t)).fingerprint


@pytest.mark.parametrize(
    ("classes", "dtype"), [(2, "u1"), (256, "u1"), (257, "u2"), (70_000, "u4"), (None, "i8")]
)
def test_labels_are_stored_as_small_as_their_classes_allow(tmp_path, classes, dtype):
    t = np.array([0, 1, (classes or 2**40) - 1])
    x = np.zeros((3, 1), np.uint8)
    path = storage.create(tmp_path / "a", [(x, t)], rows=3, shape=(1,), dtype="uint8", classes=classes)
    assert np.load(path / "labels.npy").dtype == dtype
    assert np.array_equal(storage.open(path).take(np.arange(3)).t, t)


@pytest.mark.parametrize("name", ["a.arrow", "a"])
@pytest.mark.parametrize(("announced", "said"), [(9, "10 or more rows came"), (11, "10 rows came, 11")])
def test_another_number_of_rows_than_announced_leaves_nothing(tmp_path, name, announced, said):
    batch = np.zeros((5, 2), np.uint8), np.zeros(5, int)
    with pytest.raises(DataError, match=said):
        storage.create(tmp_path / name, [batch, batch], rows=announced, shape=(2,), dtype="uint8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("x", "t"),
    [
        (np.zeros((5, 3), np.uint8), np.zeros(5, int)),
        (np.zeros((5, 2)), np.zeros(5, int)),
        (np.zeros((5, 2), np.uint8), np.zeros(4, int)),
        (np.zeros((5, 2), np.uint8), np.zeros(5)),
        (np.zeros((5, 2), np.uint8), np.zeros((5, 3))),
    ],
)
def test_a_batch_of_another_form_is_refused_with_its_row(tmp_path, x, t):
    good = np.zeros((7, 2), np.uint8), np.zeros(7, int)
    with pytest.raises(DataError, match=r"row 7: a batch of .* expected uint8 \('n', 2\)"):
        storage.create(tmp_path / "a.arrow", [good, (x, t)], rows=12, shape=(2,), dtype="uint8")
    assert list(tmp_path.iterdir()) == []


def test_a_label_out_of_range_is_refused_with_its_row(tmp_path):
    x, t = np.zeros((5, 2), np.uint8), np.array([0, 1, 2, 3, 3])
    with pytest.raises(LabelError, match=r"row 8: label 3 \(2 such rows\), expected 3 classes"):
        storage.create(
            tmp_path / "a.arrow", [(x, t % 3), (x, t)], rows=10, shape=(2,), dtype="uint8", classes=3
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "float64"},
        {"rows": -1},
        {"classes": 0},
        {"soft": True},
        {"format": "parquet"},
        {"scale": -1.0},
    ],
)
def test_arguments_that_mean_nothing_are_refused(tmp_path, wrong):
    arguments = {"rows": 0, "shape": (2,), "dtype": "uint8"} | wrong
    with pytest.raises(UsageError):
        storage.create(tmp_path / "a.arrow", [], **arguments)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_reported_after_each_block(tmp_path):
    seen = []
    x, t = np.zeros((40_000, 1), np.uint8), np.zeros(40_000, int)
    storage.create(
        tmp_path / "a.arrow",
        [(x, t)],
        rows=40_000,
        shape=(1,),
        dtype="uint8",
        progress=lambda done, rows: seen.append((done, rows)),
    )
    assert seen == [(16_384, 40_000), (32_768, 40_000), (40_000, 40_000)]


@pytest.mark.parametrize("stem", ["train", "t10k"])
def test_real_mnist_converts_to_the_same_rows_in_every_format(mnist_dir, tmp_path, stem):
    """The twin: the IDX files taken apart by hand."""
    files = [mnist_dir / f"{stem}-{name}.gz" for name in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    raw_x, raw_t = (gzip.decompress(file.read_bytes()) for file in files)
    x = np.frombuffer(raw_x, np.uint8, offset=16).reshape(-1, 28, 28)
    t = np.frombuffer(raw_t, np.uint8, offset=8)
    assert struct.unpack(">4I", raw_x[:16])[1:] == x.shape
    expected = storage.open((x, t)).fingerprint
    for name in (f"{stem}.arrow", stem):
        source = storage.open(storage.convert(*files, tmp_path / name, classes=10))
        assert source.sources == {file.name: CONTENT[file.stem] for file in files}
        assert source.sources[files[0].name] == hashlib.sha256(raw_x).hexdigest()
        assert source.fingerprint == expected
        chunk = source.take(np.arange(len(x)))
        assert np.array_equal(chunk.x.reshape(x.shape), x)
        assert np.array_equal(chunk.t, t)
        assert source.check_content() == -(-len(x) // 16_384)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 157 MB, more than stays mapped."""
    folder = tmp_path_factory.mktemp("large")
    block = np.arange(16_384 * 784, dtype=np.uint32).astype(np.uint8).reshape(16_384, 784)
    t = np.zeros(16_384, np.uint8)
    batches = ((block[:n], t[:n]) for n in [16_384] * 12 + [3_392])
    return storage.create(folder / "a.arrow", batches, rows=200_000, shape=(784,), dtype="uint8", classes=10)


RESIDENT = """
    import sys, numpy as np
    from streameval import storage
    def resident():
        lines = dict(line.split(":") for line in open("/proc/self/status"))
        return int(lines["RssFile"].split()[0]) * 1024
    source = storage.open(sys.argv[1])
    before, peak, total = resident(), 0, 0
    if sys.argv[2] == "chunks":
        for chunk in source.chunks(storage.Span(0, source.rows), 4096):
            total += int(chunk.x.sum())
            peak = max(peak, resident() - before)
    else:
        rng = np.random.default_rng(0)
        for _ in range(300):
            total += int(source.take(rng.integers(0, source.rows, 100)).x.sum())
            peak = max(peak, resident() - before)
    print(peak, resident() - before, total)
"""


@pytest.mark.parametrize(("way", "limit"), [("chunks", 24 << 20), ("take", 4 << 20)])
def test_the_resident_set_of_a_large_mapped_file_stays_flat(large, way, limit):
    command = [sys.executable, "-c", textwrap.dedent(RESIDENT), str(large), way]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, _, total = map(int, found.stdout.split())
    assert 0 <= peak < limit < large.stat().st_size
    assert total > 0


def test_releasing_pages_changes_no_row(large):
    """Two interleaved passes, the pages of one given back under the other."""
    source = storage.open(large)
    kept = list(source.chunks(Span(0, 60_000), 9_000))
    one, other = source.chunks(Span(0, 60_000), 9_000), source.chunks(Span(0, 60_000), 9_000)
    for first, second, held in zip(one, other, kept, strict=True):
        assert np.array_equal(first.x, second.x)
        assert np.array_equal(first.x, held.x)


@pytest.mark.parametrize(("rows", "bound"), [(60_000, 60e-6), (200_000, 1e-3)])
def test_a_pick_of_100_rows_is_quick(large, tmp_path, rows, bound):
    """Measured: 9 microseconds where the file stays mapped, else 130; the rest is for a busy machine."""
    path = large
    if rows < 200_000:
        batch = np.zeros((rows, 784), np.uint8), np.zeros(rows, np.uint8)
        path = storage.create(tmp_path / "a.arrow", [batch], rows=rows, shape=(784,), dtype="uint8")
    source = storage.open(path)
    wanted = np.random.default_rng(0).integers(0, source.rows, 100)
    best = float("inf")
    for _ in range(300):
        start = time.perf_counter()
        source.take(wanted)
        best = min(best, time.perf_counter() - start)
    assert best < bound


READ = [ending for ending in formats.ENDINGS if ending != ".arrow"]


@pytest.mark.parametrize(
    "name", [f"a{ending}" for ending in (*READ, ".npz", ".npy", ".CSV", ".gz", ".zip", ".pt")]
)
def test_no_folder_is_called_as_a_file_of_another_format_unless_asked(tmp_path, name):
    x, t = np.zeros((3, 2), np.uint8), np.zeros(3, np.uint8)
    asked = {"rows": 3, "shape": (2,), "dtype": "uint8", "classes": 2}
    with pytest.raises(UsageError, match=r"no \.\w+ file\. Call it a\.arrow, or say format='npy'"):
        storage.create(tmp_path / name, [(x, t)], **asked)
    assert [*tmp_path.iterdir()] == []
    assert storage.create(tmp_path / name, [(x, t)], format="npy", **asked).is_dir()


def test_a_name_in_capitals_says_arrow_too(tmp_path):
    x, t = np.zeros((3, 2), np.uint8), np.zeros(3, np.uint8)
    path = storage.create(tmp_path / "A.ARROW", [(x, t)], rows=3, shape=(2,), dtype="uint8", classes=2)
    assert path.is_file()
    assert column_of(storage.open(path), "label").tolist() == [0, 0, 0]
