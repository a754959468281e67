"""Objects of other libraries as models: the same losses as by the library's own outputs."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small
from command_line import in_process

import streameval as se
from streameval.errors import CheckError, ModelError, UsageError
from streameval.evaluation.verify import verify
from streameval.predictors.runtimes import load

ROWS, SIDE, CLASSES = 301, 6, 4
FEATURES = SIDE * SIDE
LAYERS = small.network([FEATURES, 9, CLASSES], ["relu"], seed=6)
PIXELS = small.pixels("mixed", ROWS, FEATURES).reshape(ROWS, SIDE, SIDE)
LABELS = small.labels(ROWS, CLASSES)
DATA = (PIXELS, LABELS)
FLAT = (PIXELS.reshape(ROWS, -1) / 255).astype(np.float32)
EXPECTED = naive.losses(LAYERS, FLAT, LABELS)


def onnx_file(path: Path, *, batch: Any = "n", shape: tuple[Any, ...] = (FEATURES,), extra: str = "") -> str:
    """The network as an ONNX graph of Flatten, Gemm, Relu, Gemm; `extra` adds an output: labels, or more floats.

    "bytes": it takes uint8, and scales them itself.
    """
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    (w1, b1, _), (w2, b2, _) = LAYERS
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["a"]),
        helper.make_node("Relu", ["a"], ["h"]),
        helper.make_node("Gemm", ["h", "w2", "b2"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, CLASSES])]
    if extra == "labels":
        nodes.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("label", onnx.TensorProto.INT64, [batch]))
    if extra == "floats":
        outputs.append(helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, [batch, 9]))
    kind = onnx.TensorProto.FLOAT
    constants = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    if extra == "bytes":
        kind, constants["scale"] = onnx.TensorProto.UINT8, np.float32(1 / 255)
        nodes[:1] = [
            helper.make_node("Cast", ["x"], ["pixels"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
            helper.make_node("Flatten", ["scaled"], ["flat"]),
        ]
    weights = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    inputs = [helper.make_tensor_value_info("x", kind, [batch, *shape])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return str(path)


@pytest.mark.parametrize("shape", [(FEATURES,), (1, SIDE, SIDE), (1, "h", "w")])
@pytest.mark.parametrize("batch", ["n", 1, 32])
@pytest.mark.parametrize("extra", ["", "labels"])
def test_an_onnx_runtime_session(tmp_path: Path, shape: tuple[Any, ...], batch: Any, extra: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = onnx_file(tmp_path / "net.onnx", batch=batch, shape=shape, extra=extra)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    report = se.evaluate(session, DATA)
    assert report.loss == pytest.approx(EXPECTED.mean(), abs=2e-6)
    assert report.scorer == "onnxruntime"
    assert report.model.identified


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_model_of_bytes_gets_no_floats(tmp_path: Path, runtime: str) -> None:
    """Features from 0 to 1 would be cut off to 0: pixels as they are, or nothing."""
    pytest.importorskip(runtime)
    model = load(runtime, onnx_file(tmp_path / "bytes.onnx", extra="bytes"))
    assert se.evaluate(model, DATA).loss == pytest.approx(EXPECTED.mean(), abs=2e-6)
    for data in ((FLAT, LABELS), se.open(DATA, mean=0.5, std=0.25)):
        with pytest.raises(
            ModelError, match=r"bytes\.onnx takes bytes \(uint8\), but the features are float32"
        ):
            se.evaluate(model, data)


def test_a_network_that_takes_bytes_gets_them_unscaled(tmp_path: Path) -> None:
    """Read by the project itself, such a graph would scale pixels a second time."""
    model = se.load_model(onnx_file(tmp_path / "bytes.onnx", extra="bytes"))
    for data, found in (
        (DATA, r"multiplied by 0\.00392157"),
        ((FLAT, LABELS), "float32"),
        (se.open(DATA, mean=0.5, std=0.25), "float32"),
    ):
        with pytest.raises(ModelError, match=rf"takes bytes .* are {found}\. Open uint8 data with scale=1"):
            se.evaluate(model, data)
    assert se.evaluate(model, se.open(DATA, scale=1.0)).loss == pytest.approx(EXPECTED.mean(), abs=2e-6)


def test_a_session_with_two_outputs_of_floats_is_refused(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = onnx_file(tmp_path / "net.onnx", extra="floats")
    with pytest.raises(ModelError, match=r"outputs y .*, h .*Wrap the session"):
        se.evaluate(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), DATA)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_report_of_another_library_is_verified_by_the_same(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    path = onnx_file(tmp_path / "net.onnx")
    copy, report = tmp_path / "copy.onnx", tmp_path / "report.json"
    copy.write_bytes(Path(path).read_bytes())
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "labels.npy", LABELS)
    data = tmp_path
    report.write_text(in_process("evaluate", path, data, "--with", runtime, "--json").stdout)
    for same in (path, copy):
        done = in_process("verify", report, same, data, "--with", runtime)
        assert done.returncode == 0, done.stderr
    assert f"computed by {runtime}, which promises equal bits only in the same version" in " ".join(
        done.stdout.split()
    )
    other = in_process("verify", report, path, data)
    assert other.returncode == 6
    assert f"computed by '{runtime}', but here by 'native'" in other.stderr
    assert "--with" in other.stderr
    assert "altered" not in other.stderr
    onnx = pytest.importorskip("onnx")
    changed = onnx.load(path)
    changed.graph.node[2].op_type = "Sigmoid"
    copy.write_bytes(changed.SerializeToString())
    assert in_process("verify", report, copy, data, "--with", runtime).returncode == 6


def test_other_bits_of_another_library_are_no_accusation(tmp_path: Path) -> None:
    """Called by one name, but with other bits, as another version of a library has them."""
    true = se.Predictor(predict=lambda x: x[:, :CLASSES], returns="logits", kind="library", identity="net")
    other = se.Predictor(
        predict=lambda x: x[:, :CLASSES] * (1 + 1e-6), returns="logits", kind="library", identity="net"
    )
    data = (FLAT.astype(np.float32), LABELS)
    report = se.evaluate(true, data).to_dict()
    assert verify(report, true, data).scorer == "library"
    with pytest.raises(CheckError, match="does not say that the report is false"):
        verify(report, other, data)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_computed_by_another_library(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    path = onnx_file(tmp_path / "net.onnx")
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "labels.npy", LABELS)
    done = in_process("evaluate", path, tmp_path, "--with", runtime, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["scorer"] == runtime
    assert told["loss"] == pytest.approx(EXPECTED.mean(), abs=2e-6)
    assert told["model"]["path"] == path
    native = json.loads(in_process("evaluate", path, tmp_path, "--json").stdout)
    assert native["scorer"] == "native"
    assert told["loss"] == pytest.approx(native["loss"], abs=2e-6)
    for command in (
        ("minibatch",),
        ("compare", "--sizes", "10", "--trials", "50"),
        ("until", "--half-width", "0.5"),
        ("calibration",),
    ):
        assert in_process(*command, path, tmp_path, "--with", runtime, "--json").returncode == 0, command


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_the_other_library_does_not_take(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    (tmp_path / "net.onnx").write_bytes(b"not a graph")
    said = rf"net\.onnx: .* does not take it: (?s:.*) Expected an \.onnx (?s:.*) without --with {runtime}\."
    with pytest.raises(ModelError, match=said):
        load(runtime, str(tmp_path / "net.onnx"))


def test_a_library_that_is_not_there_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "streameval.predictors.onnxruntime_session", None)
    monkeypatch.delitem(sys.modules, "streameval.predictors.onnxruntime_session")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="pip install onnxruntime"):
        load("onnxruntime", __file__)


def test_a_scikit_learn_classifier() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LogisticRegression(C=1e-3).fit(FLAT, LABELS)
    report = se.evaluate(model, DATA)
    y = model.predict_proba(FLAT)[np.arange(ROWS), LABELS]
    assert report.loss == pytest.approx(-np.log(y + 1e-7).mean(), rel=1e-6)
    assert report.scorer == "sklearn"
    with pytest.raises(ModelError, match=r"classes are \['a', 'b', 'c', 'd'\].*expected 0, 1, 2"):
        se.evaluate(linear.LogisticRegression(C=1e-3).fit(FLAT, np.array([*"abcd"])[LABELS]), DATA)
    with pytest.raises(ModelError, match="no predict_proba"):
        se.evaluate(linear.RidgeClassifier().fit(FLAT, LABELS), DATA)
    with pytest.raises(ModelError, match=r"no classifier that was fitted"):
        se.evaluate(linear.LogisticRegression(), DATA)
    with pytest.raises(
        ModelError, match=r"LinearRegression returns numbers, .* For regression: loss squared"
    ):
        se.evaluate(linear.LinearRegression().fit(FLAT, LABELS), DATA)


def test_an_estimator_is_the_same_after_it_was_stored() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    pipeline = pytest.importorskip("sklearn.pipeline")
    forest = ensemble.RandomForestClassifier(5, max_depth=3, random_state=0)
    for model in (forest, pipeline.make_pipeline(forest)):
        model.fit(FLAT, LABELS)
        before = se.evaluate(model, DATA).model
        after = se.evaluate(pickle.loads(pickle.dumps(model)), DATA).model
        # Known and equal, or known not to be known: never another one.
        assert not before.identified or before.sha256 == after.sha256


def _torch_network(torch: Any) -> Any:
    (w1, b1, _), (w2, b2, _) = LAYERS
    module = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 9), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(9, CLASSES)
    )
    with torch.no_grad():
        for layer, weight, bias in ((module[0], w1, b1), (module[3], w2, b2)):
            layer.weight.copy_(torch.tensor(weight.T.copy()))
            layer.bias.copy_(torch.tensor(bias))
    return module


def test_a_torch_module() -> None:
    torch = pytest.importorskip("torch")
    module = _torch_network(torch)
    with pytest.raises(ModelError, match=r"training mode.*\.eval\(\)"):
        se.evaluate(module, DATA)
    report = se.evaluate(module.eval(), DATA)
    assert report.loss == pytest.approx(EXPECTED.mean(), abs=2e-6)
    assert report.scorer == "torch"
    before = report.model.sha256
    with torch.no_grad():
        module[0].weight[0, 0] += 1.0
    assert se.evaluate(module, DATA).model.sha256 != before


def test_a_torch_convolution_gets_images_and_bfloat16_its_own_dtype() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(48, CLASSES)
    ).eval()
    with torch.no_grad():
        own = torch.nn.functional.cross_entropy(
            module(torch.tensor(FLAT.reshape(ROWS, 1, SIDE, SIDE))), torch.tensor(LABELS)
        )
    report = se.evaluate(module, DATA)
    assert report.to_dict()["model"]["row_shape"] == [1, SIDE, SIDE]
    assert report.loss == pytest.approx(float(own), abs=1e-5)
    assert se.evaluate(module.to(torch.bfloat16), DATA).loss == pytest.approx(float(own), abs=0.05)


def test_torch_modules_that_compute_otherwise_are_others() -> None:
    torch = pytest.importorskip("torch")

    class Scaled(torch.nn.Module):
        def __init__(self, factor: object) -> None:
            super().__init__()
            self.inner, self.factor = _torch_network(torch), factor

        def forward(self, x: Any) -> Any:
            return self.inner(x) * self.factor

    one, two, same = (se.evaluate(Scaled(k).eval(), DATA).model for k in (1.0, 5.0, 1.0))
    assert one.identified
    assert one.sha256 == same.sha256 != two.sha256
    # A tensor that is neither parameter nor buffer may hold anything.
    assert not se.evaluate(Scaled(torch.tensor(2.0)).eval(), DATA).model.identified


def _external(path: Path, factor: float) -> str:
    """The network with its first weights, times a factor, in a file beside it."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file(path))
    for one in model.graph.initializer:
        if one.name == "w1":
            raw = (LAYERS[0].weight * np.float32(factor)).tobytes()
            (path.parent / "w.data").write_bytes(raw)
            one.ClearField("raw_data")
            one.data_location = onnx.TensorProto.EXTERNAL
            for key, value in {"location": "w.data", "offset": "0", "length": str(len(raw))}.items():
                entry = one.external_data.add()
                entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return str(path)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_weights_in_a_second_file_belong_to_the_model(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "same"]
    models = []
    for folder, factor in zip(folders, (1.0, 2.0, 1.0), strict=True):
        folder.mkdir()
        models.append(se.evaluate(load(runtime, _external(folder / "net.onnx", factor)), DATA).model)
    assert models[0].files == (str(folders[0] / "w.data"),)
    assert models[0].identified
    assert models[0].sha256 != models[1].sha256
    # A copy at another path is the same model, in all that a report says but its path.
    assert models[0].sha256 == models[2].sha256
    assert models[0].describe() == models[2].describe()


def test_a_file_is_read_again_where_it_is_sent(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = onnx_file(tmp_path / "net.onnx")
    sent = pickle.dumps(load("onnxruntime", path))
    assert se.evaluate(pickle.loads(sent), DATA).digest == se.evaluate(load("onnxruntime", path), DATA).digest
    shutil.copy(_external(tmp_path / "other.onnx", 2.0), path)
    with pytest.raises(ModelError, match="another file than the one that the pass is of"):
        se.evaluate(pickle.loads(sent), DATA)


def test_options_that_only_the_project_can_use_are_refused_with_another_library(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "net.onnx")
    for option in (("--activation", "relu"), ("--dropout", "book")):
        done = in_process("evaluate", path, tmp_path, "--with", "onnxruntime", *option)
        assert done.returncode == 2
        assert option[0] in done.stderr
