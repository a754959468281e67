"""Objects of other libraries as models: the same losses as by the library's own outputs."""

from __future__ import annotations

import json
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
    """The network as an ONNX graph of Flatten, Gemm, Relu, Gemm; `extra` adds an output: labels, or more floats."""
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
    weights = [numpy_helper.from_array(v, k) for k, v in {"w1": w1, "b1": b1, "w2": w2, "b2": b2}.items()]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, *shape])]
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
    ):
        assert in_process(*command, path, tmp_path, "--with", runtime, "--json").returncode == 0, command


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_the_other_library_does_not_take(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    (tmp_path / "net.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"net\.onnx: .* does not take it"):
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
    with pytest.raises(ModelError, match="not fitted"):
        se.evaluate(linear.LogisticRegression(), DATA)


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
