"""Every number of every result is the same where NumPy and BLAS take other paths of this CPU; kernels: test_bits.py."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from command_line import ROOT, environment

# What differs from run to run, and the hashes of what has that in it.
UNEQUAL = {"path", "resources", "seconds", "sha256", "name"}

PROGRAM = """
import json, sys
import numpy as np
import streameval as se

rng = np.random.default_rng(7)
x = rng.integers(0, 256, (6000, 784), np.uint8)
x[:, ::3] = 0
t = rng.integers(0, 10, 6000)


def net(seed, widths=(784, 37, 10), activation="gelu"):
    rng = np.random.default_rng(seed)
    sizes = list(zip(widths, widths[1:]))
    layers = [
        se.Layer(rng.normal(0, 1 / n**0.5, (n, m)).astype(np.float32), rng.normal(size=m).astype(np.float32),
                 activation if i + 1 < len(sizes) else "identity")
        for i, (n, m) in enumerate(sizes)
    ]
    return se.Mlp(layers)


one, two, data = net(1), net(2, activation="sigmoid"), se.open((x, t))
logits = rng.normal(0, 3, (6000, 10))
np.savez(sys.argv[1], logits=logits, label=t, group=rng.integers(0, 500, 6000))
saved = se.open_outputs(sys.argv[1], logits="logits", label="label", group="group")
results = {
    "evaluate": se.evaluate(one, data), "evaluate another": se.evaluate(two, data),
    "saved": se.evaluate(saved), "saved, without eps": se.evaluate(saved, eps=0.0),
    "minibatch": se.minibatch(one, data, batches=20), "compare": se.compare(one, data, trials=300),
    "until": se.evaluate_until(one, data, half_width=0.05), "paired": se.paired([one, two], data),
    "compare saved": se.compare(saved, trials=300),
    "calibration": se.calibration(one, data), "anatomy": se.evaluate(one, data, anatomy=True),
    "a predictor's anatomy": se.evaluate(lambda x: x[:, :10] * 30, data, anatomy=True),
}
found = {name: result.to_dict() for name, result in results.items()}
found["losses"] = [ell.hex() for ell in se.per_sample_losses(saved).tolist()]
json.dump(found, sys.stdout)
"""


def numbers(value, where=""):
    """Everything in JSON by where it lies, but for what every run has of its own."""
    if isinstance(value, dict):
        return {
            k: v
            for key in value
            if key not in UNEQUAL
            for k, v in numbers(value[key], f"{where}.{key}").items()
        }
    if isinstance(value, list):
        return {k: v for i, one in enumerate(value) for k, v in numbers(one, f"{where}[{i}]").items()}
    return {where: value}


def run(tmp_path, **variables):
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "outputs.npz")],
        capture_output=True,
        env=environment(**{"OPENBLAS_NUM_THREADS": "2"} | variables),
        timeout=300,
    )
    assert out.returncode == 0, out.stderr.decode()
    return numbers(json.loads(out.stdout))


def dispatched() -> list[str]:
    """What NumPy uses of this CPU beyond what it always needs, and can be told not to."""
    from numpy._core import _multiarray_umath as numpy_core

    return [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__.get(name)]


# Functions that NumPy and the C library compute by the CPU; `streameval.elementary` has them.
BY_CPU = {
    "cos", "sin", "tan", "arccos", "arcsin", "arctan", "arctan2", "acos", "asin", "atan", "atan2", "cosh", "sinh",
    "tanh", "hypot", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "power", "pow", "cbrt",
    "erf", "erfc", "gamma", "lgamma", "dot", "matmul", "einsum", "inner", "vdot",
}  # fmt: skip
ROOMS = ("layers", "losses", "models", "outputs", "scoring", "statistics", "evaluation", "studies", "metrics")


def test_no_room_asks_others_for_what_the_cpu_decides():
    """What is asked by other names, such as `@` and np.fft, is left to the run below."""
    found = []
    for file in sorted(one for room in ROOMS for one in (ROOT / "streameval" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if named and node.value.id in ("np", "numpy", "math") and node.attr in BY_CPU:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.value.id}.{node.attr}")
    assert found == []


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return run(tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize(
    "variables",
    [
        {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())},
        {
            "OPENBLAS_CORETYPE": "Haswell",
            "OPENBLAS_NUM_THREADS": "1",
            "NUMBA_CPU_NAME": "nehalem",
            "NUMBA_CPU_FEATURES": "",
        },
    ],
    ids=["numpy-and-blas", "blas"],
)
def test_no_number_depends_on_the_cpu(tmp_path, usual, variables):
    found = run(tmp_path, **variables)

    assert len(found) > 8000
    assert {where: (usual.get(where), one) for where, one in found.items() if usual.get(where) != one} == {}
