"""A whole process with NumPy: read images.npy, labels.npy, weights.npz, print the mean loss. Usage: FOLDER."""

import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
x = np.load(folder / "images.npy", mmap_mode="r")
t = np.load(folder / "labels.npy")
with np.load(folder / "weights.npz") as w:
    w1, b1, w2, b2, w3, b3 = (w[name] for name in ("W1", "b1", "W2", "b2", "W3", "b3"))
total = 0.0
for i in range(0, len(x), 2000):
    a = x[i : i + 2000].astype(np.float32) * np.float32(1 / 255)
    a = 1 / (1 + np.exp(-(a @ w1 + b1)))
    a = 1 / (1 + np.exp(-(a @ w2 + b2)))
    z = a @ w3 + b3
    e = np.exp(z - z.max(axis=1, keepdims=True))
    y = e / e.sum(axis=1, keepdims=True)
    total += float(-np.log(y[np.arange(len(y)), t[i : i + 2000]] + np.float32(1e-7)).sum(dtype=np.float64))
print(total / len(x))
