"""The loss of a model over all of the data, exact, fast and in bounded memory; and what a mini-batch tells about it.

Every name is loaded at its first use: importing the package compiles nothing and reads no environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval import metrics as metrics
    from streameval.datasets.mnist import load_mnist as load_mnist
    from streameval.evaluation.evaluate import PassOptions as PassOptions
    from streameval.evaluation.evaluate import evaluate as evaluate
    from streameval.evaluation.predict import cross_entropy_error as cross_entropy_error
    from streameval.evaluation.predict import predict as predict
    from streameval.evaluation.report import Report as Report
    from streameval.evaluation.shards import merge as merge
    from streameval.evaluation.streaming import Step as Step
    from streameval.evaluation.streaming import per_sample_losses as per_sample_losses
    from streameval.evaluation.streaming import stream as stream
    from streameval.evaluation.verify import verify as verify
    from streameval.evaluation.weighted import evaluate_weighted as evaluate_weighted
    from streameval.evaluation.weighted_report import Weighted as Weighted
    from streameval.layers import Activation as Activation
    from streameval.layers import AvgPool2d as AvgPool2d
    from streameval.layers import BatchNorm as BatchNorm
    from streameval.layers import Conv2d as Conv2d
    from streameval.layers import Dense as Dense
    from streameval.layers import Dropout as Dropout
    from streameval.layers import Flatten as Flatten
    from streameval.layers import GlobalAvgPool2d as GlobalAvgPool2d
    from streameval.layers import LayerNorm as LayerNorm
    from streameval.layers import MaxPool2d as MaxPool2d
    from streameval.layers import Residual as Residual
    from streameval.losses.absolute import Absolute as Absolute
    from streameval.losses.binary_cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
    from streameval.losses.cross_entropy import CrossEntropy as CrossEntropy
    from streameval.losses.huber import Huber as Huber
    from streameval.losses.squared import Squared as Squared
    from streameval.models.loading import load as load_model
    from streameval.models.mlp import Layer as Layer
    from streameval.models.mlp import Mlp as Mlp
    from streameval.models.network import Network as Network
    from streameval.models.torch import from_torch as from_torch
    from streameval.outputs.joining import join_outputs as join_outputs
    from streameval.outputs.opening import open_outputs as open_outputs
    from streameval.predictors.predictor import Predictor as Predictor
    from streameval.statistics.ratios import bits_per_byte as bits_per_byte
    from streameval.statistics.ratios import perplexity as perplexity
    from streameval.storage.converting import convert as convert
    from streameval.storage.opening import open as open
    from streameval.storage.source import Source as Source
    from streameval.storage.source import Span as Span
    from streameval.studies.calibration import calibration as calibration
    from streameval.studies.comparison import compare as compare
    from streameval.studies.minibatch import minibatch as minibatch
    from streameval.studies.paired import paired as paired
    from streameval.studies.sampler import Sampler as Sampler
    from streameval.studies.until import evaluate_until as evaluate_until

# Where each public name lives: (module, its name there); a module itself has none.
_HOMES = {
    "Activation": ("layers", "Activation"),
    "AvgPool2d": ("layers", "AvgPool2d"),
    "BatchNorm": ("layers", "BatchNorm"),
    "Conv2d": ("layers", "Conv2d"),
    "CrossEntropy": ("losses.cross_entropy", "CrossEntropy"),
    "Squared": ("losses.squared", "Squared"),
    "Huber": ("losses.huber", "Huber"),
    "BinaryCrossEntropy": ("losses.binary_cross_entropy", "BinaryCrossEntropy"),
    "Absolute": ("losses.absolute", "Absolute"),
    "Dense": ("layers", "Dense"),
    "Dropout": ("layers", "Dropout"),
    "Flatten": ("layers", "Flatten"),
    "GlobalAvgPool2d": ("layers", "GlobalAvgPool2d"),
    "Layer": ("models.mlp", "Layer"),
    "LayerNorm": ("layers", "LayerNorm"),
    "MaxPool2d": ("layers", "MaxPool2d"),
    "Mlp": ("models.mlp", "Mlp"),
    "Network": ("models.network", "Network"),
    "PassOptions": ("evaluation.evaluate", "PassOptions"),
    "Predictor": ("predictors.predictor", "Predictor"),
    "Report": ("evaluation.report", "Report"),
    "Residual": ("layers", "Residual"),
    "Sampler": ("studies.sampler", "Sampler"),
    "Source": ("storage.source", "Source"),
    "Span": ("storage.source", "Span"),
    "Step": ("evaluation.streaming", "Step"),
    "bits_per_byte": ("statistics.ratios", "bits_per_byte"),
    "calibration": ("studies.calibration", "calibration"),
    "compare": ("studies.comparison", "compare"),
    "convert": ("storage.converting", "convert"),
    "cross_entropy_error": ("evaluation.predict", "cross_entropy_error"),
    "Weighted": ("evaluation.weighted_report", "Weighted"),
    "evaluate_weighted": ("evaluation.weighted", "evaluate_weighted"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "evaluate_until": ("studies.until", "evaluate_until"),
    "join_outputs": ("outputs.joining", "join_outputs"),
    "from_torch": ("models.torch", "from_torch"),
    "load_mnist": ("datasets.mnist", "load_mnist"),
    "load_model": ("models.loading", "load"),
    "merge": ("evaluation.shards", "merge"),
    "metrics": ("metrics", ""),
    "minibatch": ("studies.minibatch", "minibatch"),
    "open": ("storage.opening", "open"),
    "open_outputs": ("outputs.opening", "open_outputs"),
    "paired": ("studies.paired", "paired"),
    "per_sample_losses": ("evaluation.streaming", "per_sample_losses"),
    "perplexity": ("statistics.ratios", "perplexity"),
    "predict": ("evaluation.predict", "predict"),
    "stream": ("evaluation.streaming", "stream"),
    "verify": ("evaluation.verify", "verify"),
}

__all__ = [
    "Absolute",
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Conv2d",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Huber",
    "Layer",
    "LayerNorm",
    "MaxPool2d",
    "Mlp",
    "Network",
    "PassOptions",
    "Predictor",
    "Report",
    "Residual",
    "Sampler",
    "Source",
    "Span",
    "Squared",
    "Step",
    "Weighted",
    "__version__",
    "bits_per_byte",
    "calibration",
    "compare",
    "convert",
    "cross_entropy_error",
    "evaluate",
    "evaluate_until",
    "evaluate_weighted",
    "from_torch",
    "join_outputs",
    "load_mnist",
    "load_model",
    "merge",
    "metrics",
    "minibatch",
    "open",
    "open_outputs",
    "paired",
    "per_sample_losses",
    "perplexity",
    "predict",
    "stream",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("streameval")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    home = import_module(f"{__name__}.{module}")
    value = getattr(home, attribute) if attribute else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
