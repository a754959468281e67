"""What is used where nothing was said, and the names that can be chosen: each in this one place. Imports nothing.

Tables elsewhere say what a name does; a test holds them to the names here. What the kernels compute has its names in
`kernels.names`, since compiled code depends on their order.
"""

from __future__ import annotations

# Cross-entropy: E = -log(y + eps).
EPS = 1e-7

# What a row can cost, as options say it, names of `losses.LOSSES`; those that compare outputs with numbers.
NUMBER_LOSSES = ("squared", "absolute", "huber")
LOSSES = ("cross-entropy", "binary-cross-entropy", *NUMBER_LOSSES)

# Rows read at a time by a pass; by one of a small network over arrays in memory; by `stream`.
CHUNK_ROWS = 16_384
LONG_CHUNK_ROWS = 65_536
STREAM_ROWS = 4_096
IO = ("auto", "mmap", "direct", "pread")
# What a data set is written as.
FORMATS = ("arrow", "npy")
# Who computes a model file.
NATIVE = "native"
RUNTIMES = (NATIVE, "onnxruntime", "openvino", "torch")

# A mini-batch, a comparison, a sequential estimate.
BATCH_SIZE = 100
SIZES = (10, 100, 1000)
TRIALS = 2_000
HALF_WIDTH = 0.01
LEVEL = 0.95
SEED = 0
# Of saved outputs: the share of each run whose rows the others must have.
LEAST_JOINED = 0.9

# Intervals for a mean: of a batch of fixed size, and those that may be looked at while rows are read.
METHODS = ("normal", "skew", "bernstein", "serfling", "betting", "predictable", "asymptotic")
METHOD = "skew"
SEQUENTIAL_METHODS = ("betting", "predictable", "asymptotic")
SEQUENTIAL_METHOD = "betting"
# Those that hold for any sample of losses within their bounds; the others are approximations.
GUARANTEED = ("bernstein", "serfling", "betting", "predictable")

# How names of model files end, and of no others: .npz may be a model, data or saved outputs.
WEIGHTS = (".pkl", ".pickle", ".pt", ".pth", ".safetensors", ".onnx")

# What is estimated: the mean loss, or the share of rows predicted right.
OF = ("loss", "accuracy")

# How rows are drawn beside stored losses: all alike, or more often where those are high.
DRAWS = ("uniform", "weighted")

# What the weights of a ratio count.
PER = ("token", "byte", "weight")

# Bins of a calibration error.
BINS = 15

# What a claim is about: the rows there are, or further data of the same kind, of which they are a sample.
THESE_ROWS = "these rows"
FURTHER_DATA = "further data"
