"""scikit-learn: an MLPClassifier that holds the weights, predict_proba, log_loss."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from benchmarks.data import Task
from benchmarks.timing import Ready

TOLERANCE = 1e-5
_NAMES = {"sigmoid": "logistic", "relu": "relu", "tanh": "tanh"}


def whole(task: Task, _: int | None) -> Ready:
    """All rows at once, as `predict_proba` takes them."""
    classes = np.arange(task.layers[-1].weight.shape[1])
    network = MLPClassifier(activation=_NAMES[task.layers[0].activation])
    # What `fit` would have set.
    network.coefs_ = [layer.weight for layer in task.layers]
    network.intercepts_ = [layer.bias for layer in task.layers]
    network.n_layers_ = len(task.layers) + 1
    network.n_outputs_ = len(classes)
    network.out_activation_ = "softmax"
    network.n_features_in_ = task.x.shape[1]
    network.classes_ = classes

    def run() -> float:
        x = task.x * np.float32(task.scale) if task.x.dtype == np.uint8 else task.x
        return float(log_loss(task.t, network.predict_proba(x), labels=classes))

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)
