"""Modules of PyTorch, by their trace and by both of PyTorch's ONNX exporters, give what PyTorch gives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import streameval as se
from streameval.errors import ModelError
from streameval.models import load

torch = pytest.importorskip("torch", reason="PyTorch comes with the extra [bench]")
nn = torch.nn
functional = nn.functional


class Everything(nn.Module):
    """Two branches, normalisation, pooling, activations that are functions, a shape that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(2, 6, 3, padding=1),
            nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False),
        )
        self.one, self.two = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.norm, self.drop, self.last = nn.LayerNorm(6), nn.Dropout(0.5), nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        x = functional.silu(self.one(self.first((x - 0.1) / 0.3)))
        y = functional.gelu(self.two(self.second(x)), approximate="tanh")
        x = functional.max_pool2d(functional.relu(x + y), 2)
        x = functional.avg_pool2d(functional.hardswish(x), 3, 2, 1)
        x = functional.elu(functional.leaky_relu(functional.relu6(x), 0.2), 0.7)
        x = functional.adaptive_avg_pool2d(x, 1)
        x = functional.gelu(self.norm(x.view(x.size(0), -1)))
        return functional.log_softmax(self.last(self.drop(x)), 1)


class OfRows(nn.Module):
    """Makes images of flat rows, scales them, and pads them by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(96, 3)

    def forward(self, x: Any) -> Any:
        x = functional.pad((x.view(-1, 1, 4, 6) - 0.1) / 0.3, (1, 0))
        return self.last(functional.relu(self.first(functional.pad(x, (0, 1, 2, 0)))).flatten(1))


def trained(module: Any, shape: tuple[int, ...]) -> Any:
    """The module with running values that are not 0 and 1, in evaluation mode."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    with torch.no_grad():
        module.train()(torch.randn(16, *shape))
    return module.eval()


MODULES: dict[str, tuple[Any, tuple[int, ...], bool]] = {
    "everything": (Everything, (2, 8, 8), True),
    "dense": (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 3)), (5,), False),
    "softmax": (lambda: nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)), (5,), False),
    "normalised": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ELU(0.5), nn.BatchNorm1d(7), nn.Linear(7, 3)),
        (1, 3, 4),
        True,
    ),
    "padding by name": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding="same"), nn.SELU(), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(),
            nn.Linear(64, 3),
        ),
        (2, 7, 7),
        True,
    ),
    "padding by name, of an even kernel": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, (2, 4), padding="same", dilation=(1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(224, 3)
        ),
        (2, 7, 8),
        True,
    ),
    "dilated": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=2, dilation=2), nn.ReLU(), nn.Conv2d(4, 4, (2, 3), dilation=(3, 1), groups=2),
            nn.ReLU(), nn.Flatten(), nn.Linear(96, 3),
        ),
        (2, 7, 8),
        True,
    ),
    "zeros of each side": (
        lambda: nn.Sequential(
            nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(2, 4, 3, stride=2), nn.Flatten(), nn.Linear(80, 3)
        ),
        (2, 7, 8),
        True,
    ),
    "zeros before pooling": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1), nn.ZeroPad2d((0, 0, 1, 0)),
            nn.AvgPool2d(3, 3, ceil_mode=True), nn.Flatten(), nn.Linear(16, 3),
        ),
        (2, 7, 8),
        True,
    ),
    "flat rows as images": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (2, 3, 4)), nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)
        ),
        (24,),
        True,
    ),
    "flat rows as images, in forward": (OfRows, (24,), True),
    "images as flat rows": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 3)
        ),
        (2, 3, 4),
        True,
    ),
}  # fmt: skip


def log_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Of logits, probabilities or log-probabilities."""
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-5):
        outputs = np.log(outputs)
    below = outputs - outputs.max(axis=1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=1, keepdims=True))


def same(network: Any, module: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).normal(size=(20, *shape)).astype(np.float32)
    values = x.astype(np.float64).reshape(20, *network.shape)
    for layer in network.layers:
        values = layer.reference(values)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).double().numpy()
    np.testing.assert_allclose(
        log_probabilities(values.reshape(20, -1)), log_probabilities(expected), atol=2e-5
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("case", MODULES)
def test_a_module_becomes_the_network_that_it_computes(case):
    made, shape, told = MODULES[case]
    module = trained(made(), shape)

    network = se.from_torch(module, shape if told else None)

    same(network, module, shape)
    assert isinstance(network, se.Mlp) == all(isinstance(layer, se.Dense) for layer in network.layers)


def test_the_module_is_left_as_it_was_and_its_numbers_are_copied():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).train()
    module[2].eval()
    before = se.from_torch(module)

    assert [one.training for one in module] == [True, True, False, True]
    with torch.no_grad():
        module[0].weight.zero_()
    assert before != se.from_torch(module)
    assert np.abs(before.layers[0].weight).min() > 0


@pytest.mark.parametrize(
    ("module", "shape", "said"),
    [
        (lambda: nn.Conv2d(1, 2, 3), None, r"from_torch\(module, \(1, 28, 28\)\)"),
        (lambda: nn.Conv2d(1, 2, 3), (2, 9, 9), "cannot be traced on rows of shape"),
        (lambda: nn.ConvTranspose2d(1, 2, 3), (1, 9, 9), "aten.convolution.default .* not transposed"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softsign()), None, "aten.abs.default .* is not read"),
        (
            lambda: nn.Linear(3, 2, device="meta"),
            None,
            r"its weights: a torch\..* whose numbers are there.* evaluated",
        ),
        (lambda: "a module", None, "str: expected a torch.nn.Module"),
    ],
)
def test_what_cannot_be_read_is_told_by_operation_and_cure(module, shape, said):
    with pytest.raises(ModelError, match=said):
        se.from_torch(module(), shape)


class Reversed(nn.Linear):
    """A dense layer on rows of another order than the input's."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 1).flatten(1))


@pytest.mark.parametrize(
    ("module", "shape", "said"),
    [
        (lambda: nn.ConvTranspose2d(1, 2, 3), (1, 9, 9), "not transposed"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softsign()), None, "is not read"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU()), None, "ends with relu"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softmax(1), nn.Linear(3, 3)), None, "after softmax"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(2)), (1, 9, 9), "node"),
        (lambda: Reversed(6, 3), (2, 3), "another order"),
        (
            lambda: nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.Conv2d(1, 2, 3)),
            (1, 9, 9),
            "0.5, expected zeros",
        ),
        (
            lambda: nn.Sequential(nn.ZeroPad3d((0, 0, 0, 0, 1, 0)), nn.Conv2d(2, 2, 3)),
            (1, 9, 9),
            "zeros around",
        ),
        (lambda: nn.Sequential(nn.ZeroPad2d(-1), nn.Conv2d(1, 2, 3)), (1, 9, 9), "no negative"),
        (lambda: nn.Conv2d(1, 2, 3, dilation=9), (1, 28, 28), "too wide"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, dilation=2)), (1, 9, 9), "dilation 1"),
    ],
)
def test_whatever_is_not_read_of_a_module_it_is_said_once_that_it_can_be_evaluated_itself(
    module, shape, said
):
    made = module()
    with pytest.raises(ModelError, match=rf"{type(made).__name__}: .*{said}.*\. The module itself") as caught:
        se.from_torch(made, shape)
    assert str(caught.value).endswith("evaluate(module.eval(), data).")
    assert str(caught.value).count("evaluate(") == 1
    assert ".. " not in str(caught.value)


class Two(nn.Linear):
    """Returns its inputs too."""

    def forward(self, x: Any) -> Any:
        return super().forward(x), x


def test_a_module_that_returns_several_values_could_not_be_evaluated_either_and_is_to_be_wrapped():
    with pytest.raises(ModelError, match=r"Two returns 2 values, expected one: .* Wrap it in") as caught:
        se.from_torch(Two(3, 2))
    assert "evaluate(" not in str(caught.value)


def export(module: Any, x: Any, path: Any, **settings: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, input_names=["x"], **settings)


ROUNDED = ("everything", "flat rows as images, in forward")


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("case", MODULES)
def test_the_trace_and_the_exported_graph_give_one_network(tmp_path, case):
    pytest.importorskip("onnx")
    made, shape, _ = MODULES[case]
    module = trained(made(), shape)
    export(module, torch.zeros(2, *shape), tmp_path / "m.onnx", dynamo=False, dynamic_axes={"x": {0: "n"}})

    network = load(tmp_path / "m.onnx")

    same(network, module, shape)
    # The exporter keeps constants in float32, and may multiply weights in it.
    assert case in ROUNDED or network == se.from_torch(module, shape)


@pytest.mark.parametrize("opset", [13, 17])
def test_the_older_exporter_is_read(tmp_path, opset):
    pytest.importorskip("onnx")
    module = trained(Everything(), (2, 8, 8))
    path = tmp_path / "m.onnx"
    export(
        module, torch.zeros(2, 2, 8, 8), path, dynamo=False, opset_version=opset, dynamic_axes={"x": {0: "n"}}
    )

    same(load(path), module, (2, 8, 8))


def test_the_newer_exporter_which_writes_two_files_is_read_and_gives_the_same_network(tmp_path):
    pytest.importorskip("onnxscript", reason="PyTorch's newer exporter needs onnxscript")
    module = trained(Everything(), (2, 8, 8))
    export(module, torch.zeros(2, 2, 8, 8), tmp_path / "new.onnx", dynamo=True, verbose=False)
    export(module, torch.zeros(2, 2, 8, 8), tmp_path / "old.onnx", dynamo=False)

    assert (tmp_path / "new.onnx.data").is_file()
    network = load(tmp_path / "new.onnx")
    same(network, module, (2, 8, 8))
    same(load(tmp_path / "old.onnx"), module, (2, 8, 8))
