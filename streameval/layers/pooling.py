"""Pooling of (channels, height, width): the largest value or the mean of each window, or of the whole image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.layers.layer import Shape
from streameval.layers.numbers import Borders, Pair, borders, image, pair, windows

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot


class _Pool2d:
    """What both kinds of windows share: sizes and shapes, no numbers of their own."""

    __slots__ = ()
    kind: ClassVar[str]

    kernel: Pair
    stride: Pair
    padding: Borders
    ceil_mode: bool

    def __init__(
        self,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        *,
        ceil_mode: bool = False,
    ) -> None:
        size, around = pair(kernel, "kernel"), borders(padding)
        if any(around[k] >= size[k % 2] for k in range(4)):
            raise ModelError(
                f"padding: {padding!r} with a kernel of {size}: a window would lie in the padding alone. "
                "Expected less than the kernel."
            )
        object.__setattr__(self, "kernel", size)
        object.__setattr__(self, "stride", size if stride is None else pair(stride, "stride"))
        object.__setattr__(self, "padding", around)
        object.__setattr__(self, "ceil_mode", bool(ceil_mode))

    @property
    def inputs(self) -> None:
        """Not settled by itself: any image that is large enough."""

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return _signature(self)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`: none."""
        return {}

    def shape(self, inputs: Shape) -> tuple[int, int, int]:
        """See `Layer`: (channels, height, width) in and out."""
        what = f"pooling of {self.kernel}"
        channels, height, width = image(inputs, what)
        (top, left, bottom, right), (sy, sx) = self.padding, self.stride
        down = windows(height, self.kernel[0], sy, top, bottom, ceil=self.ceil_mode)
        across = windows(width, self.kernel[1], sx, left, right, ceil=self.ceil_mode)
        if down * across == 0:
            raise ModelError(f"{what} does not fit into an image of {inputs} with padding {self.padding}.")
        return channels, down, across

    def multiply_adds(self, inputs: Shape) -> int:
        """None."""
        return 0

    def _windows(self, values: NDArray[np.float64], fill: float) -> NDArray[np.float64]:
        """(n, channels, down, across, kernel) with `fill` around the image, as far as windows reach."""
        (top, left, _, _), (sy, sx), (h, w) = self.padding, self.stride, self.kernel
        _, down, across = self.shape(values.shape[1:])
        tall, wide = (down - 1) * sy + h, (across - 1) * sx + w
        room = np.full(
            (*values.shape[:2], max(tall, top + values.shape[2]), max(wide, left + values.shape[3])), fill
        )
        room[:, :, top : top + values.shape[2], left : left + values.shape[3]] = values
        seen = np.lib.stride_tricks.sliding_window_view(room, self.kernel, (2, 3))
        return seen[:, :, : tall - h + 1 : sy, : wide - w + 1 : sx]


def _signature(pool: _Pool2d) -> str:
    ceil = " ceil" if pool.ceil_mode else ""
    return f"{pool.kernel} stride {pool.stride} padding {pool.padding}{ceil}"


@dataclass(frozen=True, eq=False, slots=True, init=False)
class MaxPool2d(_Pool2d):
    """The largest value of each window; what is padded never is.

    kernel     one number, or (down, across)
    stride     the same; default: the kernel, so that windows lie side by side
    padding    one number, (down, across) or (top, left, bottom, right), each less than the kernel
    ceil_mode  windows may reach over the end of the image, so that the last values count too

    Raises ModelError for sizes that mean nothing.
    """

    kind: ClassVar[str] = "max_pool2d"

    kernel: Pair
    stride: Pair
    padding: Borders
    ceil_mode: bool

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return np.asarray(self._windows(values, -math.inf).max(axis=(4, 5)))

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_max_pool

        shape = self.shape(source.shape)
        return add_max_pool(builder, source, shape, (self.kernel, self.stride, self.padding))


@dataclass(frozen=True, eq=False, slots=True, init=False)
class AvgPool2d(_Pool2d):
    """The mean of each window.

    kernel, stride, padding, ceil_mode   see `MaxPool2d`
    count_include_pad                    padding counts as zeros; else the mean is that of the image's own values

    What a window has beyond the padding (ceil_mode) never counts. Raises ModelError for sizes that mean nothing.
    """

    kind: ClassVar[str] = "avg_pool2d"

    kernel: Pair
    stride: Pair
    padding: Borders
    ceil_mode: bool
    count_include_pad: bool

    def __init__(
        self,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        _Pool2d.__init__(self, kernel, stride, padding, ceil_mode=ceil_mode)
        object.__setattr__(self, "count_include_pad", bool(count_include_pad))

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return f"{_signature(self)}{'' if self.count_include_pad else ' own'}"

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return np.asarray(self._windows(values, 0.0).sum(axis=(4, 5)) / self.counts(values.shape[1:]))

    def counts(self, inputs: Shape) -> NDArray[np.float64]:
        """How many values each window's sum is divided by: (down, across)."""
        (top, left, bottom, right), (_, height, width) = self.padding, inputs
        inside = np.zeros((top + height + bottom, left + width + right))
        if self.count_include_pad:
            inside[:] = 1.0
        inside[top : top + height, left : left + width] = 1.0
        around = AvgPool2d(self.kernel, self.stride, ceil_mode=self.ceil_mode)
        _, down, across = self.shape(inputs)
        return np.asarray(around._windows(inside[None, None], 0.0)[0, 0, :down, :across].sum(axis=(2, 3)))

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_avg_pool

        shape, window = self.shape(source.shape), (self.kernel, self.stride, self.padding)
        return add_avg_pool(builder, source, shape, window, self.counts(source.shape))


@frozen(eq=False)
class GlobalAvgPool2d:
    """The mean of each channel: (channels, height, width) in, (channels, 1, 1) out."""

    kind: ClassVar[str] = "global_avg_pool2d"

    @property
    def inputs(self) -> None:
        """Not settled by itself: any image."""

    @property
    def signature(self) -> str:
        """See `Layer`."""
        return ""

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """See `Layer`: none."""
        return {}

    def shape(self, inputs: Shape) -> Shape:
        """See `Layer`."""
        return image(inputs, "global pooling")[0], 1, 1

    def multiply_adds(self, inputs: Shape) -> int:
        """None."""
        return 0

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Layer`."""
        return np.asarray(values.mean(axis=(2, 3), keepdims=True))

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_global_avg

        return add_global_avg(builder, source)
