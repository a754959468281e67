"""Tensors of PyTorch and JAX, as they come: on their device, with gradients, in half precision."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from command_line import ROOT, environment

from streameval.errors import DataError
from streameval.metrics import Accuracy, CrossEntropy, Mean, merge

ROWS, CLASSES = 1003, 10


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def tensors(torch: Any) -> Any:
    torch.manual_seed(1)
    return torch.randn(ROWS, CLASSES) * 5, torch.randint(0, CLASSES, (ROWS,))


def test_a_set_costs_what_torch_says_of_it_whole(torch: Any, tensors: Any) -> None:
    z, t = tensors
    want = torch.nn.functional.cross_entropy(z.double(), t).item()
    metric = CrossEntropy(eps=0)
    for a, b in zip(z.split(64), t.split(64), strict=True):
        metric.update(a.requires_grad_(), b)
    assert metric.compute(total_rows=ROWS).loss == pytest.approx(want, rel=1e-13)
    marked = torch.where(t == 3, -100, t)
    ignoring = CrossEntropy(eps=0, ignore_index=-100)
    ignoring.update(z, marked)
    assert float(ignoring.compute()) == pytest.approx(
        torch.nn.functional.cross_entropy(z.double(), marked).item(), rel=1e-13
    )
    soft = torch.softmax(torch.randn(ROWS, CLASSES), 1)
    with_shares = CrossEntropy(eps=0)
    with_shares.update(z, soft.double())
    assert float(with_shares.compute()) == pytest.approx(
        torch.nn.functional.cross_entropy(z.double(), soft.double()).item(), rel=1e-13
    )
    smoothed = CrossEntropy(eps=0, label_smoothing=0.1)
    smoothed.update(z, t)
    assert float(smoothed.compute()) == pytest.approx(
        torch.nn.functional.cross_entropy(z.double(), t, label_smoothing=0.1).item(), rel=1e-13
    )
    mean = Mean()
    mean.update(torch.nn.functional.cross_entropy(z, t, reduction="none"))
    assert float(mean.compute()) == pytest.approx(want, rel=1e-5)


def test_half_precision_is_taken_as_it_is(torch: Any, tensors: Any) -> None:
    z, t = tensors
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        given, wide = CrossEntropy(), CrossEntropy()
        given.update(z.to(kind), t)
        wide.update(z.to(kind).double().numpy(), t.numpy())
        assert given.compute() == wide.compute()


def test_a_checkpoint_of_torch_holds_a_state(torch: Any, tensors: Any) -> None:
    z, t = tensors
    for rows in ({}, {"rows": torch.arange(ROWS)}):
        metric = CrossEntropy()
        metric.update(z, t, **rows)
        file = io.BytesIO()
        torch.save({"metric": metric.state_dict()}, file)
        file.seek(0)
        fresh = CrossEntropy()
        fresh.load_state_dict(torch.load(file, weights_only=True)["metric"])
        assert fresh.compute() == metric.compute()


class _Numbered:
    """A data set that gives each row's number with it."""

    def __init__(self, x: Any, t: Any) -> None:
        self.x, self.t = x, t

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, k: int) -> Any:
        return self.x[k], self.t[k], k


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_that_a_distributed_sampler_repeats_count_once(torch: Any, tensors: Any, shuffle: bool) -> None:
    z, t = tensors
    data, parts, plain = _Numbered(z, t), [], []
    for rank in range(3):
        sampler = torch.utils.data.DistributedSampler(data, num_replicas=3, rank=rank, shuffle=shuffle)
        here = (CrossEntropy(eps=0), Accuracy(), Mean())
        unnumbered = CrossEntropy(eps=0)
        for batch, target, rows in torch.utils.data.DataLoader(data, batch_size=64, sampler=sampler):
            here[0].update(batch, target, rows=rows)
            here[1].update(batch, target, rows=rows)
            here[2].update(batch[:, 0], rows=rows)
            unnumbered.update(batch, target)
        parts.append(here)
        plain.append(unnumbered)
    assert 3 * len(sampler) == ROWS + 2  # two rows are repeated
    loss, share, mean = (merge(one).compute(total_rows=ROWS) for one in zip(*parts, strict=True))
    whole = CrossEntropy(eps=0)
    whole.update(z, t, rows=torch.arange(ROWS))
    assert loss.digest == whole.compute().digest
    assert (loss.repeated, loss.disagreement) == (2, 0.0)
    assert share.accuracy == loss.accuracy
    assert mean.mean == pytest.approx(float(z[:, 0].double().mean()), abs=1e-12)
    with pytest.raises(DataError, match=f"{ROWS + 2} rows came to this metric, {ROWS} were expected.*rows="):
        merge(plain).compute(total_rows=ROWS)


JAX = """
import jax
import numpy as np
from streameval.errors import DataError
from streameval.metrics import CrossEntropy

z, t = np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32), np.arange(50) % 4


def of(outputs, target):
    metric = CrossEntropy()
    metric.update(outputs, target)
    return metric.compute()


assert of(z, t) == of(jax.numpy.asarray(z), jax.numpy.asarray(t))
half = jax.numpy.asarray(z, jax.numpy.bfloat16)
assert of(half, t) == of(np.asarray(half.astype(np.float32)), t) != of(z, t)


@jax.jit
def inside(x):
    CrossEntropy().update(x, t)
    return x


try:
    inside(z)
except DataError as error:
    assert "outside of jit" in str(error)
else:
    raise AssertionError("a traced array has no numbers")
"""


def test_jax_arrays_and_half_precision() -> None:
    """In a process of its own: JAX warns of every fork after it."""
    if find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    done = subprocess.run([sys.executable, "-c", JAX], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_library_of_tensors_is_imported() -> None:
    for path in (ROOT / "streameval" / "metrics").glob("*.py"):
        assert not [
            line
            for line in path.read_text().splitlines()
            if line.strip().startswith(("import torch", "import jax"))
        ]
