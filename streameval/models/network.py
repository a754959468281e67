"""What a network is: layers one after another.

Knows shapes and the content's hash. Does not know any file format, nor how a layer is computed.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.layers import LAYERS, layer_classes
from streameval.layers.layer import Layer, Shape

if TYPE_CHECKING:
    from streameval.kernels.packing import PackableLayer

# What a layer gives for the rows that the float64 reference takes at a time, at most: 32 MiB.
_REFERENCE_VALUES = 2**22


@dataclass(frozen=True, eq=False)
class Network:
    """A network: layers one after another, a loss on top of the last one's outputs.

    layers           at least one, each a value of `streameval.layers`, which takes what the one before gives
    shape            of a row, if not (inputs of the first layer,)
    allow_nonfinite  accept weights that are NaN or infinite
    path             where it was loaded from, or None
    notes            what a reader of the file had to decide, one sentence each, for people

    Two networks are equal when their `sha256` is: path and notes do not count.

    Raises:
        ModelError: no layer, something that is no layer, shapes that do not chain, a weight that is NaN or infinite.
    """

    layers: tuple[Layer, ...]
    shape: Shape
    path: str | None = None
    notes: tuple[str, ...] = field(default=(), repr=False)
    # Further files that it was read from, beside `path`: no output may be aimed at them.
    files: tuple[str, ...] = field(default=(), repr=False)
    # Whether it was read from something that ends in a softmax, which is no layer: losses of classes have their own.
    softmax: bool = field(default=False, repr=False)
    # Whether it was read from something that takes bytes, pixels as they are stored, and scales them itself.
    raw: bool = field(default=False, repr=False)
    # What its file calls the classes, where that are other numbers than 0, 1, 2, … in their order.
    labels: tuple[int, ...] = field(default=(), repr=False)

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        shape: Shape | None = None,
        allow_nonfinite: bool = False,
        path: str | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        given = tuple(layers)
        check_layers(given, layer_classes(), f"a layer: {', '.join(name for _, name in LAYERS.values())}.")
        if shape is None:
            shape = _own_shape(given[0])
        set_fields(
            self,
            given,
            tuple(int(size) for size in shape),
            path,
            tuple(notes),
            allow_nonfinite=allow_nonfinite,
        )

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes from the row to the outputs."""
        out = [self.shape]
        for layer in self.layers:
            out.append(layer.shape(out[-1]))
        return tuple(out)

    @property
    def features(self) -> int:
        """Number of values of a row."""
        return math.prod(self.shape)

    @cached_property
    def packable(self) -> tuple[PackableLayer, ...]:
        """What the kernels compute: the layers, merged where that gives the same."""
        from streameval.layers.fusing import fused

        return fused(self.layers)

    @property
    def outputs(self) -> int:
        """Number of values that come out of the last layer."""
        return math.prod(self.shapes[-1])

    @property
    def classes(self) -> int:
        """The same, where each is a class."""
        return self.outputs

    @property
    def activations(self) -> tuple[str, ...]:
        """One name per layer: of a layer without an activation of its own, its kind."""
        return tuple(getattr(layer, "activation", layer.kind) for layer in self.layers)

    @property
    def summary(self) -> str:
        """Widths and activations, in a line."""
        return f"{'-'.join(map(str, self.sizes))}, {', '.join(self.activations)}"

    def reference(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs (n, outputs) of rows (n, features), in float64 by NumPy, a few rows at a time."""
        out = np.empty((len(rows), self.outputs))
        size = max(1, _REFERENCE_VALUES // max(self.sizes))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            values = np.asarray(part, np.float64).reshape(len(part), *self.shape)
            for layer in self.layers:
                values = layer.reference(values)
            out[start : start + size] = values.reshape(len(values), -1)
        return out

    def describe(self) -> dict[str, Any]:
        """Widths as `layers`, and `activations`."""
        return {"layers": list(self.sizes), "activations": list(self.activations)}

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the output: (784, 50, 100, 10) for the article's network."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(array.size for layer in self.layers for array in layer.arrays().values())

    @cached_property
    def multiply_adds(self) -> int:
        """Products that a row takes."""
        return sum(layer.multiply_adds(shape) for layer, shape in zip(self.layers, self.shapes, strict=False))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of what the layers are and of their float32 little-endian bytes, whatever the file format."""
        dense = all(layer.kind == "dense" for layer in self.layers) and self.shape == _own_shape(
            self.layers[0]
        )
        digest = hashlib.sha256(b"streameval mlp 1\n" if dense else b"streameval network 1\n")
        if not dense:
            digest.update(f"{self.shape}\n".encode())
        for layer in self.layers:
            digest.update(f"{'' if dense else layer.kind + ' '}{layer.signature}\n".encode())
            for array in layer.arrays().values():
                digest.update(array.astype("<f4", copy=False).data)
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as safetensors, whole or not at all: its arrays, and its layers as metadata.

        Raises:
            StorageError: the file cannot be written.
            UsageError: the name ends as another weight format's does: .pkl, .npz, .pt, .onnx.
        """
        from streameval.models.writing import save

        save(self, path)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Network) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary})"


def set_fields(
    network: Network,
    layers: tuple[Layer, ...],
    shape: Shape,
    path: str | None,
    notes: tuple[str, ...],
    *,
    allow_nonfinite: bool,
) -> None:
    """Fill a network that is being made, after checking that its layers chain and that its numbers are finite."""
    _check_chain(layers, shape)
    if not allow_nonfinite:
        _check_finite(layers)
    for name, value in (("layers", layers), ("shape", shape), ("path", path), ("notes", notes)):
        object.__setattr__(network, name, value)


def check_layers(layers: tuple[object, ...], kinds: tuple[type, ...], expected: str) -> None:
    """Raise ModelError unless there is a layer, and all are of these kinds."""
    for number, layer in enumerate(layers, start=1):
        if not isinstance(layer, kinds):
            raise ModelError(f"layer {number}: {type(layer).__name__}, expected {expected}")
    if not layers:
        raise ModelError("the network has no layers, expected at least one.")


def _own_shape(layer: Layer) -> Shape:
    if layer.inputs is None:
        raise ModelError(
            f"layer 1: {layer.kind} takes rows of any shape. Say which: Network(layers, shape=(1, 28, 28)), for "
            "instance: channels, height, width."
        )
    return (layer.inputs,)


def _check_chain(layers: tuple[Layer, ...], shape: Shape) -> None:
    for number, layer in enumerate(layers, start=1):
        inputs = math.prod(shape)
        if number > 1 and layer.inputs not in (None, inputs):
            weights = [one.arrays().get("weight") for one in layers[number - 2 : number]]
            shapes = " and ".join(str(weight.shape) for weight in weights if weight is not None)
            raise ModelError(
                f"layer {number - 1} has {inputs} outputs, but layer {number} takes {layer.inputs} inputs "
                f"(weights {shapes}): expected the same number."
            )
        try:
            shape = layer.shape(shape)
        except ModelError as error:
            raise ModelError(f"layer {number}: {error}") from None


def _check_finite(layers: tuple[Layer, ...]) -> None:
    for number, layer in enumerate(layers, start=1):
        for name, values in layer.arrays().items():
            finite = np.isfinite(values)
            if finite.all():
                continue
            index = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ModelError(
                f"layer {number}, {name}{list(index)}: {values[index]}, and {(~finite).sum()} such in all; "
                "expected finite float32 numbers. To evaluate all the same: --allow-nonfinite "
                "(library: allow_nonfinite=True)."
            )
