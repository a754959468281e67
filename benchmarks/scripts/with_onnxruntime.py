"""A whole process with ONNX Runtime: read images.npy, labels.npy, model.onnx, print the mean loss. Usage: FOLDER."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path(sys.argv[1])
x = np.load(folder / "images.npy", mmap_mode="r")
t = np.load(folder / "labels.npy")
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
total = 0.0
for i in range(0, len(x), 1000):
    total += float(session.run(None, {"x": np.asarray(x[i : i + 1000]), "t": t[i : i + 1000]})[0])
print(total / len(x))
