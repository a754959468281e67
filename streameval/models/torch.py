"""Make a network of a PyTorch module: its trace, as `torch.export` gives it, operation by operation.

Imports torch when it is called. The numbers are copied: what happens to the module later does not change the network.
What an operator does to rows, `torch_operations` knows.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import numpy as np

from streameval.arguments import array_or
from streameval.errors import ModelError
from streameval.layers.dense import Dense
from streameval.layers.layer import Shape
from streameval.models.graphs import fusing
from streameval.models.graphs.steps import Numbers, Path
from streameval.models.graphs.stream import Stream
from streameval.models.mlp import Mlp
from streameval.models.network import Network
from streameval.models.torch_operations import OPERATIONS, ROWS, Value

EVALUATE: Final = "The module itself can be evaluated as it is: evaluate(module.eval(), data)."


def from_torch(module: Any, shape: Shape | None = None) -> Mlp | Network:
    """Return the network that a `torch.nn.Module` computes, in evaluation mode, float32.

    shape  of a row, without the number of rows: (1, 28, 28); for a module that begins with a Linear it is known

    Anything that `torch.export` traces to convolutions, dense layers, pooling, normalisation, the activations of
    `streameval.kernels.names`, sums of two branches and reshaping. The outputs may be logits, softmax or log-softmax.

    Raises:
        ModelError: torch is not installed, the module cannot be traced, or holds an operation that is not read: named.
    """
    try:
        torch: Any = import_module("torch")
    except ImportError:
        raise ModelError("from_torch needs PyTorch: pip install torch") from None
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"{type(module).__name__}: expected a torch.nn.Module.")
    row = _first_width(torch, module) if shape is None else tuple(shape)
    program = _traced(torch, module, row)
    if len(_returned(program)) != 1:
        raise ModelError(
            f"{type(module).__name__} returns {len(_returned(program))} values, expected one: logits or probabilities. "
            "Wrap it in a module that returns that one."
        )
    # What overflows is found when the network is checked.
    with _cured(type(module).__name__), np.errstate(all="ignore"):
        output = _Walk(program, row).output(program)
        steps, start = output.logits()
        layers = fusing.layers(steps, start)
    notes = (f"read from a {type(module).__name__} of PyTorch.",)
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    made = Mlp(dense, notes=notes) if len(dense) == len(layers) else Network(layers, shape=start, notes=notes)
    object.__setattr__(made, "softmax", output.softmax)
    return made


@contextlib.contextmanager
def _cured(name: str) -> Iterator[None]:
    """Say of a module that is not read what can be done with it all the same."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{name}: {str(error).removesuffix('.')}. {EVALUATE}") from None


def _first_width(torch: Any, module: Any) -> Shape:
    """The row of a module whose first layer with weights is a Linear."""
    for inner in module.modules():
        if isinstance(inner, torch.nn.Linear):
            return (int(inner.in_features),)
        if next(inner.parameters(recurse=False), None) is not None:
            break
    raise ModelError(
        f"{type(module).__name__}: the shape of a row is not known from it. Say it: from_torch(module, (1, 28, 28))."
    )


def _traced(torch: Any, module: Any, row: Shape) -> Any:
    """The module's trace on rows of this shape. Its mode is what it was before."""
    modes = [(inner, inner.training) for inner in module.modules()]
    parameter = next(module.parameters(), None)
    example = torch.zeros(
        (ROWS, *row),
        dtype=torch.float32 if parameter is None else parameter.dtype,
        device=None if parameter is None else parameter.device,
    )
    try:
        module.eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, (example,), strict=False).run_decompositions()
    except Exception as error:  # whatever the module's own code raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{type(module).__name__} cannot be traced on rows of shape {row}: {said[:200]}. Give the shape of a row, "
            "or evaluate the module itself: evaluate(module.eval(), data)."
        ) from error
    finally:
        for inner, training in modes:
            inner.training = training


def _returned(program: Any) -> tuple[Any, ...]:
    """The nodes of a trace that the module returns."""
    return tuple(program.graph.output_node().args[0])


class _Walk:
    """The walk over a trace: what each node stands for, rows or numbers."""

    def __init__(self, program: Any, row: Shape) -> None:
        self.values: dict[Any, Value] = {}
        signature = program.graph_signature
        state = {**program.state_dict, **program.constants}
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        for node in program.graph.nodes:
            if node.op == "placeholder":
                known = names.get(node.name)
                value = Stream(Path(None, None, row)) if known is None else _numbers(state[known])
            elif node.op == "call_function":
                value = self._call(node)
            elif node.op == "get_attr":
                value = _numbers(getattr(program.graph_module, node.target))
            else:
                continue
            self.values[node] = value

    def output(self, program: Any) -> Stream:
        """The rows that the module returns."""
        returned = self.values.get(_returned(program)[0])
        if not isinstance(returned, Stream):
            raise ModelError(
                "the module returns nothing that comes of its rows: expected logits or probabilities."
            )
        return returned

    def _call(self, node: Any) -> Value:
        arguments = [self._given(one) for one in node.args]
        named = {key: self._given(one) for key, one in node.kwargs.items()}
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        operation = OPERATIONS.get(name)
        streams = [one for one in arguments if isinstance(one, Stream)]
        if operation is None:
            raise ModelError(
                f"{node.target} (node {node.name!r}) is not read. Read are: {', '.join(OPERATIONS)}."
            )
        if any(one.softmax for one in streams) and name not in (
            "log",
            "clone",
            "alias",
            "getitem",
            "_to_copy",
        ):
            raise ModelError(
                f"{node.target} (node {node.name!r}) after softmax, expected that to be the end."
            )
        try:
            return operation(*arguments, **named)
        except (ModelError, TypeError) as error:
            raise ModelError(f"{node.target} (node {node.name!r}): {error}") from None

    def _given(self, argument: Any) -> Value:
        if isinstance(argument, list | tuple):
            return [self._given(one) for one in argument]
        try:
            return self.values.get(argument, argument)
        except TypeError:  # not hashable
            return argument


def _numbers(tensor: Any) -> Numbers:
    cure = "Give a module whose numbers are there, and dense."
    return np.array(array_or(ModelError, "its weights:", tensor, cure), np.float64)
