"""A file that torch can run by itself: TorchScript (torch.jit.save) or an exported program (.pt2)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from streameval.errors import ModelError
from streameval.predictors.content import file_sha256
from streameval.predictors.predictor import Predictor
from streameval.predictors.torch_module import adapt


def load(path: str, threads: int | None = None) -> Predictor:
    """The model in a .pt file of TorchScript or a .pt2 file of an exported program, on the CPU.

    Such a file is a program, which torch runs: open it only if you trust whoever made it.
    Raises ModelError: torch does not take it, or it holds weights alone. StorageError: it cannot be read.
    """
    import torch

    identity = file_sha256(path)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with warnings.catch_warnings():
            # That TorchScript is deprecated concerns who saves such a file.
            warnings.simplefilter("ignore", FutureWarning)
            module: Any = (
                torch.export.load(path).module()
                if path.endswith(".pt2")
                else torch.jit.load(path, map_location="cpu")
            )
    # torch has no common ancestor for what loading may raise.
    except Exception as error:
        raise ModelError(
            f"{path}: torch does not take it as a program: {str(error)[:200]}. A file of weights alone has no network "
            "in it: build the module in Python and give that, or save it by torch.export.save or torch.jit.save."
        ) from error
    if not path.endswith(".pt2"):
        module = module.eval()
    return replace(adapt(_Quiet(module)), name=path, path=path, identity=identity)


class _Quiet:
    """An exported program's module, which knows no training mode."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.training = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __call__(self, x: Any) -> Any:
        return self._module(x)

    def __repr__(self) -> str:
        return repr(self._module)
