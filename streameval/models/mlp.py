"""What a network is: dense layers with activations, softmax cross-entropy on top.

Knows shapes, names of activations and the content's hash. Does not know any file format, nor how a
layer is computed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.errors import ModelError
from streameval.kernels.names import ACTIVATIONS


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One dense layer: activation(x @ weight + bias).

    weight      (inputs, outputs), kept as a read-only C-contiguous float32 copy
    bias        (outputs,), kept as a read-only float32 copy
    activation  one of `streameval.kernels.names.ACTIVATIONS`

    float16 and float64 arrays are converted to float32: that is the precision in which networks are
    evaluated, and a float64 number beyond its range becomes infinite.

    Raises:
        ModelError: an unknown activation, an array that is not floating point, empty, or of the wrong shape.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str

    def __init__(self, weight: ArrayLike, bias: ArrayLike, activation: str) -> None:
        w, b = _float32(weight, "weight"), _float32(bias, "bias")
        if w.ndim != 2 or w.size == 0:
            raise ModelError(f"weight: shape {w.shape}, expected (inputs, outputs), both at least 1.")
        if b.shape != (w.shape[1],):
            raise ModelError(
                f"bias: shape {b.shape}, but the weight of shape {w.shape} has {w.shape[1]} outputs: "
                f"expected ({w.shape[1]},)."
            )
        check_activation(activation)
        object.__setattr__(self, "weight", w)
        object.__setattr__(self, "bias", b)
        object.__setattr__(self, "activation", activation)

    @property
    def inputs(self) -> int:
        """Number of values that come in."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Number of values that go out."""
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False)
class Mlp:
    """A network: dense layers one after another, softmax cross-entropy on top of the last one's outputs.

    layers           at least one; each one's inputs are the outputs of the one before; the last one's
                     activation is "identity": its outputs are the logits
    allow_nonfinite  accept weights that are NaN or infinite
    path             where it was loaded from, or None
    notes            what a reader of the file had to decide, one sentence each, for people

    Two networks are equal when their `sha256` is: path and notes do not count.

    Raises:
        ModelError: no layer, shapes that do not chain, a last activation other than "identity",
            a weight that is NaN or infinite.
    """

    layers: tuple[Layer, ...]
    path: str | None = None
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        allow_nonfinite: bool = False,
        path: str | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        given = tuple(layers)
        for number, layer in enumerate(given, start=1):
            if not isinstance(layer, Layer):
                raise ModelError(
                    f"layer {number}: {type(layer).__name__}, expected a Layer. "
                    "Give Layer(weight, bias, activation) for each."
                )
        object.__setattr__(self, "layers", given)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "notes", tuple(notes))
        _check_chain(self.layers)
        if not allow_nonfinite:
            _check_finite(self.layers)

    @property
    def features(self) -> int:
        """Number of inputs of the first layer."""
        return self.layers[0].inputs

    @property
    def classes(self) -> int:
        """Number of outputs of the last layer."""
        return self.layers[-1].outputs

    @property
    def outputs(self) -> int:
        """Number of values that come out, the classes."""
        return self.classes

    @property
    def summary(self) -> str:
        """Widths and activations, in a line."""
        return f"{'-'.join(map(str, self.sizes))}, {', '.join(self.activations)}"

    def describe(self) -> dict[str, Any]:
        """Widths as `layers`, and `activations`."""
        return {"layers": list(self.sizes), "activations": list(self.activations)}

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the output: (784, 50, 100, 10) for the article's network."""
        return (self.features, *(layer.outputs for layer in self.layers))

    @property
    def activations(self) -> tuple[str, ...]:
        """One name per layer; the last is "identity"."""
        return tuple(layer.activation for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weight.size + layer.bias.size for layer in self.layers)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of activations, shapes and float32 little-endian bytes, whatever the file format."""
        digest = hashlib.sha256(b"streameval mlp 1\n")
        for layer in self.layers:
            digest.update(f"{layer.activation} {layer.inputs} {layer.outputs}\n".encode())
            digest.update(layer.weight.astype("<f4", copy=False).data)
            digest.update(layer.bias.astype("<f4", copy=False).data)
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as safetensors, whole or not at all: W1, b1, … and the activations as metadata.

        Raises:
            StorageError: the file cannot be written.
            UsageError: the name ends as another weight format's does: .pkl, .npz, .onnx.
        """
        from streameval.models.safetensors import save

        save(self, path)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Mlp) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Mlp({self.summary})"


def check_activation(name: str) -> None:
    """Raise ModelError unless `name` is an activation that the kernels know."""
    if name not in ACTIVATIONS:
        raise ModelError(f"activation {str(name)[:40]!r} is not known. Known are: {', '.join(ACTIVATIONS)}.")


def _float32(values: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return a read-only C-contiguous float32 copy, so that neither the hash nor the checks go stale."""
    given = np.asarray(values)
    if given.dtype.kind != "f":
        raise ModelError(
            f"{name}: {given.dtype}, expected floating point. Convert it with .astype('float32')."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        copy = np.array(given, dtype=np.float32, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def _check_chain(layers: tuple[Layer, ...]) -> None:
    if not layers:
        raise ModelError("the network has no layers, expected at least one.")
    for number, (one, two) in enumerate(pairwise(layers), start=1):
        if one.outputs != two.inputs:
            raise ModelError(
                f"layer {number} has {one.outputs} outputs, but layer {number + 1} takes {two.inputs} inputs "
                f"(weights {one.weight.shape} and {two.weight.shape}): expected the same number."
            )
    if layers[-1].activation != "identity":
        raise ModelError(
            f"the last layer's activation is {layers[-1].activation!r}, expected 'identity': "
            "softmax cross-entropy sits on top of its outputs."
        )


def _check_finite(layers: tuple[Layer, ...]) -> None:
    for number, layer in enumerate(layers, start=1):
        for name, values in (("weight", layer.weight), ("bias", layer.bias)):
            finite = np.isfinite(values)
            if finite.all():
                continue
            place = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ModelError(
                f"layer {number}, {name}{list(place)}: {values[place]}, and {(~finite).sum()} such in all; "
                "expected finite float32 numbers. To evaluate all the same: --allow-nonfinite "
                "(library: allow_nonfinite=True)."
            )
