"""Make layers out of named arrays: which is a weight, in what order, which way round, which activation.

Knows the usual names of weights in files. Does not know any file format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise, permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.activations import ACTIVATIONS, check_activation
from streameval.layers.layer import Layer as AnyLayer
from streameval.models.file import Choices, Loaded
from streameval.models.mlp import Layer

# Letters of an activation's name that are looked at.
MAX_NAME = 60


@frozen
class Weights:
    """What a weight file holds.

    arrays       every array by its name, in the file's order
    activations  the names that the file records, or None
    ordered      whether the file's order was chosen by its writer (safetensors sorts)
    """

    arrays: dict[str, NDArray[Any]]
    activations: tuple[str, ...] | None = None
    ordered: bool = True


@frozen
class Style:
    """A way to name weights. Group 1 of both patterns says which layer; `default` fills hidden layers."""

    name: str
    weight: re.Pattern[str]
    bias: re.Pattern[str]
    inputs_first: bool
    default: str | None


STYLES = (
    Style(
        "W1, b1",
        re.compile(r"(?:.*[./])?[Ww]_?(\d+)"),
        re.compile(r"(?:.*[./])?[Bb]_?(\d+)"),
        inputs_first=True,
        default="sigmoid",
    ),
    Style(
        "fc1.weight, fc1.bias",
        re.compile(r"(?:(.*)\.)?weight"),
        re.compile(r"(?:(.*)\.)?bias"),
        inputs_first=False,
        default=None,
    ),
    Style(
        "Dense_0/kernel, Dense_0/bias",
        re.compile(r"(?:(.*)[./])?kernel(?::0)?"),
        re.compile(r"(?:(.*)[./])?bias(?::0)?"),
        inputs_first=True,
        default=None,
    ),
)


def assemble(weights: Weights, choices: Choices) -> Loaded:
    """Return the layers that the arrays make, and one sentence for each decision that was taken.

    The book's networks with convolutions or batch normalisation are recognised: see `book`.

    Order: by the numbers in the names, else the file's, else the only one in which the shapes chain.
    Orientation: the naming's own, (inputs, outputs) for W1, (outputs, inputs) for fc1.weight, unless only
    the other one chains. Activations: the file's, else `activation`, else sigmoid for W1, b1.

    Raises:
        ModelError: names that are not recognised, shapes that do not chain, activations that are missing,
            unknown or contradict the file.
    """
    from streameval.models import book

    recognised = book.recognise(weights, choices)
    if recognised is not None:
        return recognised
    style, pairs = _pairs(weights.arrays)
    names, flip, notes = _arrange(style, pairs, ordered=weights.ordered)
    default = style.default
    if default is not None and len(names) == 2 and weights.activations is None and choices.activation is None:
        raise ModelError(
            f"two layers named {style.name}, and nothing that says which activation is between them: the book's "
            "networks of this form use sigmoid in chapter 4 and relu in chapter 5. Say it: --activation sigmoid or "
            '--activation relu (library: load_model(path, activation="relu")).'
        )
    activations, said = settle_activations(
        len(names), weights.activations, choices.activation, default=default
    )
    guessed = said if said.startswith(f"activations: {default}, usual") else None
    if all(w.shape[0] == w.shape[1] for w, _ in pairs.values()):
        way = "(inputs, outputs)" if style.inputs_first else "(outputs, inputs)"
        notes.append(f"every weight is square: read as {way}, as the names {style.name} say.")
    missing = [name for name in names if pairs[name][1] is None]
    if missing:
        notes.append(f"layers without a bias: {_some(missing)}; zeros are used.")
    layers = []
    for name, act in zip(names, activations, strict=True):
        weight, bias = pairs[name]
        weight = weight.T if flip else weight
        layers.append(Layer(weight, np.zeros(weight.shape[1]) if bias is None else bias, act))
    return Loaded(layers, [*notes, said], guessed=guessed)


def check_recorded(layers: Sequence[AnyLayer], wanted: str | Sequence[str] | None) -> str:
    """Return a sentence that says where the activations of a file come from that records each of them.

    Raises:
        ModelError: `wanted`, one name or one for each hidden layer that has an activation, contradicts the file.
    """
    if wanted is not None:
        names = [clean(name) for name in (wanted.split(",") if isinstance(wanted, str) else wanted)]
        recorded = [str(layer.activation) for layer in layers if hasattr(layer, "activation")][:-1]
        if (names * len(recorded) if len(names) == 1 else names) != recorded:
            raise ModelError(
                f"the file records the activations {', '.join(recorded) or 'of none'}, but {', '.join(names)} were "
                "asked for. Leave --activation out."
            )
    return "activations: as the file records them."


def settle_activations(
    layers: int,
    recorded: Sequence[str] | None,
    wanted: str | Sequence[str] | None,
    *,
    default: str | None,
) -> tuple[tuple[str, ...], str]:
    """Return one activation per layer, the last "identity", and a sentence that says where they come from.

    `wanted` is one name for all hidden layers, or one per hidden layer ("relu,tanh" or a sequence).

    Raises:
        ModelError: none is known, the count is wrong, or `wanted` contradicts the file.
    """
    from_file = None if recorded is None else _per_layer(layers, recorded, "the file records")
    from_user = None
    if wanted is not None:
        names = wanted.split(",") if isinstance(wanted, str) else list(wanted)
        names = names * (layers - 1) if len(names) == 1 and layers > 1 else names
        from_user = _per_layer(layers, names, "asked for:")
    if from_file is not None:
        if from_user not in (None, from_file):
            raise ModelError(
                f"the file records the activations {', '.join(from_file)}, but {', '.join(from_user or ())} "
                "were asked for. Leave --activation out."
            )
        return from_file, "activations: as the file records them."
    if from_user is not None:
        return from_user, "activations: as asked for."
    if layers == 1:
        return ("identity",), "activations: a single layer has none."
    if default is None:
        raise ModelError(
            "the file does not say which activation its hidden layers use, and its weights do not tell. Say the one "
            f"that the network was trained with by --activation (library: load_model(path, activation=...)): one of "
            f"{', '.join(ACTIVATIONS)}."
        )
    hidden = (default,) * (layers - 1)
    return (*hidden, "identity"), f"activations: {default}, usual for this naming; --activation changes it."


def _per_layer(layers: int, names: Sequence[str], who: str) -> tuple[str, ...]:
    """Return `layers` known names: a last softmax is the one on top anyway, a missing last is identity."""
    fitting = len(names) in (layers - 1, layers)  # before anything is made of them: a file may name a million
    named = [clean(name) for name in names] if fitting else []
    if len(named) == layers and named[-1] in ("identity", "softmax", "log_softmax"):
        named = named[:-1]
    if len(named) != layers - 1 or not fitting:
        raise ModelError(
            f"{who} {len(names)} activations, but the network has {layers} layers: expected {layers - 1}, "
            "one for each hidden layer."
        )
    return (*(check_activation(name) for name in named), "identity")


def clean(name: str) -> str:
    """An activation's name as people write it, as networks keep it."""
    return str(name)[:MAX_NAME].strip().lower().replace("-", "_")


_Pairs = dict[str, tuple[NDArray[Any], NDArray[Any] | None]]


def _pairs(arrays: dict[str, NDArray[Any]]) -> tuple[Style, _Pairs]:
    """Return the first style that every name fits, and weight and bias of each layer in the file's order."""
    if not arrays:
        raise ModelError("no arrays, expected weights and biases, for instance W1, b1, W2, b2.")
    _refuse_more_than_dense(arrays)
    for style in STYLES:
        if all(style.weight.fullmatch(name) or style.bias.fullmatch(name) for name in arrays):
            return style, _group(style, arrays)
    strange = [
        name
        for name in arrays
        if not any(style.weight.fullmatch(name) or style.bias.fullmatch(name) for style in STYLES)
    ]
    raise ModelError(
        f"arrays named {_some(strange or arrays)}; expected weights and biases of dense layers and nothing "
        f"else, named like one of these: {'; '.join(style.name for style in STYLES)}."
    )


# What normalisation keeps beside its scale.
_RUNNING: Final = ("running_mean", "running_var", "num_batches_tracked")


def _refuse_more_than_dense(arrays: dict[str, NDArray[Any]]) -> None:
    """Say why names and numbers of convolutions and normalisation are not enough, and what is."""
    kinds = {
        "a convolution": [name for name, array in arrays.items() if array.ndim == 4],
        "normalisation": [
            name
            for name, array in arrays.items()
            if name.endswith(_RUNNING) or (name.endswith(".weight") and array.ndim == 1 and array.size > 1)
        ],
    }
    for kind, names in kinds.items():
        if names:
            raise ModelError(
                f"{_some(names)}: {kind}. The file holds numbers and names, not which kind it is, strides and "
                "padding, and what comes after what. Give the module itself (library: "
                "streameval.from_torch(module, shape)), or "
                "export it to ONNX: torch.onnx.export."
            )


def _group(style: Style, arrays: dict[str, NDArray[Any]]) -> _Pairs:
    weights: dict[str, NDArray[Any]] = {}
    biases: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        match = style.weight.fullmatch(name)
        home = weights if match else biases
        layer = (match or style.bias.fullmatch(name) or [name, ""])[1] or ""
        if layer in home:
            raise ModelError(f"two arrays for the same layer, {_some([name])} and another, expected one.")
        if array.dtype.kind != "f":
            raise ModelError(f"{_some([name])}: numbers of type {array.dtype}, expected floating point.")
        if match and (array.ndim != 2 or array.size == 0):
            raise ModelError(f"{_some([name])}: shape {array.shape}; only dense layers, (n, m), are read.")
        if not match and array.size != max(array.shape, default=1):
            raise ModelError(f"{_some([name])}: shape {array.shape}, expected a bias (outputs,).")
        home[layer] = array if match else array.reshape(-1)
    lost = [layer for layer in biases if layer not in weights]
    if lost:
        raise ModelError(f"a bias without a weight for layer {_some(lost)}. Layers: {_some(weights)}.")
    return {layer: (weight, biases.get(layer)) for layer, weight in weights.items()}


def _arrange(style: Style, pairs: _Pairs, *, ordered: bool) -> tuple[list[str], bool, list[str]]:
    """Return the layers' names in order, whether the weights must be transposed, and what to tell."""
    orders, notes = _orders(pairs, ordered=ordered)
    for flip in (not style.inputs_first, style.inputs_first):
        fitting = [order for order in orders if _misfit(pairs, order, flip=flip) is None]
        if len(fitting) > 1:
            raise ModelError(
                f"the layers {_some(pairs)} fit together in {len(fitting)} orders, and neither their names "
                "nor the file say which. Number them: fc1.weight, fc2.weight, …"
            )
        if fitting:
            if flip == style.inputs_first:
                way = "(outputs, inputs)" if flip else "(inputs, outputs)"
                notes.append(
                    f"the weights are {way}, not the usual way for {style.name}: only so they chain."
                )
            return fitting[0], flip, notes
    raise ModelError(_misfit(pairs, orders[0], flip=not style.inputs_first) or "the layers do not chain.")


def _orders(pairs: _Pairs, *, ordered: bool) -> tuple[list[list[str]], list[str]]:
    names = list(pairs)
    numbers = {name: tuple(map(int, re.findall(r"\d{1,18}", name))) for name in names}
    shapes = {re.sub(r"\d+", "#", name) for name in names}
    if len(shapes) == 1 and len(set(numbers.values())) == len(names):
        return [sorted(names, key=numbers.__getitem__)], []
    if ordered:
        return [names], ["order of the layers: the file's own, for their names have no common numbering."]
    if len(names) > 6:
        raise ModelError(
            f"the order of the layers {_some(names)} is not in their names. Number them: fc1.weight, "
            "fc2.weight, …"
        )
    return [list(order) for order in permutations(names)], [
        "order of the layers: the only one in which their shapes chain."
    ]


def _misfit(pairs: _Pairs, order: Sequence[str], *, flip: bool) -> str | None:
    """Say which two numbers contradict each other in this order and orientation, or return None."""
    sizes = {name: pairs[name][0].shape[:: -1 if flip else 1] for name in order}
    for one, two in pairwise(order):
        if sizes[one][1] != sizes[two][0]:
            return (
                f"layer {one[:60]!r} has {sizes[one][1]} outputs, but layer {two[:60]!r} takes "
                f"{sizes[two][0]} inputs: expected the same number."
            )
    for name in order:
        bias = pairs[name][1]
        if bias is not None and bias.size != sizes[name][1]:
            return f"layer {name[:60]!r} has {sizes[name][1]} outputs, but its bias has {bias.size} numbers."
    return None


def _some(names: Iterable[str]) -> str:
    """Name up to six, cut to a length that fits a message, control characters made visible."""
    shown = [repr(name[:60]) for _, name in zip(range(7), names, strict=False)]
    return ", ".join(shown[:6]) + (", …" if len(shown) > 6 else "")
