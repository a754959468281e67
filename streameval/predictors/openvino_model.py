"""A compiled OpenVINO model as a predictor, and a file of one."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.predictors.content import identified
from streameval.predictors.predictor import BATCH_ROWS, Predictor, RowShape, as_bytes

DTYPES = ("f32", "f64", "f16", "u8")


def adapt(
    model: Any, path: str | None = None, identity: str | None = None, files: tuple[str, ...] = ()
) -> Predictor:
    """An `openvino.CompiledModel` of one input and one output. Raises ModelError for another."""
    name = path or "the OpenVINO model"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{name}: {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected one of each. Wrap it: "
            "streameval.Predictor(predict=lambda x: model(x)[0])."
        )
    element = model.inputs[0].get_element_type().get_type_name()
    if element not in DTYPES:
        raise ModelError(f"{name}: its input is of type {element}, expected one of {', '.join(DTYPES)}.")
    dims = [None if one.is_dynamic else one.get_length() for one in model.inputs[0].get_partial_shape()]
    row = dims[1:]
    shapes: tuple[RowShape, ...] = ((), "image")
    if row and None not in row:
        shapes = (tuple(int(one or 0) for one in row) if len(row) > 1 else (),)
    batch = dims[0] if dims else None
    return Predictor(
        predict=_Call(model, name if element == "u8" else None),
        shapes=shapes,
        raw=element == "u8",
        batch_rows=batch or BATCH_ROWS,
        fixed=batch is not None,
        kind="openvino",
        name=name,
        identity=identity,
        path=path,
        files=files,
    )


def load(path: str, threads: int | None = None) -> Predictor:
    """The model in an .onnx or .xml file, computed by OpenVINO on the CPU in float32.

    Raises ModelError: OpenVINO does not take it. StorageError: it cannot be read.
    """
    import openvino

    identity, files = identified(path)
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: OpenVINO does not take it: {str(error)[:300]} Expected an .onnx or .xml file. What streameval "
            "reads itself, as .pkl, .npz and .safetensors, is computed without --with openvino."
        ) from error
    return adapt(model, path, identity, files)


class _Call:
    """Runs the model on NumPy's rows; `bytes_of`: its name where it takes bytes, else None."""

    def __init__(self, model: Any, bytes_of: str | None) -> None:
        self._model, self._bytes_of = model, bytes_of

    def __call__(self, x: NDArray[Any]) -> Any:
        given = x if self._bytes_of is None else as_bytes(x, self._bytes_of)
        # A copy: the next call writes into the same memory.
        return self._model(given)[0].copy()
