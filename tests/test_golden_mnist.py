"""The numbers of real MNIST with the article's network, as float64 NumPy computed them once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import naive
import numpy as np
import pytest

import streameval as se


class Golden(NamedTuple):
    """In float64: pixels / 255, sigmoid, sigmoid, softmax; loss -log(y + 1e-7) unless said otherwise; ddof 1."""

    rows: int
    loss: float
    loss_eps_0: float
    correct: int
    stddev: float
    smallest: float
    largest: float
    worst: tuple[int, ...]


GOLDEN = {
    "train": Golden(
        rows=60_000,
        loss=0.22400087659172677,
        loss_eps_0=0.22400380676885817,
        correct=56_146,
        stddev=0.6750872560873608,
        smallest=0.0001969577,
        largest=13.2153949082,
        worst=(32776, 59915, 53216, 14790, 15942),
    ),
    "t10k": Golden(
        rows=10_000,
        loss=0.2245436561393671,
        loss_eps_0=0.2245442314638212,
        correct=9_352,
        stddev=0.673411583184487,
        smallest=0.0004648178,
        largest=9.1024124127,
        worst=(2293, 6505, 1500, 5642, 6172),
    ),
}
TRAIN_LOSS_BY_CLASS = (
    0.114522523, 0.125340104, 0.257151719, 0.292604312, 0.216419589,
    0.324326477, 0.141991415, 0.19139049, 0.299622411, 0.29848232,
)  # fmt: skip
SPLITS = pytest.mark.parametrize("split", GOLDEN)


@pytest.fixture(scope="module")
def model(mnist_dir: Path) -> se.Mlp:
    return se.load_model(mnist_dir / "sample_weight.pkl")


@pytest.fixture(scope="module")
def files(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Train and test images as Arrow files, as folders of .npy files and as arrays."""
    folder = tmp_path_factory.mktemp("mnist")
    out: dict[str, Any] = {}
    for split in GOLDEN:
        idx = (mnist_dir / f"{split}-images-idx3-ubyte.gz", mnist_dir / f"{split}-labels-idx1-ubyte.gz")
        out[split, "arrow"] = se.convert(*idx, folder / f"{split}.arrow", classes=10)
        out[split, "npy"] = se.convert(*idx, folder / split, classes=10)
        npy = out[split, "npy"]
        out[split, "arrays"] = np.load(npy / "images.npy"), np.load(npy / "labels.npy").astype(np.int64)
    return out


@pytest.fixture(scope="module")
def exact(files: dict[str, Any], model: se.Mlp) -> dict[str, np.ndarray]:
    """The float64 twin's loss of every row, by split."""
    layers = [naive.Layer(one.weight, one.bias, one.activation) for one in model.layers]
    out = {}
    for split in GOLDEN:
        x, t = files[split, "arrays"]
        flat = x.reshape(len(x), -1)
        out[split] = np.concatenate(
            [
                naive.losses(layers, flat[start : start + 5000] / 255.0, t[start : start + 5000])
                for start in range(0, len(x), 5000)
            ]
        )
    return out


@SPLITS
def test_the_float64_twin_gives_the_golden_numbers(split: str, exact: dict[str, np.ndarray]) -> None:
    """The golden numbers and the twin are two witnesses: if they disagree, neither is to be believed."""
    golden, loss = GOLDEN[split], exact[split]
    assert loss.mean() == pytest.approx(golden.loss, abs=1e-14)
    assert loss.std(ddof=1) == pytest.approx(golden.stddev, abs=1e-13)
    assert tuple(np.argsort(-loss)[:5]) == golden.worst


@SPLITS
def test_the_report_gives_the_golden_numbers(split: str, model: se.Mlp, files: dict[str, Any]) -> None:
    golden = GOLDEN[split]
    report = se.evaluate(model, files[split, "arrow"])
    found = report.to_dict()
    assert report.rows == golden.rows
    assert report.loss == pytest.approx(golden.loss, abs=1e-7)
    assert report.correct == golden.correct
    assert report.accuracy == golden.correct / golden.rows
    assert report.stddev == pytest.approx(golden.stddev, abs=1e-6)
    assert found["min"] == pytest.approx(golden.smallest, abs=1e-8)
    assert found["max"] == pytest.approx(golden.largest, abs=2e-5)
    assert tuple(one["row"] for one in found["worst"])[:5] == golden.worst
    assert sum(one["rows"] for one in found["per_class"]) == golden.rows
    assert sum(found["confusion"][k][k] for k in range(10)) == golden.correct


@SPLITS
def test_the_exact_log_softmax_gives_its_golden_mean(
    split: str, model: se.Mlp, files: dict[str, Any]
) -> None:
    report = se.evaluate(model, files[split, "arrow"], eps=0.0)
    assert report.loss == pytest.approx(GOLDEN[split].loss_eps_0, abs=1e-7)
    assert report.loss > se.evaluate(model, files[split, "arrow"]).loss


def test_the_loss_of_each_digit_is_the_golden_one(model: se.Mlp, files: dict[str, Any]) -> None:
    by_class = se.evaluate(model, files["train", "arrow"]).to_dict()["per_class"]
    assert [one["class"] for one in by_class] == list(range(10))
    assert [one["loss"] for one in by_class] == pytest.approx(TRAIN_LOSS_BY_CLASS, abs=1e-6)
    assert [one["rows"] for one in by_class] == np.bincount(files["train", "arrays"][1]).tolist()


def test_even_and_odd_rows_show_that_the_order_of_the_file_is_not_random(
    model: se.Mlp, files: dict[str, Any]
) -> None:
    even, odd = (se.evaluate(model, files["train", "arrow"], rows=slice(first, None, 2)) for first in (0, 1))
    assert even.loss == pytest.approx(0.2834229521, abs=1e-7)
    assert odd.loss == pytest.approx(0.1645788011, abs=1e-7)
    whole = se.evaluate(model, files["train", "arrow"]).state
    assert even.state.sums.units + odd.state.sums.units == whole.sums.units
    assert (even.state + odd.state).digest == se.evaluate(model, files["train", "arrow"]).digest


@SPLITS
@pytest.mark.parametrize("form", ["arrow", "npy", "arrays"])
def test_every_row_is_within_2e_5_of_the_float64_twin(
    split: str, form: str, model: se.Mlp, files: dict[str, Any], exact: dict[str, np.ndarray]
) -> None:
    losses = se.per_sample_losses(model, files[split, form])
    assert np.abs(losses - exact[split]).max() < 2e-5
    assert losses.mean() == pytest.approx(exact[split].mean(), abs=1e-7)


@pytest.mark.parametrize("form", ["arrow", "npy", "arrays"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunk_rows", [100, 4096, 7000, 60_000])
def test_the_digest_of_all_rows_is_one(
    form: str, threads: int, chunk_rows: int, model: se.Mlp, files: dict[str, Any]
) -> None:
    report = se.evaluate(model, files["train", form], chunk_rows=chunk_rows, threads=threads)
    assert report.digest == se.evaluate(model, files["train", "arrow"]).digest


@pytest.mark.parametrize("form", ["arrow", "npy", "arrays"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_digest_of_rows_taken_one_by_one_is_that_of_all_at_once(
    form: str, threads: int, model: se.Mlp, files: dict[str, Any]
) -> None:
    """5,000 rows: a chunk has a price, and 60,000 of one row would say no more."""
    rows = slice(0, 5000)
    alone = se.evaluate(model, files["t10k", form], rows=rows, chunk_rows=1, threads=threads)
    assert alone.digest == se.evaluate(model, files["t10k", "arrow"], rows=rows).digest


def test_idx_files_as_they_are_downloaded_give_the_same_digest(
    mnist_dir: Path, model: se.Mlp, files: dict[str, Any]
) -> None:
    idx = (mnist_dir / "t10k-images-idx3-ubyte.gz", mnist_dir / "t10k-labels-idx1-ubyte.gz")
    assert se.evaluate(model, idx).digest == se.evaluate(model, files["t10k", "arrow"]).digest


def test_one_hot_labels_give_the_same_digest(model: se.Mlp, files: dict[str, Any]) -> None:
    x, t = files["t10k", "arrays"]
    assert se.evaluate(model, (x, naive.one_hot(t, 10))).digest == se.evaluate(model, (x, t)).digest


def test_normalised_float_pixels_give_the_golden_mean_too(
    model: se.Mlp, files: dict[str, Any], exact: dict[str, np.ndarray]
) -> None:
    x, t = files["t10k", "arrays"]
    floats = x.astype(np.float32) / np.float32(255)
    assert np.abs(se.per_sample_losses(model, (floats, t)) - exact["t10k"]).max() < 2e-5
    assert se.evaluate(model, (floats, t)).loss == pytest.approx(GOLDEN["t10k"].loss, abs=1e-7)
