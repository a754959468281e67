"""The readers that are fuzzed, by the name that the command takes."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    arrow,
    idx,
    losses,
    npy,
    npz,
    onnx,
    outputs,
    pickle,
    safetensors,
    sealed_files,
    tables,
)

TARGETS: Final[dict[str, Target]] = {
    "idx": idx.TARGET,
    "idx.gz": idx.ZIPPED,
    "npy": npy.TARGET,
    "arrow": arrow.TARGET,
    "arrow-compressed": arrow.COMPRESSED,
    "pickle": pickle.TARGET,
    "npz": npz.TARGET,
    "safetensors": safetensors.TARGET,
    "onnx": onnx.TARGET,
    "report": sealed_files.REPORT,
    "state": sealed_files.STATE,
    "checkpoint": sealed_files.CHECKPOINT,
    "losses": losses.TARGET,
    "outputs": outputs.TARGET,
    "tables": tables.TARGET,
}
