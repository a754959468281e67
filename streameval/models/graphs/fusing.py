"""Make layers of a graph's steps: scales and shifts go into the weights beside them, activations into their layer.

Knows which steps one layer takes together, and that what goes into weights is multiplied in float64 and rounded once.
Does not know where steps come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from streameval.elementary import matmul
from streameval.layers import Activation, BatchNorm, Conv2d, Dense, Flatten, LayerNorm, Residual
from streameval.layers.layer import Layer, Shape
from streameval.models.graphs import steps as kinds
from streameval.models.graphs.steps import Affine, Convolution, Linear, Numbers, Step, Sum


def layers(steps: Sequence[Step], shape: Shape) -> list[Layer]:
    """Return the layers that `steps` make of rows of `shape`.

    Raises:
        ModelError: what the layers themselves refuse.
    """
    made: list[Layer] = []
    for open_ in _joined(steps):
        layer = _layer(open_, shape)
        if layer is not None:
            made.append(layer)
            shape = layer.shape(shape)
    return _without_flattening(made)


@dataclass(slots=True)
class _Open:
    """A step that the next ones may still go into."""

    step: Step
    activation: str = "identity"


def _joined(steps: Sequence[Step]) -> list[_Open]:
    """The steps, each with what it takes in of its neighbours."""
    out: list[_Open] = []
    for step in steps:
        last = out[-1] if out else None
        if last is not None and last.activation == "identity":
            if isinstance(step, kinds.Activate) and isinstance(
                last.step, Linear | Convolution | Sum | Affine
            ):
                last.activation = step.name
                continue
            both = _both(last.step, step)
            if both is not None:
                last.step = both
                continue
        out.append(_Open(step))
    return out


def _both(one: Step, two: Step) -> Step | None:
    """One step that does what both do one after the other, None if there is none."""
    if isinstance(two, Affine):
        if isinstance(one, Affine):
            return Affine(two.scale * one.scale, two.scale * one.shift + two.shift)
        if isinstance(one, kinds.Whole) and isinstance(one.layer, LayerNorm):
            # In float64 as float32 has them: exact where they were 1 and 0.
            norm = one.layer
            gamma, beta = norm.gamma * two.scale, norm.beta * two.scale + two.shift
            return (
                kinds.Whole(LayerNorm(gamma, beta, eps=norm.eps)) if gamma.shape == norm.gamma.shape else None
            )
        if isinstance(one, Linear):
            return Linear(one.weight * two.scale, one.bias * two.scale + two.shift)
        if isinstance(one, Convolution):
            return _scaled(one, _outputs(two.scale) * one.weight, one.bias * two.scale + two.shift)
    if isinstance(one, Affine) and isinstance(two, Linear):
        inputs = two.weight.shape[0]
        scale, shift = (np.broadcast_to(values, (inputs,)) for values in (one.scale, one.shift))
        return Linear(two.weight * scale[:, None], two.bias + matmul(shift[None], two.weight)[0])
    if isinstance(one, Affine) and isinstance(two, Convolution):
        # Zeros around the image are zeros after the shift: only without padding or shift can it go into the bias.
        if any(two.padding) and np.any(one.shift):
            return None
        _, each, _, _ = two.weight.shape
        shape = (two.groups, each)
        scale, shift = (
            np.broadcast_to(values, (two.groups * each,)).reshape(shape) for values in (one.scale, one.shift)
        )
        grouped = two.weight.reshape(two.groups, -1, *two.weight.shape[1:])
        bias = two.bias + np.concatenate(
            [matmul(one.sum(axis=(2, 3)), of[:, None])[:, 0] for one, of in zip(grouped, shift, strict=True)]
        )
        weight = (grouped * scale[:, None, :, None, None]).reshape(two.weight.shape)
        return _scaled(two, weight, bias)
    return None


def _scaled(step: Convolution, weight: Numbers, bias: Numbers) -> Convolution:
    return Convolution(weight, bias, step.stride, step.padding, step.groups)


def _outputs(values: Numbers) -> Numbers:
    return values.reshape(-1, 1, 1, 1) if values.ndim else values


def _layer(open_: _Open, shape: Shape) -> Layer | None:
    """The layer that a step becomes on rows of `shape`."""
    step, activation = open_.step, open_.activation
    if isinstance(step, Linear):
        return Dense(step.weight, np.array(step.bias), activation)
    if isinstance(step, Convolution):
        return Conv2d(
            step.weight, np.array(step.bias), stride=step.stride, padding=step.padding, groups=step.groups,
            activation=activation,
        )  # fmt: skip
    if isinstance(step, Affine):
        size = (shape[0],)
        return BatchNorm(
            np.array(np.broadcast_to(step.scale, size)),
            np.array(np.broadcast_to(step.shift, size)),
            activation,
        )
    if isinstance(step, Sum):
        return Residual(layers(step.body, shape), layers(step.shortcut, shape), activation)
    if isinstance(step, kinds.Activate):
        return Activation(step.name)
    if isinstance(step, kinds.Whole):
        return step.layer
    if isinstance(step, kinds.Flatten):
        return Flatten() if len(shape) > 1 else None
    # A Pad that nothing took in: each channel by itself, times 1.
    return Conv2d(np.ones((shape[0], 1, 1, 1)), padding=step.sides, groups=shape[0])


def _without_flattening(made: list[Layer]) -> list[Layer]:
    """A dense layer takes any shape of as many values: what only makes rows flat before it is left out."""
    kept = [
        layer
        for layer, after in zip_longest(made, made[1:])
        if not (isinstance(layer, Flatten) and isinstance(after, Dense))
    ]
    return kept[:-1] if kept and isinstance(kept[-1], Flatten) else kept
