"""A whole process with PyTorch: read images.npy, labels.npy, weights.npz, print the mean loss. Usage: FOLDER."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

folder = Path(sys.argv[1])
x = torch.from_numpy(np.load(folder / "images.npy"))
t = torch.from_numpy(np.load(folder / "labels.npy"))
with np.load(folder / "weights.npz") as w:
    layers = [(torch.from_numpy(w[f"W{n}"].T.copy()), torch.from_numpy(w[f"b{n}"])) for n in (1, 2, 3)]
total = 0.0
with torch.inference_mode():
    for i in range(0, len(x), 1000):
        a = x[i : i + 1000].to(torch.float32) * (1 / 255)
        for weight, bias in layers[:-1]:
            a = torch.sigmoid(functional.linear(a, weight, bias))
        z = functional.linear(a, *layers[-1])
        total += float(functional.cross_entropy(z, t[i : i + 1000], reduction="sum"))
print(total / len(x))
