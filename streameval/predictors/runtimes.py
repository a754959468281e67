"""Who else can compute a model file: one row for each name of `--with` in the table `RUNTIMES`."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from streameval.defaults import RUNTIMES as NAMES
from streameval.errors import ModelError, UsageError
from streameval.files import regular_file
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
    with regular_file(path, "a model"):
        pass  # Some of the libraries would wait for the writer of a pipe.
    try:
        made: Predictor = import_module(f"streameval.predictors.{module}").load(path, threads)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UsageError(
            f"{path}: computing it with {runtime} takes that library. pip install {package}."
        ) from error
    # Workers of an engine load the file themselves.
    return replace(
        made, predict=_OfFile(runtime, str(Path(path).absolute()), threads, made.identity, made.predict)
    )


class _OfFile:
    """Calls what a library made of a file; where it is sent, the file is read there."""

    def __init__(
        self, runtime: str, path: str, threads: int | None, identity: str | None, predict: Any = None
    ) -> None:
        self._told, self._predict = (runtime, path, threads, identity), predict

    def __call__(self, x: Any) -> Any:
        if self._predict is None:
            runtime, path, threads, identity = self._told
            loaded = load(runtime, path, threads)
            if loaded.identity != identity:
                raise ModelError(
                    f"{path}: another file than the one that the pass is of. Copy that to this machine."
                )
            self._predict = loaded.predict
        return self._predict(x)

    def __reduce__(self) -> tuple[Any, ...]:
        return _OfFile, self._told
