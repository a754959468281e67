"""Where the time of the seed workload goes: each part of the kernel alone, on one thread.

    python -m benchmarks.parts

Calls the parts as the kernel does, tile by tile, on the same rows. Their sum is less than the whole, which waits for
memory that a part alone finds in the cache. Knows the kernels' inside: it changes when they do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from benchmarks.data import pixels, seed_network
from streameval.evaluation.state import fold_classes, fold_losses
from streameval.kernels import activations, dense, dense_bytes
from streameval.kernels.byte_rows import LANES, SUMS, WIDTH
from streameval.kernels.host import TILE_ROWS, batch_tiles, byte_engine
from streameval.kernels.names import ACTIVATIONS
from streameval.kernels.packing import pack
from streameval.kernels.program import TARGET, TEMPORARY, Net, Outputs, Results, Rows, Space, Targets, Tile
from streameval.kernels.rows import transpose_rows
from streameval.kernels.running import Forward, Scratch
from streameval.layers import Dense
from streameval.losses import CrossEntropy

ROUNDS = 30
BATCH_TILES = batch_tiles()
SIGMOID = ACTIVATIONS.index("sigmoid")
LOSS = CrossEntropy()
write_losses = LOSS.tile()
sum_tile, scale_row, run_dense = dense_bytes._sum_tile, dense_bytes.scale_row, dense.DENSE.run


@numba.njit
def sum_bytes(tiles, step, net, rows, space):
    """The sums of a batch come with its first tile."""
    for tile in range(0, tiles, BATCH_TILES):
        after = (min(BATCH_TILES, tiles - tile) - 1) * TILE_ROWS
        sum_tile(step, net, rows, space, Tile(tile * TILE_ROWS, TILE_ROWS, 0, 0, 0, after))


@numba.njit
def scale(tiles, step, net, rows, space):
    for tile in range(tiles):
        for i in range(TILE_ROWS):
            to = step[TEMPORARY] + (i % 16) * step[WIDTH]
            row = rows.offsets[tile * TILE_ROWS + i]
            scale_row(step, net, rows, row, space, step[SUMS] + i * step[LANES], to)


@numba.njit
def transpose(tiles, step, net, rows, space):
    for i in range(16):
        space.places[i] = step[TEMPORARY] + i * step[WIDTH]
    for _ in range(tiles):
        for r in range(0, TILE_ROWS, 16):
            for j in range(0, step[WIDTH], 16):
                out = (space.floats, step[TARGET] + j * TILE_ROWS + r)
                transpose_rows(space.floats, (space.places, 0), j, step[WIDTH], out)


@numba.njit
def layer(tiles, step, net, rows, space):
    for _ in range(tiles):
        run_dense(step, net, rows, space, Tile(0, TILE_ROWS, 0, 0, 0, 0))


@numba.njit
def activate(tiles, floats, neurons, code):
    for _ in range(tiles):
        activations.activate_shared(floats, 0, neurons * TILE_ROWS, code)


@numba.njit
def loss_of_tiles(tiles, outputs, targets, doubles, results):
    for tile in range(tiles):
        write_losses(outputs, targets, Tile(tile * TILE_ROWS, TILE_ROWS, 0, 0, 0, 0), doubles, results)


def main() -> None:
    """Print a line for each part: the fastest of thirty rounds, and cycles of a row are not guessed at."""
    (x, t) = pixels(60_000)
    packed = pack([Dense(*one) for one in seed_network()], dtype=np.uint8, scale=1 / 255)
    scratch = Scratch.of(packed, 1)
    space = Space(scratch.floats[0], scratch.doubles[0], scratch.ints[0], scratch.places[0])
    values, n = np.ascontiguousarray(x).reshape(-1), len(x) // TILE_ROWS * TILE_ROWS
    offsets, labels = np.arange(n) * packed.features, t[:n].astype(np.int64)
    losses, predicted, row_numbers = np.empty(n), np.empty(n, np.int64), np.arange(n)
    tiles = n // TILE_ROWS
    space.floats[:] = 0.5
    net = Net(packed.program, packed.weights, packed.factors, packed.inputs, packed.planes)
    rows = Rows(values, values.ctypes.data, offsets)
    # Bytes, sigmoid, 50 x 100, sigmoid, 100 x 10.
    first, _, second, _, third, _ = packed.program
    outputs = Outputs(space.floats, int(third[TARGET]), packed.outputs)
    targets = Targets(labels, np.empty((0, 0)), LOSS.parameters())
    results = Results(losses, predicted, np.empty((0, 0), np.float32))

    def fold() -> None:
        fold_losses(losses, row_numbers)
        fold_classes(losses, labels, predicted, 10)

    whole = Forward(packed, scratch, LOSS)
    parts: dict[str, Callable[[], Any]] = {
        f"first layer, integer sums ({byte_engine()})": lambda: sum_bytes(tiles, first, net, rows, space),
        "first layer, scaling to float32": lambda: scale(tiles, first, net, rows, space),
        "first layer, rows into lanes": lambda: transpose(tiles, first, net, rows, space),
        "50 sigmoids": lambda: activate(tiles, space.floats, 50, SIGMOID),
        "layer 50 x 100": lambda: layer(tiles, second, net, rows, space),
        "100 sigmoids": lambda: activate(tiles, space.floats, 100, SIGMOID),
        "layer 100 x 10": lambda: layer(tiles, third, net, rows, space),
        "softmax and loss": lambda: loss_of_tiles(tiles, outputs, targets, space.doubles, results),
        "sums of losses as integers": fold,
        "all of it but the sums": lambda: whole(values, offsets, labels, losses, predicted),
    }
    print(f"{n:,} rows, 784-50-100-10, one thread\n\n| part | ms |\n| --- | ---: |")
    for name, run in parts.items():
        print(f"| {name} | {fastest(run):.2f} |")


def fastest(run: Callable[[], Any]) -> float:
    """Milliseconds of the fastest round, after one that compiles."""
    run()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


if __name__ == "__main__":
    main()
