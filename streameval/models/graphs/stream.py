"""The rows of a network on their way through a graph: each operation says where they are next.

Knows what each operation does to shapes, and which ones the package's layers can do. Does not know in what file or
program the graph was found. Errors say what was found and what was expected; the caller adds where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from streameval.errors import ModelError
from streameval.layers import AvgPool2d, LayerNorm
from streameval.layers.layer import Layer, Shape
from streameval.layers.numbers import windows
from streameval.models.graphs import formulas
from streameval.models.graphs.formulas import Formula, X
from streameval.models.graphs.steps import (
    Activate,
    Affine,
    Convolution,
    Flatten,
    Linear,
    Numbers,
    Pad,
    Path,
    Sides,
    Step,
    Sum,
    Whole,
    parting,
)

MOST_STEPS = 10_000
MOST_DEPTH = 32
# The ends of float32 are what exporters write for "no end".
FARTHEST = 3.4e38


class Stream:
    """One value of a graph, for every row: an elementwise formula of what a path comes to.

    The formula is kept open, since an activation may be spelt out in several operators; `settle` turns it into steps.
    """

    def __init__(self, path: Path, formula: Formula = X, *, softmax: bool = False) -> None:
        self.path, self.formula, self.softmax = path, formula, softmax

    @property
    def shape(self) -> Shape | None:
        """Of a row; None where the graph does not say."""
        return self.path.shape

    @property
    def is_input(self) -> bool:
        """Whether nothing but scaling happened to it yet."""
        return self.path.before is None or (isinstance(self.path.step, Affine) and self.path.length == 1)

    def settle(self) -> Path:
        """The path to the value itself: what was open becomes activations and scales."""
        while self.formula != X:
            affine, known, nested = (
                self.formula.affine,
                formulas.known(self.formula),
                formulas.inner(self.formula),
            )
            normal = formulas.normalised(self.formula)
            if affine is not None:
                self._affine(*affine)
                self.formula = X
            elif normal is not None:
                eps, scale, shift = normal
                self.path = self._normalised(short(eps))
                self._affine(scale, shift)
                self.formula = X
            elif known is not None:
                name, scale, shift = known
                self.path = self.path.then(Activate(name), self.shape)
                self._affine(scale, shift)
                self.formula = X
            elif nested is not None:
                first = Stream(self.path, nested[0])
                self.path, self.formula = first.settle(), nested[1]
            else:
                raise ModelError(
                    f"it computes {str(self.formula)[:160]} of each value x, which is none of the activations "
                    "that are known."
                )
        return self.path

    def _normalised(self, eps: float) -> Path:
        """The path one step on: flat rows less their mean, over their deviation."""
        shape = self.shape
        if shape is None or len(shape) != 1:
            raise ModelError(f"rows of shape {shape} are normalised, expected flat ones of known length.")
        return self.path.then(Whole(LayerNorm(np.ones(shape), np.zeros(shape), eps=eps)), shape)

    def _affine(self, scale: float, shift: float) -> None:
        if (scale, shift) != (1.0, 0.0):
            self.path = self.path.then(Affine(np.float64(scale), np.float64(shift)), self.shape)  # type: ignore[arg-type]

    # Elementwise.

    def mapped(self, formula: Formula) -> Stream:
        """The same path with another formula."""
        return Stream(self.path, formula)

    def call(self, function: str) -> Stream:
        """A function of every value."""
        return self.mapped(self.formula.call(function))

    def clipped(self, low: float, high: float) -> Stream:
        """min(max(x, low), high) of every value, by the rectifiers that there are; ends beyond float32 are none."""
        x = self.formula
        if not low < high:
            raise ModelError(f"between {low:.6g} and {high:.6g}: expected room between them.")
        lower, upper = low > -FARTHEST, high < FARTHEST
        rectified = x.argument_of("relu")
        if upper and not lower and rectified is not None and high > 0.0:
            x, low, lower = rectified, 0.0, True
        if lower and upper:
            width = high - low
            return self.mapped(x.plus(-low).times(6 / width).call("relu6").times(width / 6).plus(low))
        if lower:
            return self.mapped(x.plus(-low).call("relu").plus(low))
        return self.mapped(x.times(-1.0).plus(high).call("relu").times(-1.0).plus(high)) if upper else self

    def scaled(self, scale: Numbers, shift: Numbers) -> Stream:
        """scale x + shift: numbers (), or one for each channel or value of a flat row (n,)."""
        if scale.ndim == 0 and shift.ndim == 0:
            return self.mapped(self.formula.times(float(scale)).plus(float(shift)))
        return Stream(self.settle().then(Affine(scale, shift), self.shape))

    def plus(self, other: Stream, sign: float = 1.0) -> Stream:
        """The sum with another value of the graph, or the difference if `sign` is -1."""
        if self.path is other.path:
            return self.mapped(self.formula + other.formula.times(sign))
        added = other if sign == 1.0 else other.mapped(other.formula.times(sign))
        one, two = self.settle(), added.settle()
        if one.shape != two.shape or one.shape is None:
            raise ModelError(
                f"a sum of rows of shape {one.shape} and {two.shape}, expected the same known shape."
            )
        start = parting(one, two)
        if start is None:
            raise ModelError("a sum of two ways that do not begin with the same rows.")
        body, shortcut = one.steps(start), two.steps(start)
        if len(body) < len(shortcut):
            body, shortcut = shortcut, body
        size = one.size + two.size - 2 * start.size + 1
        depth = 1 + max(one.depth, two.depth)
        if start.size + size > MOST_STEPS or depth > MOST_DEPTH:
            raise ModelError(
                f"ways that part and meet again and again: more than {MOST_STEPS} steps, or {MOST_DEPTH} sums in sums."
            )
        return Stream(start.then(Sum(body, shortcut), one.shape, size, depth))

    def times(self, other: Stream) -> Stream:
        """The product with another value of the graph, which has to be a formula of the same place."""
        if self.path is not other.path:
            raise ModelError(
                "a product of two values that were computed apart (a gate, attention), expected activations such as "
                "x Sigmoid(x)."
            )
        return self.mapped(self.formula * other.formula)

    def over(self, other: Stream) -> Stream:
        """The quotient of two values of the graph."""
        if self.path is not other.path:
            raise ModelError("a quotient of two values that were computed apart.")
        return self.mapped(self.formula * other.formula.call("inverse"))

    # Layers.

    def dense(self, weight: Numbers, bias: Numbers) -> Stream:
        """x @ weight + bias: (inputs, outputs), and () or (outputs,)."""
        path = self.settle()
        if weight.ndim != 2 or weight.size == 0 or (path.shape is not None and len(path.shape) != 1):
            raise ModelError(
                f"a product of a weight of shape {weight.shape} and rows of shape {path.shape}; expected flat rows "
                "and (inputs, outputs)."
            )
        if path.shape is not None and path.shape != weight.shape[:1]:
            raise ModelError(
                f"{path.shape[0]} values per row come to a weight {weight.shape} that takes {weight.shape[0]} inputs: "
                "expected the same number."
            )
        step = Linear(weight, np.broadcast_to(bias, weight.shape[1:]))
        return Stream(path.then(step, (weight.shape[1],)))

    def convolve(
        self, weight: Numbers, bias: Numbers, stride: tuple[int, int], padding: Sides, groups: int
    ) -> Stream:
        """Cross-correlation: weight (outputs, inputs / groups, height, width), bias () or (outputs,)."""
        path, padding = self._unpadded(padding)
        channels, height, width = image(path.shape)
        if weight.ndim != 4 or weight.size == 0:
            raise ModelError(
                f"a kernel of shape {weight.shape}, expected (outputs, inputs, height, width), none of them 0."
            )
        outputs, inputs, high, wide = weight.shape
        if groups < 1 or channels != inputs * groups or outputs % groups:
            raise ModelError(
                f"a kernel of shape {weight.shape} in {groups} groups on {channels} channels: expected "
                f"(outputs, {channels} / groups, height, width)."
            )
        out = windows(height, high, stride[0], *padding[::2]), windows(width, wide, stride[1], *padding[1::2])
        if not all(out):
            raise ModelError(f"a kernel {high} x {wide} on images {height} x {width} with padding {padding}.")
        step = Convolution(weight, np.broadcast_to(bias, (outputs,)), stride, padding, groups)
        return Stream(path.then(step, (outputs, *out)))

    def pad(self, sides: Sides) -> Stream:
        """Zeros around each channel."""
        path, sides = self._unpadded(sides)
        channels, height, width = image(path.shape)
        if min(sides) < 0:
            raise ModelError(f"padding by {sides}, expected no negative number.")
        shape = (channels, height + sides[0] + sides[2], width + sides[1] + sides[3])
        return Stream(path.then(Pad(sides), shape) if any(sides) else path)

    def _unpadded(self, sides: Sides) -> tuple[Path, Sides]:
        """Where the rows were before a Pad, and all sides to be padded together."""
        path = self.settle()
        if isinstance(path.step, Pad) and path.before is not None:
            sides = tuple(a + b for a, b in zip(path.step.sides, sides, strict=True))  # type: ignore[assignment]
            path = path.before
        return path, sides

    def layer(self, layer: Layer) -> Stream:
        """A layer that is a step as it is: pooling, normalisation."""
        path = self.settle()
        if path.shape is None:
            raise ModelError(
                f"{layer.kind}: the graph does not say the shape of its rows; export it with one."
            )
        return Stream(path.then(Whole(layer), layer.shape(path.shape)))

    def averaged(self, layer: AvgPool2d) -> Stream:
        """Average pooling, with the zeros of a Pad before it, which count."""
        path, padding = self._unpadded(layer.padding)
        # To the ceiling a window may begin in a Pad's zeros, but not in padding; no window lies in padding alone.
        fits = not layer.ceil_mode and all(padding[k] < layer.kernel[k % 2] for k in range(4))
        if path is not self.path and fits and layer.count_include_pad:
            return Stream(path).layer(AvgPool2d(layer.kernel, layer.stride, padding))
        return self.layer(layer)

    def flatten(self) -> Stream:
        """The same values as one row."""
        return self if self.shape is not None and len(self.shape) == 1 else self.reshape(None)

    def reshape(self, shape: Shape | None) -> Stream:
        """The same values in another shape: a flat one (None: whatever its length), or any at the input."""
        here = self.shape
        size = None if here is None else math.prod(here)
        if shape is None:
            shape = None if size is None else (size,)
        elif size is not None and size != math.prod(shape):
            raise ModelError(f"rows of shape {here} become {shape}, expected as many values.")
        if self.formula.is_of_rows:
            self.settle()
        return Stream(_reshaped(self.path, shape), self.formula)

    def softmax_of(self) -> Stream:
        """The end: softmax is on top of a network anyway."""
        path = self.settle()
        return Stream(path, softmax=True)

    def logits(self) -> tuple[tuple[Step, ...], Shape]:
        """The steps to this value, and the shape of a row that they begin with.

        Raises:
            ModelError: they end with an activation, or there is no step that a network could be made of.
        """
        path = self.settle()
        steps = path.steps()
        if not any(isinstance(step, Linear | Convolution) for step in _flat(steps)):
            raise ModelError("the graph ends with no layer at all, expected a network's outputs (logits).")
        last = steps[-1]
        if isinstance(last, Activate):
            raise ModelError(
                f"the graph ends with {last.name}, expected a layer's outputs (logits), or Softmax of them."
            )
        if isinstance(last, Pad):
            raise ModelError("the graph ends with Pad, expected a layer's outputs (logits).")
        shape = path.root.shape
        if shape is None:
            first = next(step for step in steps if isinstance(step, Linear))
            shape = (first.weight.shape[0],)
        return steps, shape


def _reshaped(path: Path, shape: Shape | None) -> Path:
    """The path to the same values in another shape: scales go on behind it, of every value where they have to."""
    if path.before is None:
        return Path(None, None, shape)
    if shape == path.shape:
        return path
    step = path.step
    if isinstance(step, Affine) and (
        step.scale.ndim == step.shift.ndim == 0 or (shape is not None and len(shape) == 1)
    ):
        return _reshaped(path.before, shape).then(_spread(step, path.shape), shape)
    if shape is not None and len(shape) != 1:
        raise ModelError(
            f"rows of shape {path.shape} become {shape}: after the input, expected them to be made flat."
        )
    return path.then(Flatten(), shape)


def _spread(step: Affine, shape: Shape | None) -> Affine:
    """The numbers of each channel, once for every value of it."""
    if shape is None or len(shape) < 2:
        return step
    places = math.prod(shape[1:])
    return Affine(
        *(np.repeat(values, places) if values.ndim else values for values in (step.scale, step.shift))
    )


def image(shape: Shape | None) -> tuple[int, int, int]:
    """(channels, height, width). Raises ModelError for rows of another shape."""
    if shape is None or len(shape) != 3:
        raise ModelError(
            f"rows of {'unknown shape' if shape is None else f'shape {shape}'}, expected (channels, height, width), "
            "fixed when the graph was exported."
        )
    return shape[0], shape[1], shape[2]


def short(value: float) -> float:
    """A number that was kept as float32, as short as that tells it: 0.2 and not 0.20000000298."""
    return float(str(np.float32(value)))


def _flat(steps: Sequence[Step]) -> list[Step]:
    """The steps, those inside of sums too."""
    found: list[Step] = []
    waiting = list(steps)
    while waiting:
        step = waiting.pop()
        found.append(step)
        if isinstance(step, Sum):
            waiting += (*step.body, *step.shortcut)
    return found
