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
from streameval.kernels.blocks import transpose_rows

from benchmarks.data import pixels, seed_network
from streameval.kernels import activations, dense, first_layer, folding, losses
from streameval.kernels.byte_rows import LANES, SUMS, WIDTH
from streameval.kernels.forward import BIASES, BLOCK, INPUTS, PADDED, WEIGHTS
from streameval.kernels.host import TILE_ROWS, byte_engine
from streameval.kernels.packing import pack
from streameval.kernels.running import Scratch, forward

ROUNDS = 30
NO_SOFT, NO_PROBABILITIES = np.empty((0, 0)), np.empty((0, 0), np.float32)


@numba.njit
def sum_bytes(values, offsets, tiles, net, planes, ints):
    for tile in range(tiles):
        first_layer._sum_tile(values, offsets, tile * TILE_ROWS, TILE_ROWS, net, planes, ints, 0, 0)


@numba.njit
def scale(values, offsets, tiles, net, ints, weights, scales, work, z):
    for tile in range(tiles):
        for i in range(TILE_ROWS):
            row, to = offsets[tile * TILE_ROWS + i], z + (i % 16) * net[WIDTH]
            first_layer._scale_row(
                values, row, net, ints, net[SUMS] + i * net[LANES], weights, scales, work, to
            )


@numba.njit
def transpose(tiles, net, work, z, places):
    for i in range(16):
        places[i] = z + i * net[WIDTH]
    for _ in range(tiles):
        for r in range(0, TILE_ROWS, 16):
            for j in range(0, net[WIDTH], 16):
                transpose_rows(work, places, 0, j, net[WIDTH], work, j * TILE_ROWS + r, TILE_ROWS)


@numba.njit
def layer(tiles, table, weights, work, other):
    for _ in range(tiles):
        dense.fill_bias(weights, table[BIASES], table[PADDED], work, other)
        dense.add_dense(
            work, 0, table[INPUTS], weights, table[WEIGHTS], table[PADDED], table[BLOCK], work, other, 2, 0, 0
        )


@numba.njit
def activate(tiles, work, neurons, code):
    for _ in range(tiles):
        activations.activate(work, 0, neurons * TILE_ROWS, code)


@numba.njit
def loss_of_tiles(tiles, work, labels, soft, doubles, loss, predicted, probabilities):
    for tile in range(tiles):
        losses.cross_entropy_tile(
            work,
            0,
            10,
            labels,
            soft,
            1e-7,
            tile * TILE_ROWS,
            TILE_ROWS,
            doubles,
            loss,
            predicted,
            probabilities,
        )


def main() -> None:
    """Print a line for each part: the fastest of thirty rounds, and cycles of a row are not guessed at."""
    network, (x, t) = seed_network(), pixels(60_000)
    packed = pack(network, dtype=np.uint8, scale=1 / 255)
    scratch = Scratch.of(packed, 1)
    work, doubles, ints, places = (part[0] for part in vars_of(scratch))
    values, n = np.ascontiguousarray(x).reshape(-1), len(x) // TILE_ROWS * TILE_ROWS
    offsets, labels = np.arange(n) * packed.features, t[:n].astype(np.int64)
    loss, predicted, rows = np.empty(n), np.empty(n, np.int64), np.arange(n)
    tiles, half, net = n // TILE_ROWS, len(work) // 2, packed.first
    work[:] = 0.5
    table = packed.layers

    def fold() -> None:
        sums, extremes, worst = np.zeros(10, np.int64), np.zeros(2), (np.zeros(10), np.zeros(10, np.int64))
        folding.fold_losses(loss, rows, sums, extremes, *worst)
        by_class, confusion = np.zeros((10, 4), np.int64), np.zeros((10, 10), np.int64)
        folding.fold_classes(loss, labels, predicted, by_class, confusion)

    parts: dict[str, Callable[[], Any]] = {
        f"first layer, integer sums ({byte_engine()})": lambda: sum_bytes(
            values, offsets, tiles, net, packed.planes, ints
        ),
        "first layer, scaling to float32": lambda: scale(
            values, offsets, tiles, net, ints, packed.first_weights, packed.scales, work, half
        ),
        "first layer, rows into lanes": lambda: transpose(tiles, net, work, half, places),
        "50 sigmoids": lambda: activate(tiles, work, 50, activations.SIGMOID),
        "layer 50 x 100": lambda: layer(tiles, table[1], packed.weights, work, half),
        "100 sigmoids": lambda: activate(tiles, work, 100, activations.SIGMOID),
        "layer 100 x 10": lambda: layer(tiles, table[2], packed.weights, work, half),
        "softmax and loss": lambda: loss_of_tiles(
            tiles, work, labels, NO_SOFT, doubles, loss, predicted, NO_PROBABILITIES
        ),
        "sums of losses as integers": fold,
        "all of it but the sums": lambda: forward(
            packed, scratch, values, offsets, labels, NO_SOFT, 1e-7, loss, predicted, NO_PROBABILITIES
        ),
    }
    print(f"{n:,} rows, 784-50-100-10, one thread\n\n| part | ms |\n| --- | ---: |")
    for name, run in parts.items():
        print(f"| {name} | {fastest(run):.2f} |")


def vars_of(scratch: Scratch) -> tuple[Any, ...]:
    """The four arrays of a scratch."""
    return scratch.work, scratch.doubles, scratch.ints, scratch.places


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
