"""The loops of vector instructions against one plain loop each."""

from __future__ import annotations

from typing import Any

import naive
import numba
import numpy as np
import pytest
import small_networks as small

from streameval.kernels import bytes_vnni, host
from streameval.kernels.bytes_pairs import ROOM, make_byte_block
from streameval.kernels.bytes_vnni import list_groups
from streameval.kernels.dense import BLOCKS, MOST_VECTORS, dense_block
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.rows import align_stack, transpose_rows


@numba.njit
def _transposed(values, offsets, column, limit, out):
    transpose_rows(values, (offsets, 0), column, limit, (out, 0))


@numba.njit
def _dense(vectors, outputs, rows, inputs, weights, sums):
    listed = (inputs, 0, len(inputs))
    dense_block((vectors, outputs, 0), (rows, 0), listed, (weights, 0), (sums, 0), None, (0, 64))


@numba.njit
def _dense_of_all(vectors, outputs, rows, inputs, weights, sums):
    dense_block((vectors, outputs, 0), (rows, 0), len(inputs), (weights, 0), (sums, 0), None, (0, 64))


@numba.njit
def _dense_from_biases(vectors, outputs, rows, inputs, weights, sums, biases):
    size = (vectors, outputs, 3)
    dense_block(size, (rows, 0), inputs, (weights, 0), (sums, 0), (biases, 2), (0, 64))


@pytest.mark.parametrize("run", [_dense_of_all, _dense])
@pytest.mark.parametrize("vectors", range(1, MOST_VECTORS + 1))
@pytest.mark.parametrize("outputs", sorted(set(BLOCKS)))
def test_a_block_of_a_dense_layer_is_one_fma_an_input_in_their_order(
    vectors: int, outputs: int, run: Any
) -> None:
    """Whether the inputs are all of the rows or a list of some of them; lanes past the vectors stay as they are."""
    rng = np.random.default_rng(outputs)
    shape = (37, TILE_ROWS)
    rows = (rng.normal(size=shape) * np.exp2(rng.integers(-20, 20, shape))).astype("f4")
    inputs = np.arange(37) if run is _dense_of_all else rng.integers(0, 37, 20)
    weights = rng.normal(size=(len(inputs), outputs)).astype(np.float32)
    sums = rng.normal(size=(outputs, TILE_ROWS)).astype(np.float32)
    computed, offsets = sums.copy(), (inputs * TILE_ROWS).astype(np.int32)
    run(vectors, outputs, rows.ravel(), offsets, weights.ravel(), computed.reshape(-1))
    lanes = 16 * vectors
    assert np.array_equal(computed[:, :lanes], naive.dense_block(sums, rows[inputs], weights)[:, :lanes])
    assert np.array_equal(computed[:, lanes:], sums[:, lanes:])


@pytest.mark.parametrize("vectors", range(1, MOST_VECTORS + 1))
@pytest.mark.parametrize("outputs", sorted(set(BLOCKS)))
def test_a_block_can_begin_at_the_biases_of_its_outputs(vectors: int, outputs: int) -> None:
    """Whatever the sums were before; the block's first output is the third of those that have biases."""
    rng = np.random.default_rng(outputs)
    rows, weights = rng.normal(size=(20, TILE_ROWS)).astype("f4"), rng.normal(size=(20, outputs)).astype("f4")
    sums, biases = np.full((outputs, TILE_ROWS), np.nan, "f4"), rng.normal(size=5 + outputs).astype("f4")
    _dense_from_biases(vectors, outputs, rows.ravel(), 20, weights.ravel(), sums.reshape(-1), biases)
    begun, lanes = np.repeat(biases[5:, None], TILE_ROWS, axis=1), 16 * vectors
    assert np.array_equal(sums[:, :lanes], naive.dense_block(begun, rows, weights)[:, :lanes])
    assert np.isnan(sums[:, lanes:]).all()


def test_the_twin_s_fma_rounds_once() -> None:
    """Where rounding the product first, or the sum to float64 first, would give another number."""
    one, tiny = np.float32(1.0), np.float32(2.0**-12)
    assert naive.fma_f32(one + tiny, one - tiny, -one) == np.float32(-(2.0**-24))
    # 64 is half an ulp of c, whose last bit is 1; the product is less than that by 2**-40.
    last = np.float32(2.0**-23)
    c = np.float32(2.0**30 + 128)
    assert naive.fma_f32(64 * (one + last), one - last, c) == c
    assert naive.fma_f32(np.float32(64), one, c) == c + np.float32(128)
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-4000, 4000, 1000).astype(np.float32) for _ in range(3))
    assert np.array_equal(
        naive.fma_f32(a, b, c), (a.astype(int) * b.astype(int) + c.astype(int)).astype("f4")
    )


@pytest.mark.parametrize("column", [0, 3, 16, 20])
@pytest.mark.parametrize("limit", [16, 21, 36, 40])
def test_sixteen_rows_become_lanes_and_columns_past_the_end_zero(column: int, limit: int) -> None:
    values = np.arange(1, 16 * 50 + 1, dtype=np.float32)
    offsets = np.random.default_rng(column).integers(0, 16 * 50 - 40, 16)
    out = np.full((16, TILE_ROWS), np.nan, np.float32)
    _transposed(values, offsets, column, limit, out.reshape(-1))
    assert np.isnan(out[:, 16:]).all()
    assert np.array_equal(out[:, :16], naive.transpose_rows(values, offsets, column, limit))


@pytest.mark.skipif("avx512vnni" not in host.features(), reason="groups are listed with AVX-512")
@pytest.mark.parametrize("kind", small.KINDS)
@pytest.mark.parametrize("features", [4, 60, 64, 68, 124, 128, 132, 203, 784])
def test_groups_of_four_pixels_are_listed_by_which_of_two_rows_they_are_not_zero_in(
    kind: str, features: int
) -> None:
    """And nothing is written past the room of the last list."""

    @numba.njit
    def run(values, a, b, count, lists, room):
        return list_groups((values, a), (values, b), count, (lists, 3, room))

    x, groups = small.pixels(kind, 6, features), features // 4
    room = -(-(groups + ROOM) // 16) * 16
    for a in range(6):
        for b in (a, (a + 1) % 6):
            lists = np.full(3 + 3 * room // 2 + 1, -1, np.int32)
            counts = run(x.reshape(-1), a * features, b * features, groups, lists, room)
            written = lists[3:-1].view(np.uint16).reshape(3, room)
            found = [numbers[:count].tolist() for numbers, count in zip(written, counts, strict=True)]
            assert found == list(naive.list_groups(x[a], x[b]))
            assert (lists[[0, 1, 2, -1]] == -1).all()


@pytest.mark.skipif("avx512vnni" not in host.features(), reason="bytes are multiplied with VNNI")
@pytest.mark.parametrize("registers", bytes_vnni.REGISTERS)
@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 0), (0, 1, 2), (7, 4, 1), (12, 3, 8)])
def test_a_block_of_sums_is_of_the_groups_that_are_listed_for_each_row(
    registers: int, counts: tuple[int, int, int]
) -> None:
    """Whatever the other rows and groups hold: only what is listed is read, and only the block is written."""
    block = make_byte_block(bytes_vnni.INSTRUCTIONS)

    @numba.njit
    def run(x, a, b, lists, room, counts, planes, lanes, sums):
        rows = x.ctypes.data
        both, first, second = counts
        block(
            lanes // 16, (rows + a, rows + b), (lists, 2, room, both, first, second),
            (planes, 0, 4 * lanes), (sums, 5, 3 * lanes), (rows, 0),
        )  # fmt: skip

    rng = np.random.default_rng(sum(counts))
    lanes, groups, room = 16 * registers, 40, 16
    x = rng.integers(0, 256, (3, 4 * groups), np.uint8)
    planes = rng.integers(-128, 128, (groups, lanes, 4), np.int8)
    listed = rng.permutation(groups)[:36].reshape(3, 12)
    lists = np.zeros(2 + 3 * room // 2, np.int32)
    lists[2:].view(np.uint16).reshape(3, room)[:, :12] = listed
    sums = np.full(5 + 4 * lanes, -1, np.int32)
    run(x.reshape(-1), 4 * groups, 0, lists, room, counts, planes.reshape(-1), lanes, sums)
    both, first, second = (numbers[:count].tolist() for numbers, count in zip(listed, counts, strict=True))
    expected = np.full_like(sums, -1)
    expected[5 : 5 + lanes] = naive.byte_block(x[1], both + first, planes)
    expected[5 + 3 * lanes :] = naive.byte_block(x[0], both + second, planes)
    assert np.array_equal(sums, expected)


@pytest.mark.parametrize("gain", [1e-20, 1.0, 1e20])
def test_three_bytes_hold_a_weight_to_24_bits_of_its_column_s_largest(gain: float) -> None:
    weight = small.network([50, 9], [], gain=gain)[0].weight
    integers, factor = naive.column_integers(weight)
    planes = naive.byte_planes(integers)
    assert all(plane.min() >= -128 and plane.max() <= 127 for plane in planes)
    assert np.array_equal(planes[0] + 256 * planes[1] + 65536 * planes[2], integers)
    assert (np.abs(integers * factor - weight) <= np.abs(weight).max(axis=0) * 2.0**-23.9).all()
    # The same sum plane by plane, over the groups that are listed only.
    x = small.pixels("sparse", 1, 52)[0]
    padded = np.concatenate([integers, np.zeros((2, 9), int)])
    grouped = [p.reshape(13, 4, 9).transpose(0, 2, 1) for p in naive.byte_planes(padded)]
    sums = [naive.byte_block(x, naive.list_groups(x, x)[0], plane) for plane in grouped]
    assert np.array_equal(sums[0] + 256 * sums[1] + 65536 * sums[2], x[:50].astype(int) @ integers)


def test_a_stack_that_is_asked_to_begin_at_a_cache_line_does() -> None:
    """LLVM is told; without, half of all processes were slower by a twentieth."""

    @numba.njit
    def aligned(x):
        align_stack()
        return x + 1

    @numba.njit
    def plain(x):
        return x + 1

    found = []
    for function in (aligned, plain):
        assert function(1) == 2
        (code,) = function.inspect_llvm().values()
        found.append("alignstack=64" in code or "alignstack(64)" in code)
    assert found == [True, False]
