"""ONNX graphs: fields of the messages changed, emptied, doubled, exchanged, and bytes damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import streameval as se
from tests.fuzz import mutators
from tests.fuzz.target import Case, Target, content_hash
from tests.fuzz.targets.weights import ARRAYS, REFUSALS, prepare

FILE = "network.onnx"
INPUT = np.random.default_rng(3).normal(size=(5, 16)).astype(np.float32)
TEXTS = (
    "",
    "x",
    "y",
    "f",
    "h",
    "r",
    "w1",
    "b1",
    "w2",
    "b2",
    "ai.onnx",
    "\x1b[2J",
    "Identity",
    "Cast",
    "Transpose",
    "Relu",
)
TEXTS += (
    "MatMul",
    "Gemm",
    "Add",
    "Sub",
    "Mul",
    "Softmax",
    "Flatten",
    "Dropout",
    "If",
    "alpha",
    "to",
    "axis",
    "value",
    "perm",
)
U = 2.0**-24
# Three layers that add at most 18 products lose some 50 U of the sizes of what they add: room is left for sums in
# which that cancels. Of 24,000 changed graphs that both read, none was off by more than 37 U of the largest output.
ROUNDING = 512 * U
SAME = b"the same within rounding"


def seeds() -> list[Case]:
    """An export of each kind: Gemm, MatMul and Add, constants behind Cast and Transpose, Softmax at the end."""
    import onnx
    from onnx import helper, numpy_helper

    w1, b1, w2, b2 = (ARRAYS[name] for name in ("W1", "b1", "W2", "b2"))
    node = helper.make_node
    tails = {
        "matmul": [node("Transpose", ["w2t"], ["w2"], perm=[1, 0]), node("MatMul", ["r", "w2"], ["m"])],
        "cast": [node("Cast", ["w2h"], ["w2"], to=1), node("MatMul", ["r", "w2"], ["m"])],
        "gemm": [node("Gemm", ["r", "w2t"], ["m"], transB=1, alpha=0.5, beta=1.0)],
    }
    constants = {
        "w1": w1,
        "b1": b1,
        "w2t": np.ascontiguousarray(w2.T),
        "w2h": w2.astype(np.float16),
        "b2": b2,
    }
    cases = []
    for kind, tail in tails.items():
        nodes = [
            node("Flatten", ["x"], ["f"]),
            node("Gemm", ["f", "w1", "b1"], ["h"]),
            node("Relu", ["h"], ["r"]),
            *tail,
            node("Constant", [], ["k"], value_float=0.5),
            node("Mul", ["m", "k"], ["s"]),
            node("Add", ["s", "b2"], ["z"]),
            node("Softmax" if kind == "gemm" else "Identity", ["z"], ["y"]),
        ]
        ends = [helper.make_tensor_value_info(name, 1, ["N", size]) for name, size in (("x", 16), ("y", 3))]
        used = {name for one in nodes for name in one.input}
        tensors = [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        cases.append({FILE: model.SerializeToString()})
    return [*cases, {FILE: of_images()}]


def of_images() -> bytes:
    """A graph with a convolution, a normalisation, a sum of two branches, a padding and a pooling."""
    import onnx
    from onnx import helper, numpy_helper

    rng, node = np.random.default_rng(5), helper.make_node
    nodes = [
        node("Reshape", ["x", "shape"], ["i"]),
        node("Conv", ["i", "w", "b"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", ["c", "one", "b", "b", "one"], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("Conv", ["r", "v"], ["d"], auto_pad="SAME_UPPER"),
        node("Add", ["d", "r"], ["s"]),
        node("Relu", ["s"], ["t"]),
        node("MaxPool", ["t"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "g", "h"], ["y"]),
    ]
    arrays = {
        "w": rng.normal(size=(2, 1, 3, 3)),
        "b": rng.normal(size=2),
        "one": np.ones(2),
        "v": rng.normal(size=(2, 2, 3, 3)),
        "g": rng.normal(size=(8, 3)),
        "h": rng.normal(size=3),
    }
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    tensors.append(numpy_helper.from_array(np.array([-1, 1, 4, 4]), "shape"))
    ends = [helper.make_tensor_value_info(name, 1, ["N", size]) for name, size in (("x", 16), ("y", 3))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def mutate(rng: Random, case: Case) -> Case:
    """Change fields most of the time, bytes else."""
    import onnx

    data = case[FILE]
    if rng.random() < 0.3:
        return {FILE: mutators.damaged(rng, data)}
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        with contextlib.suppress(ValueError, TypeError, UnicodeError):
            _change(rng, rng.choice(list(_messages(model))))
    return {FILE: model.SerializeToString()}


def _messages(message: Any) -> Iterator[Any]:
    """Yield a message and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if _repeated(field) else (value,):
                yield from _messages(one)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _change(rng: Random, message: Any) -> None:
    """Change one field of a message: of those that are set, mostly."""
    there = [field for field, _ in message.ListFields()]
    field = rng.choice(there if there and rng.random() < 0.8 else list(message.DESCRIPTOR.fields))
    kind = rng.randrange(6)
    if kind == 0:
        message.ClearField(field.name)
    elif _repeated(field):
        _change_list(rng, getattr(message, field.name), field)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _scalar(rng, field, getattr(message, field.name)))


def _change_list(rng: Random, values: Any, field: Any) -> None:
    if field.message_type is not None:
        if len(values) and rng.random() < 0.6:
            values.add().CopyFrom(rng.choice(values))
        elif len(values) > 1:
            one, two = rng.sample(range(len(values)), 2)
            first = type(values[one])()
            first.CopyFrom(values[one])
            values[one].CopyFrom(values[two])
            values[two].CopyFrom(first)
        return
    if len(values) and rng.random() < 0.6:
        place = rng.randrange(len(values))
        values[place] = _scalar(rng, field, values[place])
    else:
        values.append(_scalar(rng, field, values[0] if len(values) else None))


def _scalar(rng: Random, field: Any, old: Any) -> Any:
    """Return another value for a field."""
    if field.cpp_type == field.CPPTYPE_STRING:
        if field.type == field.TYPE_BYTES:
            return mutators.damaged(rng, old or b"\0\0\0\0")
        return rng.choice(TEXTS)
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 0.01, 1e38, float("nan"), float("inf")))
    near = [old + step for step in (-1, 1, 2)] if isinstance(old, int) else []
    return rng.choice((*mutators.EDGES[:-3], -1, -(1 << 62), *near, *near))


def read(folder: Path, rng: Random) -> bytes:
    """Load the network and say whether it gives what the reference evaluator gives for some rows."""
    model = se.load_model(folder / FILE, allow_nonfinite=rng.random() < 0.3)
    expected = _reference(folder / FILE)
    if expected is None or model.features != 16:
        return content_hash([model.sha256.encode()])
    logits = model.reference(INPUT.astype(np.float64))
    return SAME if close(logits, *expected) else b"another result"


def oracle(folder: Path) -> bytes | None:
    """Say that both gave the same, where the reference evaluator can read the file."""
    model = se.load_model(folder / FILE, allow_nonfinite=True)
    return None if model.features != 16 or _reference(folder / FILE) is None else SAME


def _reference(path: Path) -> tuple[np.ndarray, str] | None:
    """Return what ONNX's own evaluator gives for INPUT, and by which operator; None where it cannot, or for NaN."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
        onnx.checker.check_model(model)
        with np.errstate(all="ignore"):
            out = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: INPUT})[0]
    except Exception:  # whatever it raises, it does not read this file
        return None
    # The one that gives the output: a Softmax may lead nowhere.
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    last = str(makers.get(model.graph.output[0].name, ""))
    kind = np.asarray(out).dtype.kind
    return (
        (out.astype(np.float64), last) if kind == "f" and np.isfinite(out).all() and out.ndim == 2 else None
    )


def close(logits: np.ndarray, expected: np.ndarray, last: str) -> bool:
    """Say whether `expected`, computed in float32, is what `logits` in float64 say, by the operator that gave it.

    A logit z may be off by e = ROUNDING max(1, largest of all); a probability 1 / (1 + sum_j exp(z_j - z_k)), j other
    than k, by what 2 e does to each difference, and by some roundings of its own.
    """
    if logits.shape != expected.shape:
        return False
    off = ROUNDING * np.abs(logits).max(initial=1.0)
    if last == "Softmax":
        apart = logits[:, None, :] - logits[:, :, None]
        others = ~np.eye(logits.shape[1], dtype=bool)
        with np.errstate(over="ignore"):
            low, high = (
                1.0 / (1.0 + np.exp(np.where(others, apart + e, -np.inf)).sum(axis=2))
                for e in (2 * off, -2 * off)
            )
        return bool(((low - 8 * U <= expected) & (expected <= high + 8 * U)).all())
    if last == "LogSoftmax":
        logits = logits - logits.max(axis=1, keepdims=True)
        logits, off = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), 2 * off
    return bool((np.abs(logits - expected) <= off).all())


def prepare_all() -> None:
    """Have ONNX and its evaluator imported."""
    import onnx.reference  # noqa: F401

    prepare()


TARGET = Target(seeds, mutate, read, REFUSALS, oracle, prepare_all)
