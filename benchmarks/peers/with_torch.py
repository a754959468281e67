"""PyTorch: eager under inference_mode, compiled, and as many write it: TensorDataset and DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.data import Task
from benchmarks.layers import Average, Branches, Conv, Dense, Layer, Pool
from benchmarks.peers.batches import batches_of
from benchmarks.timing import Ready

TOLERANCE = 1e-5
_ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "identity": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}


def whole(task: Task, chunk: int | None) -> Ready:
    """Eager, chunk by chunk."""
    return _chunks(task, chunk, _sum_of_losses(task))


def compiled(task: Task, chunk: int | None) -> Ready:
    """The same through torch.compile."""
    return _chunks(task, chunk, torch.compile(_sum_of_losses(task), dynamic=False))


def loader(task: Task, chunk: int | None) -> Ready:
    """The same, the batches from a DataLoader over a TensorDataset."""
    total = _sum_of_losses(task)
    rows = TensorDataset(torch.from_numpy(task.x), torch.from_numpy(task.t))
    batches = DataLoader(rows, batch_size=chunk)

    def run() -> float:
        with torch.inference_mode():
            return sum(float(total(x, t)) for x, t in batches) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def minibatches(task: Task, _: int | None) -> Ready:
    """Rows gathered by PyTorch, eager."""
    total = _sum_of_losses(task)
    x, t = torch.from_numpy(task.x), torch.from_numpy(task.t)

    def mean_loss(rows: Any) -> float:
        with torch.inference_mode():
            index = torch.from_numpy(rows)
            return float(total(x[index], t[index])) / len(rows)

    return batches_of(task, mean_loss, 0.0, TOLERANCE)


def _chunks(task: Task, chunk: int | None, total: Callable[[Any, Any], Any]) -> Ready:
    step = min(chunk or task.rows, task.rows)
    x, t = torch.from_numpy(task.x).split(step), torch.from_numpy(task.t).split(step)

    def run() -> float:
        with torch.inference_mode():
            return sum(float(total(a, b)) for a, b in zip(x, t, strict=True)) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def _sum_of_losses(task: Task) -> Callable[[Any, Any], Any]:
    torch.set_num_threads(task.threads)
    network = _module(task.layers).eval()
    images = len(task.shape) > 1
    if images:
        network = network.to(memory_format=torch.channels_last)
    scaled = task.x.dtype == "uint8"

    def total(x: Any, t: Any) -> Any:
        a = x.to(torch.float32) * task.scale if scaled else x
        if images:
            a = a.reshape(-1, *task.shape).contiguous(memory_format=torch.channels_last)
        return functional.cross_entropy(network(a), t, reduction="sum")

    return total


class _Branches(nn.Module):
    def __init__(self, layer: Branches) -> None:
        super().__init__()
        self.body, self.shortcut = _module(layer.body), _module(layer.shortcut)
        self.activation = _ACTIVATIONS[layer.activation]()

    def forward(self, x: Any) -> Any:
        return self.activation(self.body(x) + self.shortcut(x))


def _module(layers: tuple[Layer, ...]) -> Any:
    """The network as anybody would write it: nn.Sequential."""
    modules: list[Any] = []
    flat = isinstance(layers[0], Dense) if layers else False
    for layer in layers:
        if isinstance(layer, Dense):
            modules += [] if flat else [nn.Flatten()]
            flat = True
            modules.append(_filled(nn.Linear(*layer.weight.shape), layer.weight.T, layer.bias))
        elif isinstance(layer, Conv):
            outputs, inputs, *sides = layer.weight.shape
            conv = nn.Conv2d(inputs, outputs, tuple(sides), layer.stride, layer.padding)
            modules.append(_filled(conv, layer.weight, layer.bias))
        elif isinstance(layer, Pool):
            modules.append(nn.MaxPool2d(2) if layer.kind == "max" else nn.AvgPool2d(2))
        elif isinstance(layer, Average):
            modules.append(nn.AdaptiveAvgPool2d(1))
        else:
            modules.append(_Branches(layer))
            continue
        activation = getattr(layer, "activation", "identity")
        modules += [] if activation == "identity" else [_ACTIVATIONS[activation]()]
    return nn.Sequential(*modules)


def _filled(module: Any, weight: Any, bias: Any) -> Any:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight.copy()))
        module.bias.copy_(torch.from_numpy(bias))
    return module
