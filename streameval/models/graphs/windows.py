"""Windows that graphs move over images, as the package's layers have them: kernels with gaps, padding by a rule.

Knows the sizes of windows. Does not know graphs or layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from streameval.errors import ModelError
from streameval.models.graphs.steps import Numbers


def dilated(weight: Numbers, by: Sequence[int]) -> Numbers:
    """The same kernel (outputs, inputs, height, width) with zeros between its numbers, `by` - 1 of them.

    Raises ModelError for steps that mean nothing, or that leave far more zeros than numbers.
    """
    if list(by) == [1, 1]:
        return weight
    height, width = weight.shape[2:]
    if len(by) != 2 or not all(1 <= step <= 64 for step in by):
        raise ModelError(f"dilations {list(by)}, expected two numbers from 1 to 64.")
    sides = (height - 1) * by[0] + 1, (width - 1) * by[1] + 1
    if math.prod(sides) > 16 * max(height * width, 16):
        raise ModelError(
            f"a kernel {height} x {width} dilated by {list(by)}, which is too wide to compute with zeros."
        )
    wide = np.zeros((*weight.shape[:2], *sides))
    wide[:, :, :: by[0], :: by[1]] = weight
    return wide


def same_padding(size: int, kernel: int, stride: int, *, lower: bool) -> tuple[int, int]:
    """Zeros before and after one side so that ceil(size / stride) places result; the odd one goes after, or before
    if `lower`: ONNX's auto_pad."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)
