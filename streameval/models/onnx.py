"""Read a network out of an ONNX graph of convolutions, dense layers, pooling, normalisation and activations.

Knows how such a graph is walked: from its input to its output, constants beside it. What each operator does stands in
`onnx_operators`. Runs nothing; a loop, a condition, an operator that is not read end the reading where the output
needs them. Weights may lie in a second file in the same folder: `onnx_external`. Needs the extra `[onnx]`.

The operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from streameval.errors import ModelError
from streameval.models.file import Choices, Loaded, ModelFile
from streameval.models.graphs import fusing
from streameval.models.graphs.steps import Path
from streameval.models.graphs.stream import Stream
from streameval.models.naming import check_recorded
from streameval.models.onnx_attributes import attributes
from streameval.models.onnx_class_names import class_names, name_numbers, names_said
from streameval.models.onnx_classifiers import ONLY_CLASSES
from streameval.models.onnx_constants import Constants
from streameval.models.onnx_external import Beside
from streameval.models.onnx_folding import FOLDED
from streameval.models.onnx_nodes import Node, Value
from streameval.models.onnx_operators import OPERATORS, unread
from streameval.models.onnx_refusals import UnfitError, cured
from streameval.models.onnx_tensors import check_form, opset, parse

# TensorProto.UINT8
_UINT8: Final = 2
MAX_DIMENSIONS: Final = 8
MAX_FEATURES: Final = 1 << 28


def load_layers(file: ModelFile, choices: Choices) -> Loaded:
    """Return the layers of an ONNX graph, and what had to be decided.

    The outputs may be logits or end in Softmax or LogSoftmax; the softmax is on top of a network anyway.

    Raises:
        ModelError: damaged; an operator that is not read, with its node; shapes that do not fit; weights in a file
            that is not beside it; or the extra is not installed.
    """
    model = parse(file.data)
    try:
        with cured(), np.errstate(all="ignore"):  # what overflows is found when the network is checked
            check_form(model)
            walk = _Walk(model, Beside(file.path, len(file.data)))
            for node in model.graph.node:
                walk.follow(node)
            output = walk.output()
            steps, shape = output.logits()
            layers = fusing.layers(steps, shape)
            names = class_names(model.graph, math.prod(output.shape or ()))
    except UnicodeDecodeError:
        raise ModelError("the ONNX file is damaged: a name in it is not text.") from None
    said = check_recorded(layers, choices.activation)
    notes = [*walk.notes, *([names_said(names)] if names else []), said]
    return Loaded(
        layers,
        notes,
        shape,
        files=walk.beside.files,
        softmax=output.softmax,
        raw=walk.raw,
        labels=name_numbers(names),
    )


class _Refused:
    """A value that could not be followed, and why: an error only if the output needs it."""

    def __init__(self, error: ModelError) -> None:
        self.error = error


class _Walk:
    """The walk over a graph's nodes: what each name stands for so far.

    values  a stream of rows, numbers, or why neither; constants are kept apart until they are used
    notes   what to tell people
    raw     whether the input is of bytes
    """

    def __init__(self, model: Any, beside: Beside) -> None:
        graph = model.graph
        self.beside = beside
        self.notes: list[str] = []
        self.opset = opset(model)
        self.constants = Constants(graph, beside.tensor, beside.spend)
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1 or not len(graph.output):
            raise ModelError(
                f"the graph has {len(inputs)} inputs and {len(graph.output)} outputs, expected one input."
            )
        name = str(inputs[0].name)
        self.constants.claim(name)
        self.raw = inputs[0].type.tensor_type.elem_type == _UINT8
        dims = _dims(inputs[0])
        self.batch = dims[0] if dims else 0
        shape = tuple(dims[1:]) if len(dims) > 1 and all(dims[1:]) else None
        self.values: dict[str, Value | _Refused] = {name: Stream(Path(None, None, shape))}
        self.outputs = [str(value.name) for value in graph.output]

    def follow(self, node: Any) -> None:
        """Take one node: its outputs are known then, or why they are not."""
        if not len(node.output):
            raise UnfitError("a node without an output.")
        for name in filter(None, node.output):
            self.constants.claim(str(name))
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            self.constants.remember(node)
            return
        try:
            value: Value | _Refused = self._value(node)
        except ModelError as error:
            value = _Refused(type(error)(_where(node, error)))
        for name in filter(None, node.output):
            self.values[str(name)] = value
        if node.op_type == "LinearClassifier" and isinstance(value, Stream) and node.output[0]:
            self.values[str(node.output[0])] = _Refused(UnfitError(_where(node, ONLY_CLASSES)))

    def _value(self, node: Any) -> Value | _Refused:
        """What a node gives, all of its outputs alike: which of them are read, the operator's function knows."""
        kind = str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        inputs = [self._input(str(name)) for name in node.input]
        refused = next((value for value in inputs if isinstance(value, _Refused)), None)
        if refused is not None:
            return refused
        given = [value for value in inputs if not isinstance(value, _Refused)]
        on_rows = any(isinstance(value, Stream) for value in given)
        operator = OPERATORS.get(kind) if on_rows else FOLDED.get(kind)
        if operator is None:
            raise ModelError(unread(kind, on_rows=on_rows))
        spend = self.beside.spend
        return operator(Node(kind, given, attributes(node), self.opset, self.batch, self.notes, spend))

    def _input(self, name: str) -> Value | _Refused | None:
        if not name:
            return None
        found = self.values.get(name)
        if found is None:
            return self.constants.value(name)
        if isinstance(found, np.ndarray):
            self.beside.spend(found.size)
        return found

    def output(self) -> Stream:
        """The output that gives logits or probabilities: the only one that does, whatever labels are beside it.

        Raises the error of the first output if none does, and ModelError if several do that differ.
        """
        found: dict[str, Stream] = {}
        refused: list[ModelError] = []
        for name in self.outputs:
            value = self.values.get(name)
            if isinstance(value, Stream):
                found[name] = value
            else:
                refused.append(
                    value.error
                    if isinstance(value, _Refused)
                    else UnfitError(
                        f"the graph's output {name[:60]!r} is nothing that comes of its input's rows."
                    )
                )
        if not found:
            raise refused[0]
        paths = {id(value.settle()) for value in found.values()}
        if len(paths) > 1:
            raise ModelError(
                f"the graph has the outputs {', '.join(name[:40] for name in found)}, which differ: expected one of "
                "logits or probabilities. Export it with that one alone."
            )
        name, value = next(iter(found.items()))
        if len(self.outputs) > 1:
            self.notes.append(f"of the outputs {', '.join(one[:40] for one in self.outputs)}: {name[:40]}.")
        return value


def _where(node: Any, error: ModelError | str) -> str:
    """The error with the operator and the node that it is about."""
    name = str(node.name or node.output[0])[:60]
    return f"{str(node.op_type)[:60]} (node {name!r}): {error}"


def _dims(value: Any) -> list[int]:
    """Return the sizes of a graph's input, 0 where one is open. Raises ModelError for what no row can have."""
    dims = [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim[: MAX_DIMENSIONS + 1]]
    if len(dims) > MAX_DIMENSIONS or min(dims, default=0) < 0 or math.prod(dims[1:]) > MAX_FEATURES:
        raise UnfitError(
            f"the graph's input has shape {dims}, expected at most {MAX_DIMENSIONS} dimensions, none below 0, and at "
            f"most {MAX_FEATURES} numbers in a row."
        )
    return dims
