"""Tensors as torch has them, without torch: what becomes an array, and what does not before it is asked to."""

from __future__ import annotations

from typing import Any

import numpy as np


class Tensor:
    """Numbers that no array is made of while they want gradients, lie elsewhere, are sparse, or of half a float32."""

    def __init__(
        self, values: Any, *, wants: bool = True, dtype: str = "torch.float32", sparse: bool = False
    ) -> None:
        self.values, self.wants, self.dtype, self.sparse = np.asarray(values), wants, dtype, sparse

    def detach(self) -> Tensor:
        """The same without gradients."""
        return Tensor(self.values, wants=False, dtype=self.dtype, sparse=self.sparse)

    def cpu(self) -> Tensor:
        """The same in the machine's memory."""
        return self

    def float(self) -> Tensor:
        """The same as float32."""
        return Tensor(self.values.astype(np.float32), wants=self.wants, sparse=self.sparse)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.wants:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        if self.dtype == "torch.bfloat16" or self.sparse:
            raise TypeError("Got unsupported ScalarType BFloat16, or a layout that is sparse")
        return np.asarray(self.values, dtype)

    def __repr__(self) -> str:
        return f"tensor({self.values!r})"


BFLOAT = {"dtype": "torch.bfloat16"}
KINDS = {"wants gradients": {}, "bfloat16": BFLOAT}
