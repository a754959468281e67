"""Read a network's arrays out of a pickle without running anything that is in it.

Knows how arrays lie in dicts and lists. What a pickle is, `pickle_machine` knows. Does not know which array is which
layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from numpy.typing import NDArray

from streameval.budget import STEP, Budget
from streameval.errors import ModelError
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.naming import Weights, assemble
from streameval.models.pickle_machine import TIMES, read
from streameval.models.rebuild import Array

MAX_ITEMS = 10_000  # weights and biases
MAX_NAME = 1_000  # letters

# What PyTorch wrote first, before 1.6.
OLD_TORCH: Final = 0x1950A86A20F9469CFC6C


def load_layers(file: ModelFile, choices: Choices) -> Loaded:
    """Return the layers in a pickled dict, or list of (weight, bias), and what had to be decided.

    Raises:
        ModelError: see `pickle_machine.read` and `naming.assemble`; or arrays larger in all than four times the file.
    """
    data = file.data
    budget = Budget(len(data), times=TIMES, error=ModelError)
    weights, notes = _weights(read(data), budget)
    for array in weights.arrays.values():
        budget.spend(array.nbytes, "the pickle names the same array again and again")
    loaded = assemble(weights, choices)
    return replace(loaded, notes=[*notes, *loaded.notes])


def _weights(tree: Any, budget: Budget) -> tuple[Weights, list[str]]:
    if type(tree) is dict:
        return _named(tree, budget), []
    if tree == OLD_TORCH:
        raise ModelError(
            "torch.save's form from before PyTorch 1.6, which is not read. Save it anew: "
            "torch.save(torch.load(path, map_location='cpu'), path)."
        )
    if type(tree) not in (list, tuple):
        raise ModelError("the pickle is not a dict of arrays, nor a list of (weight, bias).")
    flat = (item for part in tree for item in (part if type(part) in (list, tuple) else (part,)))
    arrays = list(islice(flat, MAX_ITEMS + 1))
    names = [f"{'Wb'[i % 2]}{i // 2 + 1}" for i in range(len(arrays))]
    weights = _named(dict(zip(names, arrays, strict=True)), budget)
    return weights, ["arrays without names: read as weight, bias, weight, bias, …"]


def _named(tree: dict[Any, Any], budget: Budget) -> Weights:
    """Return a dict's arrays, those of a dict in it under dotted names, and the recorded activations."""
    flat: dict[str, Any] = {}
    for name, value in _flattened(tree, budget):
        flat[name] = value
        if len(flat) > MAX_ITEMS:
            raise ModelError(f"the pickle names more than {MAX_ITEMS} values, far more than a network needs.")
    recorded = flat.pop("activations", None)
    if recorded is not None and (
        type(recorded) not in (list, tuple)
        or len(recorded) > MAX_ITEMS
        or not all(type(name) is str and len(name) <= MAX_NAME for name in recorded)
    ):
        raise ModelError("'activations' is not a list of names.")
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in flat.items():
        if type(value) is not Array or value.values is None:
            raise ModelError(f"{name[:60]!r} is a {type(value).__name__}, expected an array.")
        arrays[name] = value.values
    return Weights(arrays, None if recorded is None else tuple(recorded))


def _flattened(tree: dict[Any, Any], budget: Budget) -> Iterator[tuple[str, Any]]:
    """Yield names and values, those of a dict in it under dotted names; each name is paid for before it is made."""
    for key, value in tree.items():
        name = str(key)
        budget.spend(len(name) + STEP, "the pickle holds long names")
        if len(name) > MAX_NAME:
            raise ModelError(
                f"the pickle holds the name {name[:60]!r}…, of {len(name)} letters, expected at most {MAX_NAME}."
            )
        if type(value) is not dict:
            yield name, value
            continue
        for inner, one in value.items():
            budget.spend(len(name) + len(str(inner)) + STEP, "the pickle holds long names")
            yield f"{name}.{inner}", one
