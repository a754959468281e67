"""Losses that compare outputs with numbers: squared, absolute, Huber's, binary cross-entropy, whoever computes."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pytest
import small_networks as small
from command_line import in_process
from running_kernels import run

import streameval as se
from streameval import defaults, losses
from streameval.engines.local import Local
from streameval.errors import DataError, LabelError, ModelError, StreamevalWarning, UsageError
from streameval.losses.loss import Loss

OUTPUTS, ROWS = 3, 101
LAYERS = small.network([20, 12, OUTPUTS], ["sigmoid"], seed=4)
ONE = small.network([20, 12, 1], ["sigmoid"], seed=5)
RNG = np.random.default_rng(8)
X = RNG.normal(size=(ROWS, 20)).astype(np.float32)
Z = naive.logits(LAYERS, X)
T = Z + RNG.normal(size=Z.shape)
SHARES = RNG.random(size=Z.shape)
WEIGHTS = (0.5, 2.0, 3.0)

Twin = Callable[[np.ndarray, np.ndarray], np.ndarray]
KINDS: dict[str, tuple[Loss, np.ndarray, Twin]] = {
    "squared": (se.Squared(), T, naive.squared),
    "absolute": (se.Absolute(), T, naive.absolute),
    "huber": (se.Huber(0.7), T, lambda z, t: naive.huber(z, t, 0.7)),
    "binary": (se.BinaryCrossEntropy(), SHARES, naive.binary_cross_entropy),
    "weighted": (
        se.BinaryCrossEntropy(WEIGHTS),
        SHARES,
        lambda z, t: naive.binary_cross_entropy(z, t, WEIGHTS),
    ),
}
OF_NUMBERS = [losses.losses_class(name)() for name in defaults.NUMBER_LOSSES]
each_kind = pytest.mark.parametrize(("loss", "t", "twin"), KINDS.values(), ids=list(KINDS))


def model(layers: Any = LAYERS) -> se.Mlp:
    return se.Mlp([se.Layer(*layer) for layer in layers])


def written(path: str | Path, t: np.ndarray, compression: str | None = None) -> None:
    """An Arrow file of X and targets (n,) or (n, outputs) float64, as pyarrow writes it."""
    targets = pa.array(t.ravel())
    if t.ndim == 2:
        targets = pa.FixedSizeListArray.from_arrays(targets, t.shape[1])
    features = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    table = pa.table({"x": features, "t": targets})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(str(path), table.schema, options=options) as file:
        file.write_table(table, max_chunksize=40)


def outputs_by_numpy(x: np.ndarray) -> np.ndarray:
    """Each row by itself, whatever the batch."""
    return np.stack([naive.logits(LAYERS, row[None])[0] for row in x])


def test_every_loss_without_classes_that_can_be_chosen_is_one_of_these() -> None:
    chosen = {name for name in defaults.LOSSES if not losses.losses_class(name).classifies}
    assert {loss.name for loss, _, _ in KINDS.values()} == chosen


@each_kind
def test_the_kernel_is_its_twin_however_rows_are_cut(loss: Loss, t: np.ndarray, twin: Twin) -> None:
    whole = run(LAYERS, X, t, loss=loss)
    assert np.abs(whole.loss - twin(Z, t)).max() < 2e-5
    assert np.abs(loss.reference(Z, t) - twin(Z, t)).max() < 1e-12
    for chunk, threads in ((1, 1), (33, 2), (64, 2)):
        assert run(LAYERS, X, t, loss=loss, chunk=chunk, threads=threads).bits() == whole.bits()


@each_kind
def test_networks_functions_and_saved_outputs_come_to_the_same(loss: Loss, t: np.ndarray, twin: Twin) -> None:
    kind = "logits" if isinstance(loss, se.BinaryCrossEntropy) else "predictions"
    saved = se.open_outputs({"z": Z, "t": t}, **{kind: "z"}, target="t")
    ways: dict[str, tuple[Any, Any]] = {
        "native": (model(), (X, t)),
        "function": (outputs_by_numpy, (X, t)),
        "saved": (saved, None),
    }
    for name, (subject, data) in ways.items():
        report = se.evaluate(subject, data, loss=loss)
        assert report.loss == pytest.approx(twin(Z, t).mean(), abs=1e-6), name
        assert (report.accuracy, report.correct, report.state.classes) == (None, None, ())
        assert report.to_dict()["loss_name"] == loss.name


@each_kind
def test_a_loss_is_what_its_json_says(loss: Loss, t: np.ndarray, twin: Twin) -> None:
    assert losses.from_dict(json.loads(json.dumps(loss.to_dict()))) == loss
    assert len({one.kernel for one, _, _ in KINDS.values()}) == len(KINDS) - 1, "weights share a kernel"


@each_kind
def test_shards_workers_and_a_report_that_is_verified(
    loss: Loss, t: np.ndarray, twin: Twin, tmp_path: Path
) -> None:
    from streameval.evaluation.shards import StateFile

    path = str(tmp_path / "data.arrow")
    written(path, t)
    whole = se.evaluate(model(), path, loss=loss)
    assert (
        se.evaluate(model(), path, loss=loss, options=se.PassOptions(engine=Local(30))).digest == whole.digest
    )
    for i in range(2):
        options = se.PassOptions(shard=(i, 2), callbacks=[StateFile(tmp_path / f"{i}.json")])
        se.evaluate(model(), path, loss=loss, options=options)
    assert se.merge([tmp_path / "0.json", tmp_path / "1.json"]).digest == whole.digest
    assert se.verify(json.loads(json.dumps(whole.to_dict())), model(), path).digest == whole.digest


def test_a_probability_costs_what_its_logit_costs() -> None:
    shares = 1.0 / (1.0 + np.exp(-Z))
    exact = naive.binary_cross_entropy(Z, SHARES).mean()
    saved = se.open_outputs({"p": shares, "t": SHARES}, probabilities="p", target="t")
    assert se.evaluate(saved, loss=se.BinaryCrossEntropy()).loss == pytest.approx(exact, abs=1e-9)

    def predict(x: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-outputs_by_numpy(x)))

    known = se.Predictor(predict=predict, returns="probabilities")
    assert se.evaluate(known, (X, SHARES), loss=se.BinaryCrossEntropy()).loss == pytest.approx(
        exact, abs=1e-6
    )
    with pytest.raises(ModelError, match="are they logits, or probabilities already"):
        se.evaluate(predict, (X, SHARES), loss=se.BinaryCrossEntropy())


def test_files_hold_one_number_a_row(tmp_path: Path) -> None:
    written(tmp_path / "one.arrow", T[:, 0])
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "t.npy", T[:, 0])
    exact = naive.squared(naive.logits(ONE, X), T[:, :1]).mean()
    for data in (tmp_path / "one.arrow", (tmp_path / "x.npy", tmp_path / "t.npy")):
        assert se.evaluate(model(ONE), data, loss=se.Squared()).loss == pytest.approx(exact, rel=1e-6)
        checked = se.open(data, check=True)
        report = se.evaluate(model(ONE), checked, loss=se.Squared())
        assert report.loss == pytest.approx(exact, rel=1e-6)
        assert report.hashed is not None
        assert report.hashed.rows == ROWS
    written(tmp_path / "lz4.arrow", T[:, 0], "lz4")
    with pytest.warns(StreamevalWarning, match="compressed"):
        packed = se.open(tmp_path / "lz4.arrow")
    assert se.evaluate(model(ONE), packed, loss=se.Squared()).loss == pytest.approx(exact, rel=1e-6)
    written(tmp_path / "part-0.arrow", T[:, 0])
    written(tmp_path / "part-1.arrow", -T[:, 0])
    both = se.evaluate(model(ONE), tmp_path / "part-*.arrow", loss=se.Absolute())
    assert both.rows == 2 * ROWS


@pytest.mark.parametrize("t", [T[:, 0], T[:, :1], T[:, 0].astype(np.float32), np.arange(ROWS) - 50])
def test_one_output_is_compared_with_one_number_of_any_type(t: np.ndarray) -> None:
    exact = naive.squared(naive.logits(ONE, X), t.astype(np.float64).reshape(-1, 1)).mean()
    assert se.evaluate(model(ONE), (X, t), loss=se.Squared()).loss == pytest.approx(exact, rel=1e-6)


def test_regressors_of_other_libraries_are_models() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    metrics = pytest.importorskip("sklearn.metrics")
    fitted = linear.LinearRegression().fit(X, T)
    exact = metrics.mean_squared_error(T, fitted.predict(X))
    assert se.evaluate(fitted, (X, T), loss=se.Squared()).loss == pytest.approx(exact, rel=1e-6)
    one = linear.LinearRegression().fit(X, T[:, 0])
    exact = metrics.mean_absolute_error(T[:, 0], one.predict(X))
    assert se.evaluate(one, (X, T[:, 0]), loss=se.Absolute()).loss == pytest.approx(exact, rel=1e-6)
    with pytest.raises(ModelError, match="returns numbers, and cross-entropy takes"):
        se.evaluate(fitted, (X, np.zeros(ROWS, np.int64)))


def test_torch_modules_are_models() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Tanh(), torch.nn.Linear(8, OUTPUTS)).eval()
    with torch.no_grad():
        exact = torch.nn.functional.huber_loss(module(torch.tensor(X)), torch.tensor(T), delta=0.4).item()
    assert se.evaluate(module, (X, T), loss=se.Huber(0.4)).loss == pytest.approx(exact, abs=1e-6)
    assert se.evaluate(se.from_torch(module), (X, T), loss=se.Huber(0.4)).loss == pytest.approx(
        exact, abs=1e-6
    )
    classifier = se.from_torch(torch.nn.Sequential(module, torch.nn.Softmax(dim=1)))
    with pytest.raises(ModelError, match="ends in a softmax"):
        se.evaluate(classifier, (X, T), loss=se.Squared())


def test_studies_take_them_and_refuse_what_needs_bounds() -> None:
    data, exact = (X, T), naive.squared(Z, T)
    assert se.per_sample_losses(model(), data, loss=se.Squared()) == pytest.approx(exact, abs=2e-5)
    batch = se.minibatch(model(), data, size=50, seed=1, loss=se.Squared())
    assert batch.batches[0].interval.low < exact.mean() < batch.batches[0].interval.high
    with pytest.raises(UsageError, match="needs bounds that no loss can pass"):
        se.minibatch(model(), data, size=50, loss=se.Squared(), method="betting")
    with pytest.raises(UsageError, match="'asymptotic'"):
        se.evaluate_until(model(), data, half_width=0.2, loss=se.Squared())
    found = se.evaluate_until(model(), data, half_width=1e-9, loss=se.Squared(), method="asymptotic")
    assert found.loss == pytest.approx(exact.mean(), abs=1e-6)
    whole = se.compare(model(), data, sizes=(20,), trials=50, loss=se.Squared())
    assert whole.full.loss == pytest.approx(exact.mean(), abs=1e-6)
    pair = se.paired(
        [model(), model(small.network([20, 4, OUTPUTS], ["relu"], seed=1))], data, loss=se.Squared()
    )
    assert pair.to_dict()["loss_name"] == "squared"


def test_errors_that_sums_cannot_hold_are_refused_and_never_left_out() -> None:
    far = T.copy()
    far[17] += 1e4
    for subject, data in ((model(), (X, far)), (outputs_by_numpy, (X, far))):
        with pytest.raises(
            DataError, match=r"row 17: its squared loss is .*e\+0[78] \(1 such rows\).*divide both"
        ):
            se.evaluate(subject, data, loss=se.Squared(), allow_nonfinite=True)
    saved = se.open_outputs({"z": Z, "t": far}, predictions="z", target="t")
    with pytest.raises(DataError, match="row 17: its squared loss is"):
        se.evaluate(saved, loss=se.Squared())


def test_sums_of_large_errors_are_exact() -> None:
    """Up to 2**22 the squares of losses reach 2**124 units: nothing wraps."""
    zero = [naive.Layer(np.zeros((20, 1), np.float32), np.zeros(1, np.float32), "identity")]
    t = 1940.0 + np.arange(ROWS)  # squares from 3.8e6 to 4.19e6, integers
    sums = se.evaluate(model(zero), (X, t), loss=se.Squared()).state.sums
    assert sums.units == sum(int(one) ** 2 for one in t) << 40
    assert sums.units_squared == sum(int(one) ** 4 for one in t) << 80


@pytest.mark.parametrize("loss", OF_NUMBERS, ids=lambda loss: loss.name)
def test_losses_as_small_as_the_steps_of_their_sum_are_warned_of_with_a_unit_that_mends_it(loss: Any) -> None:
    """Without the warning exactly as long as the sum of what was added is the sum of the losses, to 1e-4."""
    errors = np.abs(RNG.normal(size=ROWS)) + 0.1
    tenfold = cost(loss, 1e-3) / cost(loss, 1e-4)
    power, warned = round(np.log10(tenfold)), []
    for digits in range(1, 15):
        small = errors * 10.0**-digits
        given = {"z": small, "t": np.zeros(ROWS)}
        exact = float(loss.reference(small[:, None], given["t"]).mean())
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = se.evaluate(se.open_outputs(given, predictions="z", target="t"), loss=loss).loss
        assert found is not None
        warned.append(bool(told))
        if not told:
            assert found == pytest.approx(exact, rel=1e-4)
            continue
        said = str(told[0].message)
        assert f"the largest {loss.name} loss is" in said
        assert [name for name in loss.options if f"and {name} with them" in said] == list(loss.in_units)
        by = float(said.split("such as by ")[1].split(",")[0].rstrip("."))
        given["z"] = small * by
        mended = se.evaluate(se.open_outputs(given, predictions="z", target="t"), loss=scaled(loss, by))
        assert mended.loss is not None
        assert mended.loss / by**power == pytest.approx(exact, rel=1e-4)
        assert 0.1 < mended.state.sums.largest < 10.0**power
    assert (warned[0], warned[-1]) == (False, True)
    assert warned == sorted(warned)
    assert abs(found / exact - 1.0) > 1e-4  # the last one was lost


def cost(loss: Any, error: float) -> float:
    return float(loss.reference(np.array([[error]]), np.zeros(1))[0])


def scaled(loss: Any, by: float) -> Any:
    """The loss for numbers in a unit so much smaller."""
    return dataclasses.replace(loss, **{name: getattr(loss, name) * by for name in loss.in_units})


def test_rows_that_cost_nothing_lose_nothing() -> None:
    """Of thousands of exact outputs and a few that are a little off, and where all are exact: no warning."""
    for wrong in (0, 3):
        z = np.zeros(5000)
        z[:wrong] = 1e-4
        given = {"z": z, "t": np.zeros(5000)}
        found = se.evaluate(se.open_outputs(given, predictions="z", target="t"), loss=se.Squared()).loss
        assert found == pytest.approx(wrong * 1e-8 / 5000, rel=1e-4)


@pytest.mark.parametrize(
    ("t", "loss", "error", "said"),
    [
        (T[:, :2], se.Squared(), ModelError, r"3 outputs, but the targets of <arrays> have 2 numbers a row"),
        (np.zeros(ROWS, np.int64), se.Huber(), ModelError, r"have 1 number a row"),
        (T, se.BinaryCrossEntropy(), LabelError, r"row 0: target .*expected numbers from 0 to 1"),
        (
            SHARES,
            se.BinaryCrossEntropy((1.0, 2.0)),
            UsageError,
            "2 weights, expected one, or one for each of 3",
        ),
        (np.zeros((ROWS, 1), np.int64), se.CrossEntropy(), DataError, r"Give t\.ravel\(\)\.astype"),
        (T[:, 0], se.CrossEntropy(), DataError, r"one number a row, and loss cross-entropy.*Squared\(\)"),
    ],
)
def test_targets_that_do_not_fit_are_refused(t: Any, loss: Any, error: Any, said: str) -> None:
    for subject in (model(), outputs_by_numpy):
        with pytest.raises(error, match=said):
            se.evaluate(subject, (X, t), loss=loss)


def test_a_target_that_is_not_finite_is_told_or_left_out() -> None:
    t = T.copy()
    t[5, 1] = np.nan
    with pytest.raises(DataError, match=r"row 5: .*targets are NaN"):
        se.evaluate(model(), (X, t), loss=se.Squared())
    report = se.evaluate(model(), (X, t), loss=se.Squared(), allow_nonfinite=True)
    assert report.state.sums.left_out == 1
    assert report.loss == pytest.approx(np.delete(naive.squared(Z, T), 5).mean(), abs=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: se.Huber(0.0), lambda: se.Huber(np.inf), lambda: se.BinaryCrossEntropy(-1)]
)
def test_parameters_that_mean_nothing_are_refused(make: Callable[[], Loss]) -> None:
    with pytest.raises(UsageError, match="expected a finite number above 0"):
        make()


def test_saved_outputs_and_losses_that_do_not_belong_together_are_refused() -> None:
    numbers = se.open_outputs({"z": Z, "t": T}, predictions="z", target="t")
    with pytest.raises(UsageError, match=r"not what loss cross-entropy takes.*Squared\(\)"):
        se.evaluate(numbers)
    with pytest.raises(UsageError, match="takes logits or probabilities"):
        se.evaluate(numbers, loss=se.BinaryCrossEntropy())
    labelled = se.open_outputs({"z": Z, "t": np.zeros(ROWS, int)}, logits="z", label="t")
    with pytest.raises(UsageError, match="true classes were saved"):
        se.evaluate(labelled, loss=se.Squared())
    with pytest.raises(UsageError, match="not what they are compared with"):
        se.open_outputs({"z": Z, "t": T}, predictions="z")


def test_runs_are_paired_on_the_same_targets() -> None:
    ids = np.arange(ROWS)
    one = se.open_outputs({"z": Z, "t": T, "i": ids}, predictions="z", target="t", row_id="i")
    two = se.open_outputs({"z": Z + 1, "t": T, "i": ids}, predictions="z", target="t", row_id="i")
    found = se.paired([one, two], loss=se.Absolute()).to_dict()
    exact = naive.absolute(Z + 1, T).mean() - naive.absolute(Z, T).mean()
    assert found["difference"]["mean"] == pytest.approx(exact, abs=1e-9)
    other = se.open_outputs({"z": Z, "t": T + 1, "i": ids}, predictions="z", target="t", row_id="i")
    with pytest.raises(DataError, match="its target is another one"):
        se.paired([one, other], loss=se.Absolute())


# --- the command line ---


def files(folder: Path, t: np.ndarray) -> tuple[str, str]:
    arrays = {}
    for k, layer in enumerate(LAYERS, start=1):
        arrays |= {f"W{k}": layer.weight, f"b{k}": layer.bias}
    np.savez(folder / "model.npz", **arrays)
    written(folder / "data.arrow", t)
    return str(folder / "model.npz"), str(folder / "data.arrow")


@pytest.mark.parametrize(
    ("options", "t", "exact"),
    [
        (["--loss", "squared"], T, naive.squared(Z, T)),
        (["--loss", "absolute"], T, naive.absolute(Z, T)),
        (["--loss", "huber", "--delta", "0.7"], T, naive.huber(Z, T, 0.7)),
        (["--loss", "binary-cross-entropy"], SHARES, naive.binary_cross_entropy(Z, SHARES)),
    ],
    ids=["squared", "absolute", "huber", "binary"],
)
def test_evaluate_says_the_loss_and_nothing_of_classes(
    options: list[str], t: np.ndarray, exact: np.ndarray, tmp_path: Path
) -> None:
    paths, sigmoid = files(tmp_path, t), ["--activation", "sigmoid"]
    done = in_process("evaluate", *paths, *options, *sigmoid, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["loss"] == pytest.approx(exact.mean(), abs=1e-6)
    assert (report["loss_name"], report["accuracy"], report["eps"]) == (options[1], None, None)
    (tmp_path / "report.json").write_text(done.stdout)
    again = in_process("verify", str(tmp_path / "report.json"), *paths, *sigmoid)
    assert again.returncode == 0, again.stderr
    page = tmp_path / "page.html"
    text = in_process("evaluate", *paths, *options, *sigmoid, "--html", str(page)).stdout
    for said in (text, page.read_text()):
        assert "accuracy" not in said.lower()
        assert "predicted class" not in said
        assert ("nats" in said) == (options[1] == "binary-cross-entropy")
    rows = [{"z": list(map(float, z)), "t": list(map(float, one))} for z, one in zip(Z, t, strict=True)]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    column = "--logits" if options[1].startswith("binary") else "--predictions"
    done = in_process(
        "evaluate", str(tmp_path / "run.jsonl"), column, "z", "--label-column", "t", *options, "--json"
    )
    assert json.loads(done.stdout)["loss"] == pytest.approx(exact.mean(), abs=1e-9), done.stderr


def test_worst_rows_are_shown_without_classes() -> None:
    from streameval.reports import html, pages
    from streameval.reports.terminal import TextStyle
    from streameval.reports.text import report as as_text

    images = RNG.integers(0, 256, (ROWS, 5, 4), np.uint8)
    report = se.evaluate(model(ONE), (images, T[:, 0]), loss=se.Squared())
    for said in (html.render(pages.report(report)), as_text(report, TextStyle(width=80), images=True)):
        assert "no class" not in said
        assert "taken for" not in said
        assert "nats" not in said


def test_options_of_another_loss_are_refused(tmp_path: Path) -> None:
    paths = files(tmp_path, T)
    for options in (["--eps", "0"], ["--label-smoothing", "0.1"], ["--delta", "2"]):
        done = in_process("evaluate", *paths, "--loss", "squared", *options, "--activation", "sigmoid")
        assert done.returncode == 2
        assert f"{options[0]}: belongs to --loss" in done.stderr


def test_other_commands_take_the_loss(tmp_path: Path) -> None:
    paths = files(tmp_path, T)
    asked = ["--loss", "squared", "--activation", "sigmoid", "--json"]
    for command in (
        ["minibatch", *paths],
        ["until", *paths, "--method", "asymptotic"],
        ["compare", *paths, "--trials", "50", "--sizes", "20"],
        ["paired", paths[0], *paths],
    ):
        done = in_process(*command, *asked)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout).get("loss_name", "squared") == "squared"
    done = in_process("until", *paths, "--loss", "squared", "--activation", "sigmoid")
    assert done.returncode == 2
    assert "--method asymptotic" in done.stderr
