"""Who else can compute a model file: one row for each name of `--with` in the table `RUNTIMES`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from streameval.defaults import RUNTIMES as NAMES
from streameval.errors import UsageError
from streameval.predictors.predictor import Predictor

# Name -> (module of this package with a function `load`: path, threads -> Predictor; what to install).
RUNTIMES: Final = {
    "onnxruntime": ("onnxruntime_session", "onnxruntime"),
    "openvino": ("openvino_model", "openvino"),
    "torch": ("torch_file", "torch"),
}


def load(runtime: str, path: str, threads: int | None = None) -> Predictor:
    """The model in a file, computed by another library.

    Raises UsageError: the name is not known, the library is not installed; and the errors of that library's `load`.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"with {runtime!r}: expected one of {', '.join(NAMES)}.")
    module, package = RUNTIMES[runtime]
    try:
        made: Predictor = import_module(f"streameval.predictors.{module}").load(path, threads)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UsageError(
            f"{path}: computing it with {runtime} takes that library. pip install {package}."
        ) from error
    return made
