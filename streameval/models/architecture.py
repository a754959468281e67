"""A network's layers as JSON beside its arrays: written by `save`, or by whoever has weights whose file does not say.

    {"shape": [1, 28, 28], "layers": [{"kind": "conv2d", "name": "1", "stride": [1, 1], ...}, ...]}

An entry is a layer of `streameval.layers`, by its `kind` and fields, or one of PyTorch's modules, by its `type`: the
arrays of either are called `name.weight`, `name.bias` and so on. Knows both vocabularies. Does not know file formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval import json_text
from streameval.budget import Budget
from streameval.errors import ModelError
from streameval.layers import AvgPool2d, GlobalAvgPool2d, LayerNorm, MaxPool2d, layer_classes
from streameval.layers.layer import Layer, Shape
from streameval.layers.numbers import borders, one, pair
from streameval.models.file import Loaded
from streameval.models.graphs import fusing
from streameval.models.graphs.steps import (
    Activate,
    Affine,
    Convolution,
    Flatten,
    Linear,
    Step,
    Sum,
    Whole,
    as_numbers,
)

METADATA: Final = "architecture"
EXAMPLE: Final = '{"shape": [784], "layers": [{"type": "Linear", "name": "fc1"}, {"type": "ReLU"}, ...]}'
MOST_LAYERS: Final = 10_000
MOST_DEPTH: Final = 8
MOST_LETTERS: Final = 200
AGAIN: Final = "the architecture names the same array again and again"

Arrays = Mapping[str, NDArray[Any]]
Entry = dict[str, Any]


# --- writing ---


def describe(layers: Sequence[Layer], shape: Shape) -> tuple[str, dict[str, NDArray[np.float32]]]:
    """Return the architecture as JSON, and the arrays that it names."""
    arrays: dict[str, NDArray[np.float32]] = {}
    entries = _entries(layers, "", arrays)
    return json.dumps({"shape": list(shape), "layers": entries}), arrays


def _entries(layers: Sequence[Layer], prefix: str, arrays: dict[str, NDArray[np.float32]]) -> list[Entry]:
    entries = []
    for number, layer in enumerate(layers, start=1):
        name = f"{prefix}{number}"
        entry: Entry = {"kind": layer.kind}
        own = {} if layer.kind == "residual" else layer.arrays()
        if own:
            entry["name"] = name
            arrays.update({f"{name}.{key}": array for key, array in own.items()})
        for field in fields(layer):  # type: ignore[arg-type]  # every layer is a dataclass
            value = getattr(layer, field.name)
            if field.name in ("body", "shortcut"):
                entry[field.name] = _entries(value, f"{name}.{field.name}.", arrays)
            elif field.name not in own:
                entry[field.name] = list(value) if isinstance(value, tuple) else value
        entries.append(entry)
    return entries


# --- reading ---


def read(text: str, arrays: Arrays, size: int) -> Loaded:
    """Return the network of an architecture and its arrays, which a file of `size` bytes holds.

    Raises:
        ModelError: not such JSON, an entry or array that is not known or not used, shapes that do not fit.
    """
    reading = _Reading(arrays, size)
    try:
        found = json_text.parse(text)
        if not isinstance(found, dict) or set(found) != {"shape", "layers"}:
            raise ModelError(f"expected an object of shape and layers, such as {EXAMPLE}.")
        shape = _shape(found["shape"])
        layers = fusing.layers(reading.steps(found["layers"], 0), shape)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise ModelError(f"architecture: {error}") from None
        raise ModelError(f"architecture: no usable JSON ({str(error)[:100]}), expected {EXAMPLE}.") from None
    unused = [name for name in arrays if name not in reading.used]
    if unused:
        raise ModelError(
            f"architecture: it has no layer for the arrays {', '.join(name[:60] for name in unused[:6])}."
        )
    return Loaded(layers, ["layers: as the architecture in the file declares them."], shape)


def _shape(value: Any) -> Shape:
    fine = isinstance(value, list) and 1 <= len(value) <= 3
    if not fine or not all(type(side) is int and 0 < side < 1 << 28 for side in value):
        raise ModelError(f"shape {str(value)[:60]}, expected [features] or [channels, height, width].")
    return tuple(value)


class _Reading:
    """The arrays that entries may name, those that were, and what may still be spent on them."""

    def __init__(self, arrays: Arrays, size: int) -> None:
        self._arrays = arrays
        self._budget = Budget(size, times=8, error=ModelError)
        self._left = MOST_LAYERS
        self.used: set[str] = set()

    def steps(self, entries: Any, depth: int) -> list[Step]:
        """The steps of a list of entries."""
        if not isinstance(entries, list) or depth > MOST_DEPTH:
            raise ModelError(
                f"layers: {str(entries)[:60]}, expected a list, nested {MOST_DEPTH} deep at most."
            )
        self._left -= len(entries)
        if self._left < 0:
            raise ModelError(f"more than {MOST_LAYERS} layers.")
        made: list[Step] = []
        for number, entry in enumerate(entries, start=1):
            try:
                made += self._step(entry, depth)
            except ModelError as error:
                raise ModelError(f"entry {number}, {error}") from None
        return made

    def _step(self, entry: Any, depth: int) -> list[Step]:
        if not isinstance(entry, dict) or (("kind" in entry) == ("type" in entry)):
            raise ModelError(f"{str(entry)[:80]}: expected an object with either a kind or a type.")
        settings = dict(entry)
        name = settings.pop("name", None)
        if name is not None and not (isinstance(name, str) and len(name) <= MOST_LETTERS):
            raise ModelError(f"name {str(name)[:60]!r}, expected text of at most {MOST_LETTERS} letters.")
        if "kind" in settings:
            return [Whole(self._own(str(settings.pop("kind")), name, settings, depth))]
        what = str(settings.pop("type"))
        if what == "Residual":
            ways = [tuple(self.steps(settings.pop(way, []), depth + 1)) for way in ("body", "shortcut")]
            made: list[Step] = [Sum(ways[0], ways[1])]
        else:
            module = MODULES.get(what)
            if module is None:
                raise ModelError(f"type {what[:60]!r}: expected one of Residual, {', '.join(MODULES)}.")
            made = list(module(_Module(self, name, settings)))
        if settings:
            raise ModelError(
                f"type {what}: it has no setting {', '.join(str(key)[:40] for key in settings)}."
            )
        return made

    def _own(self, kind: str, name: str | None, settings: Entry, depth: int) -> Layer:
        """A layer by its kind, its arrays among the settings of its constructor."""
        classes = {one.kind: one for one in layer_classes()}  # type: ignore[attr-defined]  # all have a kind
        if kind not in classes:
            raise ModelError(f"kind {kind[:60]!r}: expected one of {', '.join(classes)}.")
        known = [field.name for field in fields(classes[kind])]
        strange = [key for key in settings if key not in known]
        if strange:
            raise ModelError(f"kind {kind}: it has no field {strange[0][:40]!r}, but {', '.join(known)}.")
        for way in ("body", "shortcut"):
            if way in settings:
                inside = self.steps(settings[way], depth + 1)
                settings[way] = [step.layer for step in inside if isinstance(step, Whole)]
                if len(settings[way]) != len(inside):
                    raise ModelError(f"kind {kind}: a type in its {way}, expected kinds in a kind.")
        own = [key for key in known if name is not None and f"{name}.{key}" in self._arrays]
        try:
            layer: Layer = classes[kind](**settings, **{key: self.array(name, key) for key in own})
        except TypeError:
            raise ModelError(
                f"kind {kind}, name {name!r}: expected {', '.join(known)} among fields and arrays."
            ) from None
        return layer

    def array(self, name: str | None, key: str) -> NDArray[Any]:
        """The array `name.key`. Raises ModelError if there is none."""
        full = f"{name}.{key}"
        if name is None or full not in self._arrays:
            raise ModelError(
                f"no array {full[:80]!r} in the file, which has {', '.join(list(self._arrays)[:6])}, …."
            )
        self.used.add(full)
        array = self._arrays[full]
        self._budget.spend(8 * array.size, AGAIN)
        return array

    def optional(self, name: str | None, key: str) -> NDArray[Any] | None:
        """The same, None if there is none."""
        return self.array(name, key) if f"{name}.{key}" in self._arrays else None


class _Module:
    """One of PyTorch's modules: its arrays, and its settings, which are taken out as they are read."""

    def __init__(self, reading: _Reading, name: str | None, settings: Entry) -> None:
        self._reading, self._name, self._settings = reading, name, settings

    def take(self, key: str, default: Any) -> Any:
        return self._settings.pop(key, default)

    def number(self, key: str, default: float) -> float:
        value = self.take(key, default)
        if type(value) not in (int, float):
            raise ModelError(f"{key} {str(value)[:40]!r}, expected a number.")
        return float(value)

    def array(self, key: str, rank: int) -> NDArray[np.float64]:
        array = self._reading.array(self._name, key)
        if array.ndim != rank or array.dtype.kind != "f":
            raise ModelError(
                f"{self._name}.{key}: {array.dtype} of shape {array.shape}, expected {rank} dimensions."
            )
        return as_numbers(array)

    def bias(self, outputs: int) -> NDArray[np.float64]:
        found = self._reading.optional(self._name, "bias")
        if found is None:
            return np.zeros(outputs)
        if found.shape != (outputs,) or found.dtype.kind != "f":
            raise ModelError(
                f"{self._name}.bias: {found.dtype} of shape {found.shape}, expected ({outputs},)."
            )
        return as_numbers(found)


def _linear(module: _Module) -> list[Step]:
    weight = module.array("weight", 2)
    return [Linear(weight.T, module.bias(weight.shape[0]))]


def _conv(module: _Module) -> list[Step]:
    weight = module.array("weight", 4)
    stride, padding = pair(module.take("stride", 1), "stride"), borders(module.take("padding", 0))
    groups = one(module.take("groups", 1), "groups", 1)
    return [Convolution(weight, module.bias(weight.shape[0]), stride, padding, groups)]


def _batch_norm(module: _Module) -> list[Step]:
    gamma, mean, variance = (module.array(key, 1) for key in ("weight", "running_mean", "running_var"))
    beta, eps = module.bias(gamma.size), module.number("eps", 1e-5)
    if not gamma.shape == mean.shape == variance.shape or not (variance + eps > 0.0).all():
        raise ModelError(
            f"batch normalisation of shapes {gamma.shape}, {mean.shape}, {variance.shape}, eps {eps:g}."
        )
    scale = gamma / np.sqrt(variance + eps)
    return [Affine(scale, beta - mean * scale)]


def _layer_norm(module: _Module) -> list[Step]:
    gamma = module.array("weight", 1)
    return [Whole(LayerNorm(gamma, module.bias(gamma.size), eps=module.number("eps", 1e-5)))]


def _max_pool(module: _Module) -> list[Step]:
    kernel, stride, padding = (module.take(key, default) for key, default in _POOL)
    return [Whole(MaxPool2d(kernel, stride, padding, ceil_mode=bool(module.take("ceil_mode", False))))]


def _avg_pool(module: _Module) -> list[Step]:
    kernel, stride, padding = (module.take(key, default) for key, default in _POOL)
    ceil, counted = bool(module.take("ceil_mode", False)), bool(module.take("count_include_pad", True))
    return [Whole(AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=counted))]


def _global_pool(module: _Module) -> list[Step]:
    if module.take("output_size", 1) not in (1, [1, 1]):
        raise ModelError("AdaptiveAvgPool2d to more than one place, expected output_size 1.")
    return [Whole(GlobalAvgPool2d())]


def _gelu(module: _Module) -> list[Step]:
    form = module.take("approximate", "none")
    if form not in ("none", "tanh"):
        raise ModelError(f"GELU approximate {str(form)[:20]!r}, expected none or tanh.")
    return [Activate("gelu" if form == "none" else "gelu_tanh")]


def _plain(name: str) -> Callable[[_Module], list[Step]]:
    return lambda module: [Activate(name)]


def _nothing(module: _Module) -> list[Step]:
    module.take("p", None)
    return []


_POOL: Final = (("kernel_size", None), ("stride", None), ("padding", 0))
MODULES: Final[dict[str, Callable[[_Module], list[Step]]]] = {
    "Linear": _linear,
    "Conv2d": _conv,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "LayerNorm": _layer_norm,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool2d": _global_pool,
    "Flatten": lambda module: [Flatten()],
    "Dropout": _nothing,
    "Dropout2d": _nothing,
    "Identity": _nothing,
    "ReLU": _plain("relu"),
    "ReLU6": _plain("relu6"),
    "Sigmoid": _plain("sigmoid"),
    "Tanh": _plain("tanh"),
    "Softplus": _plain("softplus"),
    "SiLU": _plain("silu"),
    "Hardswish": _plain("hard_swish"),
    "GELU": _gelu,
    "LeakyReLU": lambda module: [Activate(f"leaky_relu({module.number('negative_slope', 0.01)!r})")],
    "ELU": lambda module: [Activate(f"elu({module.number('alpha', 1.0)!r})")],
}
