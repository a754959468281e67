"""What NEON's engine makes of digits and sums, computed with NumPy; the instructions themselves are for `.ci/arm64`."""

from __future__ import annotations

import numpy as np
import pytest

from streameval.kernels import bytes_neon, host


@pytest.mark.parametrize(("groups", "outputs"), [(1, 1), (49, 3), (196, 50)])
def test_unsigned_digits_and_a_lane_of_ones_give_the_sums_of_signed_ones(groups: int, outputs: int) -> None:
    """Modulo 2**32 on the way, as `udot` adds; full rows of the largest digits as well."""
    rng = np.random.default_rng(groups)
    digits = rng.integers(-128, 128, (4 * groups, bytes_neon.PLANES * outputs), dtype=np.int32)
    digits[:, 0], digits[:, -1] = -128, 127
    x = rng.integers(0, 256, (3, 4 * groups), dtype=np.int64)
    x[0] = 255
    lanes, block = bytes_neon.layout(outputs)
    planes = bytes_neon.pack(digits, lanes, block).view(np.uint8).reshape(lanes // block, groups, block, 4)
    sums = np.einsum("rgq,bglq->rbl", x.reshape(3, groups, 4), planes.astype(np.int64)).reshape(3, lanes)
    ones = sums[:, [bytes_neon.PLANES * outputs]]
    assert (ones[:, 0] == x.sum(axis=1)).all()
    corrected = (sums - bytes_neon._OFFSET * ones).astype(np.uint32).view(np.int32)
    assert (corrected[:, : digits.shape[1]] == x @ digits).all()


def test_it_is_asked_whether_a_cpu_has_an_instruction() -> None:
    """By its name in what LLVM makes of a sum of products."""
    assert not host._selects("no such instruction", host._DOT_PRODUCT)
    assert host._selects("ret", host._DOT_PRODUCT)
    assert host._selects("udot", host._DOT_PRODUCT) == (host.byte_engine() == "neon")
