"""An ONNX Runtime session as a predictor, and a file of one."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from streameval.errors import ModelError, StorageError
from streameval.predictors.content import identified
from streameval.predictors.predictor import BATCH_ROWS, Predictor, RowShape, as_bytes

# ONNX Runtime's name of an input's type -> NumPy's.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
}


def adapt(session: Any, path: str | None = None) -> Predictor:
    """An `onnxruntime.InferenceSession` of one input; of several outputs, the one of numbers (rows, outputs).

    Raises ModelError: several inputs, an input or output of another kind.
    """
    name = path or getattr(session, "_model_path", None) or "the ONNX session"
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type not in DTYPES:
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise ModelError(
            f"{name}: inputs {found}; expected one, of floats or bytes. Wrap the session: "
            "streameval.Predictor(predict=lambda x: session.run(None, {...: x})[0])."
        )
    shapes, batch = _rows(inputs[0].shape)
    identity, files = _content(path or getattr(session, "_model_path", None))
    return Predictor(
        predict=_Call(session, inputs[0].name, DTYPES[inputs[0].type], _output(name, outputs), str(name)),
        shapes=shapes,
        raw=inputs[0].type == "tensor(uint8)",
        batch_rows=batch or BATCH_ROWS,
        fixed=batch is not None,
        kind="onnxruntime",
        name=str(name),
        identity=identity,
        path=path,
        files=files,
    )


def load(path: str, threads: int | None = None) -> Predictor:
    """The model in an .onnx file, computed by ONNX Runtime on the CPU.

    Raises ModelError: ONNX Runtime does not take it. StorageError: it cannot be read.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's own kinds of errors have no common ancestor but Exception.
    except Exception as error:
        raise ModelError(
            f"{path}: ONNX Runtime does not take it: {str(error)[:300]} Expected an .onnx file. What streameval reads "
            "itself, as .pkl, .npz and .safetensors, is computed without --with onnxruntime."
        ) from error
    return adapt(session, path)


class _Call:
    """Runs the session on NumPy's rows."""

    def __init__(self, session: Any, name: str, dtype: str, output: str, title: str) -> None:
        self._session, self._name, self._dtype, self._output = session, name, dtype, output
        self._title = title

    def __call__(self, x: NDArray[Any]) -> Any:
        given = as_bytes(x, self._title) if self._dtype == "uint8" else x.astype(self._dtype, copy=False)
        return self._session.run([self._output], {self._name: given})[0]


def _rows(shape: list[Any]) -> tuple[tuple[RowShape, ...], int | None]:
    """The shapes that rows may be given in, and the rows of a call where their number is fixed."""
    batch = shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
    row = shape[1:]
    if row and all(isinstance(one, int) and one > 0 for one in row):
        return (tuple(row) if len(row) > 1 else (),), batch
    return ((), "image"), batch


def _output(name: str, outputs: list[Any]) -> str:
    """The output that has numbers for each row: classifiers from scikit-learn have labels beside it."""
    usable = [one.name for one in outputs if one.type in DTYPES and one.type != "tensor(uint8)"]
    if len(usable) != 1:
        found = ", ".join(f"{one.name} {one.type}" for one in outputs)
        maps = any(one.type.startswith("seq(map") for one in outputs)
        cure = (
            "Export it again with options={'zipmap': False}."
            if maps
            else "Wrap the session: streameval.Predictor(predict=lambda x: session.run(['NAME'], {...: x})[0])."
        )
        raise ModelError(f"{name}: outputs {found}; expected one of floats (rows, outputs). {cure}")
    return str(usable[0])


def _content(path: str | None) -> tuple[str | None, tuple[str, ...]]:
    """What identifies the file that a session was made from as it is now, None if that is gone or was never one."""
    try:
        return identified(str(path)) if path else (None, ())
    except StorageError:
        return None, ()
