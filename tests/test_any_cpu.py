"""Every number of every result is the same where NumPy and BLAS take other paths of this CPU; kernels: test_bits.py.

Another architecture altogether is for .ci/arm64.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from command_line import ROOT, environment


def run(tmp_path, **variables):
    out = subprocess.run(
        [sys.executable, ROOT / "tests" / "every_number.py", tmp_path],
        capture_output=True,
        env=environment(**{"OPENBLAS_NUM_THREADS": "2"} | variables),
        timeout=300,
    )
    assert out.returncode == 0, out.stderr.decode()
    return json.loads(out.stdout)


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
