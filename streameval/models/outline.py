"""A network's layers one by one: what each is, what it gives, what it takes. For people and for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from streameval.frozen import frozen
from streameval.layers.layer import Layer, Shape
from streameval.models.network import Network


@frozen
class Line:
    """One layer.

    layer          its number; of a layer in a branch those of both: 3.body.1
    what           in a few words
    shape          what it gives
    parameters     numbers that it has · multiply_adds  products that a row takes
    """

    layer: str
    what: str
    shape: Shape
    parameters: int
    multiply_adds: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def outline(network: Network) -> list[Line]:
    """The layers in order, those of a residual layer's branches behind it."""
    return list(_lines(network.layers, network.shape, ""))


def _lines(layers: Sequence[Layer], shape: Shape, prefix: str) -> Iterator[Line]:
    for number, layer in enumerate(layers, start=1):
        name = f"{prefix}{number}"
        size = sum(array.size for array in layer.arrays().values())
        yield Line(name, describe(layer), layer.shape(shape), size, layer.multiply_adds(shape))
        for way in ("body", "shortcut"):
            yield from _lines(getattr(layer, way, ()), shape, f"{name}.{way}.")
        shape = layer.shape(shape)


def describe(layer: Layer) -> str:
    """What a layer is, in a few words: "conv2d 3 x 3, stride 2, padding 1, relu"."""
    parts = [layer.kind]
    size = layer.arrays().get("weight") if layer.kind == "conv2d" else None
    kernel = getattr(layer, "kernel", None) if size is None else size.shape[2:]
    if kernel is not None:
        parts[0] += f" {_sides(kernel)}"
    stride, padding = getattr(layer, "stride", None), getattr(layer, "padding", None)
    if stride is not None and stride != (kernel if size is None else (1, 1)):
        parts.append(f"stride {_sides(stride)}")
    if padding is not None and any(padding):
        parts.append(f"padding {_around(padding)}")
    if getattr(layer, "groups", 1) != 1:
        parts.append(f"groups {getattr(layer, 'groups', 1)}")
    if getattr(layer, "ceil_mode", False):
        parts.append("ceiling")
    if layer.kind == "dropout":
        parts.append(f"times {getattr(layer, 'factor', 1.0):g}")
    activation = getattr(layer, "activation", "identity")
    if activation != "identity":
        parts.append(activation)
    return ", ".join(parts)


def _sides(pair: Sequence[int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _around(padding: Sequence[int]) -> str:
    return str(padding[0]) if len(set(padding)) == 1 else ", ".join(map(str, padding))
