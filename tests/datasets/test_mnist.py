"""`load_mnist` gives the article's arrays, and `fetch` takes each file once, from wherever it is."""

from __future__ import annotations

import numpy as np
import pytest
import small_mnist

from streameval import storage
from streameval.datasets import fetch, load_mnist, mnist
from streameval.errors import DataError, LockedError, StorageError, UsageError
from streameval.files import lock


@pytest.fixture
def small_splits(monkeypatch):
    """A tiny MNIST, and no mirror that could be asked for it."""
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist, "SPLITS", small_mnist.splits())


def book(x: np.ndarray, t: np.ndarray, normalize: bool, flatten: bool, one_hot_label: bool) -> tuple:
    """What the book's load_mnist does, step by step."""
    x = x.reshape(-1, 784)
    if normalize:
        x = x.astype(np.float32)
        x /= 255.0
    if one_hot_label:
        rows = np.zeros((t.size, 10))
        for index, row in enumerate(rows):
            row[t[index]] = 1
        t = rows
    return (x if flatten else x.reshape(-1, 1, 28, 28)), t


@pytest.mark.parametrize("one_hot_label", [True, False])
@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("stored", ["raw", "gz", "arrow"])
def test_load_mnist_gives_what_the_book_gives_from_every_kind_of_file(
    tmp_path, small_splits, stored, normalize, flatten, one_hot_label
):
    root = small_mnist.write(tmp_path / "idx", zipped=stored == "gz")
    if stored == "arrow":
        fetch(tmp_path / "arrow", source=root)
        root = tmp_path / "arrow"

    halves = load_mnist(normalize, flatten, one_hot_label, root=root)

    for (x, t), split in zip(halves, ("train", "test"), strict=True):
        x_book, t_book = book(*small_mnist.arrays(split), normalize, flatten, one_hot_label)
        assert (x.dtype, t.dtype) == (x_book.dtype, t_book.dtype)
        np.testing.assert_array_equal(x, x_book)
        np.testing.assert_array_equal(t, t_book)


def test_load_mnist_on_the_real_files_has_the_articles_shapes(mnist_dir):
    (x_train, t_train), (x_test, t_test) = load_mnist(one_hot_label=True, root=mnist_dir)

    assert (x_train.shape, t_train.shape) == ((60000, 784), (60000, 10))
    assert (x_test.shape, t_test.shape) == ((10000, 784), (10000, 10))
    assert x_train.dtype == np.float32
    assert (x_train.min(), x_train.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(t_train.argmax(axis=1)[:5], [5, 0, 4, 1, 9])


def test_load_mnist_accepts_the_dotted_names_of_the_first_mirror(tmp_path, small_splits):
    root = small_mnist.write(tmp_path, zipped=False)
    for path in list(root.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))

    assert load_mnist(root=root)[0][0].shape == (60, 784)


def test_load_mnist_without_files_says_how_to_get_them(tmp_path):
    with pytest.raises(DataError, match=f"streameval fetch mnist {tmp_path}"):
        load_mnist(root=tmp_path)


def test_load_mnist_refuses_rows_that_are_no_mnist(tmp_path):
    for split in ("train", "test"):
        images, labels = np.zeros((3, 8, 8), np.uint8), np.zeros(3, np.uint8)
        storage.create(
            tmp_path / f"{split}.arrow",
            iter([(images, labels)]),
            rows=3,
            shape=(8, 8),
            dtype=np.uint8,
            classes=10,
        )
    with pytest.raises(DataError, match="28 x 28"):
        load_mnist(root=tmp_path)


def test_load_mnist_refuses_a_label_above_nine_and_names_its_row(tmp_path, small_splits):
    root = small_mnist.write(tmp_path, zipped=False)
    path = root / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[8 + 17] = 10
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"row 17: label 10"):
        load_mnist(root=root)


# fetch from a folder. Downloads are in test_faults_download.py.


@pytest.mark.parametrize("zipped", [True, False])
def test_fetch_from_a_folder_writes_both_arrow_files_and_nothing_else(tmp_path, small_splits, zipped):
    given = small_mnist.write(tmp_path / "given", zipped=zipped)
    told: list[tuple[int, int]] = []

    paths = fetch(tmp_path / "new" / "dest", source=given, progress=lambda *now: told.append(now))

    assert paths == (tmp_path / "new" / "dest" / "train.arrow", tmp_path / "new" / "dest" / "test.arrow")
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["test.arrow", "train.arrow"]
    for path, split in zip(paths, ("train", "test"), strict=True):
        source = storage.open(path)
        (chunk,) = source.chunks(storage.Span(0, source.rows), 1000)
        x, t = small_mnist.arrays(split)
        np.testing.assert_array_equal(chunk.x, x.reshape(-1, 784))
        np.testing.assert_array_equal(chunk.t, t)
        assert source.classes == 10
        source.close()
    total = sum(map(len, small_mnist.files().values()))
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_fetch_takes_nothing_when_both_files_are_there_and_right(tmp_path, small_splits):
    fetch(tmp_path / "dest", source=small_mnist.write(tmp_path / "given", zipped=True))
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "dest").iterdir())]

    fetch(tmp_path / "dest")  # there are no mirrors here: it would fail

    assert before == [path.stat().st_mtime_ns for path in sorted((tmp_path / "dest").iterdir())]


@pytest.mark.parametrize("place", [2000, -2000, 40_000])
def test_fetch_makes_a_damaged_arrow_file_again_and_only_that_one(tmp_path, small_splits, place):
    given = small_mnist.write(tmp_path / "given", zipped=True)
    train, test = fetch(tmp_path / "dest", source=given)
    content = bytearray(train.read_bytes())
    good, content[place] = bytes(content), content[place] ^ 0x10
    train.write_bytes(content)
    before = test.stat().st_mtime_ns

    fetch(tmp_path / "dest", source=given)

    assert train.read_bytes() == good
    assert test.stat().st_mtime_ns == before


def test_fetch_uses_the_idx_files_that_lie_in_its_own_folder(tmp_path, small_splits):
    folder = small_mnist.write(tmp_path, zipped=True)

    assert fetch(folder)[0].is_file()
    assert (folder / "train-images-idx3-ubyte.gz").is_file()


def test_fetch_from_a_folder_with_other_content_is_refused_with_both_hashes(tmp_path, small_splits):
    given = small_mnist.write(tmp_path / "given", zipped=False)
    path = given / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x09")

    with pytest.raises(StorageError, match=r"t10k-labels.*SHA-256 .*expected") as caught:
        fetch(tmp_path / "dest", source=given)
    assert str(given) in str(caught.value)
    assert not list((tmp_path / "dest").glob("*.arrow"))


def test_fetch_from_what_is_no_place_says_so(tmp_path, small_splits):
    with pytest.raises(StorageError, match="not a folder"):
        fetch(tmp_path / "dest", source=tmp_path / "nowhere")
    for url in ("ftp://example.invalid/mnist", "file:///etc"):
        with pytest.raises(UsageError, match="expected http or https"):
            fetch(tmp_path / "dest", source=url)
    assert not (tmp_path / "dest").exists()


def test_a_fetch_that_gets_nothing_leaves_no_folder_that_was_not_there(tmp_path, small_splits):
    empty, kept = tmp_path / "empty", tmp_path / "kept"
    for folder in (empty, kept):
        folder.mkdir()
    for dest in (tmp_path / "new" / "deep", kept):
        with pytest.raises(StorageError, match="could not be had"):
            fetch(dest, source=empty)
    assert sorted(tmp_path.iterdir()) == [empty, kept]


def test_a_second_fetch_into_the_same_folder_ends_at_once(tmp_path, small_splits):
    given = small_mnist.write(tmp_path / "given", zipped=True)

    with lock(tmp_path / "mnist"), pytest.raises(LockedError):
        fetch(tmp_path, source=given)


def test_the_pinned_hashes_are_those_of_the_real_files(tmp_path, mnist_dir):
    """And `fetch` turns them into Arrow files in which the article's shapes are found again."""
    train, test = fetch(tmp_path, source=mnist_dir)

    assert [storage.open(path).rows for path in (train, test)] == [60000, 10000]
    assert mnist._is_converted(train, mnist.SPLITS[0])
    assert not mnist._is_converted(test, mnist.SPLITS[0])


def test_there_are_several_mirrors_all_https():
    assert len(set(mnist.MIRRORS)) >= 3
    assert all(url.startswith("https://") and url.endswith("/") for url in mnist.MIRRORS)
