"""Tables in memory, streams, images and folders as data sets: the same rows as arrays, and what is wrong is told."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from command_line import ROOT
from data_files import drawn, encoded, listed, png, quietly, rows_of, wide
from optional import hugging_face_datasets
from PIL import Image

import streameval as se
from streameval import storage
from streameval.errors import DataError, UsageError
from streameval.tables import images

PAGE = (ROOT / "docs" / "data.md").read_text()
CALLS = re.findall(r"^\| .* \| `(se\.open\(.*\))` \|$", PAGE, re.MULTILINE)


class Capsule:
    """Nothing but the protocol."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class NoTable:
    """A frame with a column that pyarrow does not take."""

    def __init__(self, error):
        self.error = error

    def __arrow_c_stream__(self, requested_schema=None):
        raise self.error


@pytest.mark.parametrize("opened", [se.open, lambda data: se.open_outputs(data, loss="a")])
@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (TypeError("Sparse pandas data (column a) not supported."), "sparse.to_dense()"),
        (pa.ArrowInvalid("Could not convert 'two' (column a)"), "astype(float)"),
        (pa.ArrowNotImplementedError("Unsupported numpy type 15 (column a)"), ".to_numpy().real"),
        (OverflowError("Python int too large to convert to C long (column a)"), "astype(float)"),
    ],
    ids=["sparse", "mixed", "complex", "large"],
)
def test_a_frame_with_a_column_that_arrow_has_no_form_for_is_told_with_the_cure(error, cure, opened):
    said = r"<table>: it does not become an Arrow table \(.*column a.*" + re.escape(cure)
    with pytest.raises(DataError, match=said):
        opened(NoTable(error))


def test_a_sparse_column_of_pandas_is_read_once_it_is_dense():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"label": [0, 1], "a": pandas.arrays.SparseArray([0, 3])})
    with pytest.raises(DataError, match=r"column a.*frame\[column\]\.sparse\.to_dense\(\)"):
        storage.open(frame)
    frame["a"] = frame["a"].sparse.to_dense()
    assert rows_of(quietly(frame))[0].tolist() == [[0], [3]]


# What pandas takes and Arrow does not, and what of the cure makes it a column.
NO_COLUMN = {
    "mixed": ([1.5, "2", None], lambda column: column.astype(float)),
    "texts among numbers": ([1, "two", 3], lambda column: column.astype(str)),
    "complex": ([1j, 2.0, 3.0], lambda column: column.to_numpy().imag),
    "beyond 64 bits": ([2**70, 1, 2], lambda column: column.astype(float)),
}


@pytest.mark.parametrize("opened", [storage.open, lambda data: se.open_outputs(data, loss="a")])
@pytest.mark.parametrize("case", NO_COLUMN)
def test_a_column_of_pandas_that_arrow_has_no_form_for_is_told_with_the_cure(case, opened):
    pandas = pytest.importorskip("pandas")
    values, cured = NO_COLUMN[case]
    frame = pandas.DataFrame({"label": [0, 1, 1], "a": values})
    said = (
        r"<table>: it does not become an Arrow table \(.*of one type each.*astype\(float\).*\.real and \.imag"
    )
    with pytest.raises(DataError, match=said):
        opened(frame)
    frame["a"] = cured(frame["a"])
    assert pa.table(frame).num_rows == 3


def given(call, folder):
    """What the names in a call stand for."""
    x, t = drawn(50, (28, 28))
    table = listed(x, t)
    pq.write_table(table, folder / "a.parquet")
    names = {
        "x": x,
        "t": t,
        "table": table,
        "reader": table.to_reader(max_chunksize=7),
        "capsule": Capsule(table),
    }
    names["arrow_dataset"] = pads.dataset(folder / "a.parquet")
    if "frame" in call:
        pandas, polars = (pytest.importorskip(name) for name in ("pandas", "polars"))
        names |= {
            "frame": pandas.DataFrame(wide(x, t).to_pydict()),
            "polars_frame": polars.from_arrow(wide(x, t)),
        }
    if "torch" in call or "loader" in call:
        data = pytest.importorskip("torch.utils.data")
        names["torch_dataset"] = data.TensorDataset(*map(__import__("torch").from_numpy, (x, t)))
        names["loader"] = data.DataLoader(names["torch_dataset"], batch_size=7)
    elif "dataset" in call and "arrow" not in call:
        hugging_face = hugging_face_datasets()
        features = hugging_face.Features(
            {"image": hugging_face.Image(), "label": hugging_face.ClassLabel(names=list("abcdefghij"))}
        )
        rows = {"image": [Image.fromarray(one) for one in x], "label": t}
        names["dataset"] = hugging_face.Dataset.from_dict(rows, features=features)
    return x, t, names


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_the_page_gives_the_rows(call, tmp_path, monkeypatch):
    x, t, names = given(call, tmp_path)
    monkeypatch.setattr(se, "open", quietly)
    source = eval(call, {"se": se, **names})
    assert rows_of(source)[0].tobytes() == x.tobytes()
    assert np.array_equal(source.take(np.array([40, 2])).t, t[[40, 2]])
    assert source.path is None
    if "dataset" in names:
        assert source.classes == 10


def test_all_of_the_page_are_tested():
    assert len(CALLS) == 11


def test_a_data_set_that_was_shuffled_or_picked_is_read_in_its_order():
    hugging_face = hugging_face_datasets()
    x, t = drawn(40, (4,))
    dataset = hugging_face.Dataset.from_dict({"x": x.astype(int).tolist(), "label": t.tolist()})
    picked = dataset.select([3, 1, 7]).shuffle(seed=1)
    source = quietly(picked)
    assert np.array_equal(rows_of(source)[0], np.array(picked["x"]))
    with pytest.raises(UsageError, match=r"splits 'train', expected one\. Give data\['train'\]"):
        storage.open(hugging_face.DatasetDict({"train": dataset}))
    with pytest.warns(match="set_transform"):
        storage.open(dataset.with_transform(lambda rows: rows))


def test_splits_that_datasets_saved_are_listed(tmp_path):
    hugging_face = hugging_face_datasets()
    x, t = drawn(10, (4,))
    dataset = hugging_face.Dataset.from_dict({"x": x.tolist(), "label": t.tolist()})
    hugging_face.DatasetDict({"train": dataset, "test": dataset}).save_to_disk(tmp_path / "both")
    with pytest.raises(UsageError, match=r"train, test\. Name one of them: .*both/train"):
        quietly(tmp_path / "both")
    assert np.array_equal(rows_of(quietly(tmp_path / "both" / "test"))[0], x)


def test_a_stream_is_read_once():
    reader = listed(*drawn(20)).to_reader()
    quietly(reader)
    with pytest.raises(DataError, match="no rows"):
        quietly(reader)


def test_the_index_of_a_frame_is_no_feature():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, 2.5], "b": [0.0, 1.0], "y": [0, 1]}, index=["u", "v"])
    assert np.array_equal(rows_of(quietly(frame))[0], [[1.5, 0.0], [2.5, 1.0]])


def image(mode="L", size=(5, 4), form="png"):
    file = io.BytesIO()
    Image.new(mode, size).save(file, form)
    return file.getvalue()


# The second of two images, and what is said of it.
WRONG = {
    "size": (image(size=(4, 5)), "row 1: an image of 4 x 5 pixels, mode L, expected 5 x 4"),
    "colour": (image("RGB"), "row 1: an image of 5 x 4 pixels, mode RGB, expected 5 x 4 pixels, mode L"),
    "palette": (image("P"), r"row 1: an image of mode P, .*convert\('RGB'\)"),
    "transparent": (image("RGBA"), "row 1: an image of mode RGBA"),
    "16 bits": (image("I;16"), "row 1: an image of mode I;16"),
    "cut short": (png(drawn(1)[0][0])[:-40], "row 1: "),
    "damaged": (image()[:20] + b"garbage" + image()[27:], r"row 1: a damaged image \((?!.*0x)"),
    "cut in its header": (image()[:20], r"row 1: a damaged image \((?!.*0x)"),
    "huge": (image()[:16] + b"\x00\x01\x00\x00" * 2 + image()[24:], "row 1: "),
    "no image": (b"GIF89a", "row 1: bytes that begin with b'GIF89a', expected a PNG or JPEG"),
    "null": (None, r"row 1: no image \(null\)"),
}


@pytest.mark.parametrize(("second", "said"), WRONG.values(), ids=WRONG)
def test_an_image_that_is_unlike_or_damaged_is_told_with_its_row(second, said):
    table = pa.table({"image": pa.array([image(), second], pa.binary()), "label": [0, 1]})
    with pytest.raises(DataError, match=f"column 'image', {said}"):
        quietly(table)


def test_a_first_image_of_a_size_that_lies_is_refused():
    lies = image()[:16] + b"\x00\x01\x00\x00" * 2 + image()[24:]
    with pytest.raises(DataError, match="row 0: a"):
        quietly(pa.table({"image": pa.array([lies], pa.binary()), "label": [0]}))


def test_a_table_never_opens_the_files_that_it_names(tmp_path):
    (tmp_path / "a.png").write_bytes(image())
    rows = [{"bytes": None, "path": str(tmp_path / "a.png")}]
    with pytest.raises(
        DataError, match=r"row 0: no image \(null\), .* that only names files is not followed"
    ):
        quietly(pa.table({"image": rows, "label": [0]}))


def test_coloured_images_are_channels_first():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 4, 5, 3), np.uint8)
    source = quietly(pa.table({"image": pa.array([png(row) for row in x]), "label": [0, 1, 2]}))
    assert source.shape == (3, 4, 5)
    assert np.array_equal(rows_of(source)[0].reshape(3, 3, 4, 5), x.transpose(0, 3, 1, 2))


def test_without_pillow_it_is_said_what_to_install(monkeypatch):
    table = encoded(*drawn(2))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install 'streameval\[images\]'"):
        quietly(table)


def test_folders_of_images_are_told_when_they_are_none(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(image())
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match=r"dog: no image in this folder"):
        quietly(tmp_path)
    (tmp_path / "dog" / "x").mkdir()
    (tmp_path / "dog" / "x" / "a.png").write_bytes(image())
    with pytest.raises(DataError, match=r"dog: a folder of folders of images .* Name one data set"):
        quietly(tmp_path)
    (tmp_path / "dog" / "b.JPEG").write_bytes(b"\xff\xd8\xff\xe0 no image")
    with pytest.raises(DataError, match=r"dog/b\.JPEG, row 1: a damaged image"):
        quietly(tmp_path)
    (tmp_path / "dog" / "b.JPEG").write_bytes(image(form="jpeg"))
    with pytest.warns(match=r"2 classes are numbered by their names as text: 0 is 'cat', 1 is 'dog'"):
        source = storage.open(tmp_path)
    assert (source.classes, source.rows, source.shape) == (2, 2, (4, 5))


@pytest.mark.parametrize(
    "names", [("test", "train"), ("train", "val", "notes"), tuple("abcdefghijk")], ids=str
)
def test_a_folder_of_splits_is_told_with_the_names_of_the_splits(tmp_path, names):
    x, _ = drawn(4, (5, 4))
    (tmp_path / "README.md").write_text("two splits")
    for name in names:
        for label in "ab" if name != "notes" else "":
            (tmp_path / name / label).mkdir(parents=True)
            (tmp_path / name / label / "1.png").write_bytes(png(x[0]))
        (tmp_path / name).mkdir(exist_ok=True)
    shown = [name for name in names if name != "notes"]
    listing = ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")
    with pytest.raises(
        UsageError, match=f"images by class: {re.escape(listing)}. Name one of them: "
    ) as told:
        storage.open(tmp_path)
    assert str(told.value).endswith(f"{tmp_path / shown[0]}.")
    assert quietly(tmp_path / shown[0]).rows == 2


def test_a_folder_of_folders_without_images_is_no_folder_of_splits(tmp_path):
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"a folder without \.arrow"):
        storage.open(tmp_path)


def test_images_are_decoded_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("streameval.tables.rows.MOST_BYTES", 28 * 28 * 3)
    seen = []
    pixels = images.pixels
    monkeypatch.setattr(
        "streameval.tables.images.pixels", lambda *given: seen.append(pixels(*given)) or seen[-1]
    )
    x, t = drawn(8)
    assert rows_of(quietly(encoded(x, t)))[0].tobytes() == x.tobytes()
    assert [len(one) for one in seen] == [1, 3, 3, 1]
