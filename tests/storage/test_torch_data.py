"""PyTorch's data sets and loaders as data: all rows once, in their order, or a word about it."""

from __future__ import annotations

import numpy as np
import pytest
from data_files import drawn, quietly, rows_of
from PIL import Image

import streameval as se
from streameval import storage
from streameval.errors import DataError, LabelError, UsageError

torch = pytest.importorskip("torch")
data = torch.utils.data


class Rows(data.Dataset):
    """Items of a list."""

    def __init__(self, items, change=lambda item: item):
        self.items, self.change = items, change

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.change(self.items[k])


class Endless(data.IterableDataset):
    """Items of a list, without a length."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


X, T = drawn(60, (6, 5))
TENSORS = data.TensorDataset(torch.from_numpy(X), torch.from_numpy(T))
NORMAL = [((torch.from_numpy(x).float() / 255 - 0.5) / 0.25, int(t)) for x, t in zip(X, T, strict=True)]
FORMS = {
    "tensors": TENSORS,
    "subset": data.Subset(TENSORS, range(60)),
    "arrays": Rows(list(zip(X, T, strict=True))),
    "images": Rows([(Image.fromarray(x), int(t)) for x, t in zip(X, T, strict=True)]),
    "named": Rows([{"image": x.tolist(), "label": int(t), "name": "a"} for x, t in zip(X, T, strict=True)]),
    "iterable": Endless(list(zip(X, T, strict=True))),
    "loader": data.DataLoader(TENSORS, batch_size=7),
    "loader that drops nothing": data.DataLoader(TENSORS, batch_size=20, drop_last=True),
    "loader of an iterable": data.DataLoader(Endless(list(zip(X, T, strict=True))), batch_size=7),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_all_rows_in_order(form):
    source = quietly(FORMS[form])
    found, labels = rows_of(source)
    assert found.tobytes() == X.tobytes()
    assert np.array_equal(labels, T)
    assert (source.dtype, len(source)) == (np.dtype(np.uint8), 60)


def test_what_transforms_made_is_taken_as_it_is():
    source = quietly(Rows(NORMAL))
    assert (source.dtype, source.scale) == (np.dtype(np.float32), 1.0)
    assert rows_of(source)[0].tobytes() == torch.stack([x for x, _ in NORMAL]).numpy().tobytes()
    half = quietly(Rows(NORMAL, lambda item: (item[0].bfloat16(), item[1])))
    assert np.array_equal(rows_of(half)[0][0], NORMAL[0][0].bfloat16().float().numpy().ravel())


def test_coloured_images_are_channels_first():
    x = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    source = quietly(Rows([(Image.fromarray(x), 0)]))
    assert np.array_equal(source.take(np.array([0])).x.reshape(3, 4, 5), x.transpose(2, 0, 1))


def test_a_loader_that_shuffles_is_told_and_gives_the_same_loss(network_file):
    x, t = drawn(200)
    rows = data.TensorDataset(torch.from_numpy(x), torch.from_numpy(t))
    with pytest.warns(match="Its loader shuffles"):
        source = storage.open(data.DataLoader(rows, batch_size=9, shuffle=True))
    assert not np.array_equal(rows_of(source)[1], t)
    network = se.load_model(network_file)
    assert se.evaluate(network, source).loss_sum == se.evaluate(network, (x, t)).loss_sum


def test_a_random_transform_is_told():
    noisy = Rows(NORMAL, lambda item: (item[0] + torch.rand(1), item[1]))
    with pytest.warns(match=r"each time they are read, as by a random transform\.(?: |$)"):
        storage.open(noisy)


def loader(**options):
    return data.DataLoader(TENSORS, **options)


# What is given, and what is said of it.
WRONG = {
    "drops": (loader(batch_size=7, drop_last=True), UsageError, r"leaves out 4 of 60 rows.*loader\.dataset"),
    "repeats": (
        loader(sampler=data.RandomSampler(TENSORS, replacement=True)),
        UsageError,
        "RandomSampler with repl",
    ),
    "picks": (
        loader(sampler=data.SubsetRandomSampler([1, 2])),
        UsageError,
        "SubsetRandomSampler of 2 of 60 rows",
    ),
    "weighs": (
        loader(sampler=data.WeightedRandomSampler([1.0] * 60, 60)),
        UsageError,
        "expected each row once",
    ),
    "its own batches": (loader(batch_sampler=[[0, 1], [1]]), UsageError, "its batch_sampler, list, decides"),
    "no batches": (loader(batch_size=None), UsageError, "batch_size=None"),
    "drops of a stream": (
        data.DataLoader(Endless([]), batch_size=2, drop_last=True),
        UsageError,
        "drop_last",
    ),
    "nothing": (Rows([]), DataError, "no rows"),
    "nothing of a stream": (Endless([]), DataError, "no rows"),
    "features alone": (Rows([X[0], X[1]]), UsageError, r"row 0: ndarray, expected \(features, target\)"),
    "three": (Rows([(X[0], 1, 2)]), UsageError, "row 0: 3 values, expected"),
    "unlike": (
        Rows([(X[0], 1), (X[1], 1), (X[0][:2], 1)]),
        DataError,
        r"row 2: shape \(2, 5\), expected \(6",
    ),
    "float labels": (Rows([(X[0], 1.5)]), LabelError, "column 't', row 0: label 1.5"),
    "NaN": (Rows([(np.full(3, np.nan), 1)]), DataError, "column 'x', number 0, row 0: nan"),
    "texts": (Rows([("cat", 1)]), UsageError, "str"),
    "ragged": (Rows([([[1], [2, 3]], 1)]), DataError, "row 0: a list that does not become an array"),
    "sparse": (Rows([(torch.eye(3).to_sparse(), 1)]), DataError, r"row 0: a torch\.Tensor .* to_dense\(\)"),
    "palette": (Rows([(Image.new("P", (3, 3)), 1)]), DataError, "row 0: an image of mode P"),
}


@pytest.mark.parametrize(("given", "error", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_all_rows_once_is_told(given, error, said):
    with pytest.raises(error, match=said):
        quietly(given)
