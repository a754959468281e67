"""Features that are normalised as they are read: the same bits as a plain formula, for bytes and floats."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import in_process
from data_files import drawn, rows_of
from hypothesis import given, settings
from hypothesis import strategies as some
from naive import normalised

import streameval as se
from streameval import storage
from streameval.errors import UsageError
from streameval.storage.source import Span

SHAPES = {
    "one number": ((4, 5), ()),
    "first": ((3, 4, 5), (3, 1, 1)),
    "last": ((4, 5, 3), (3,)),
    "each": ((6,), (6,)),
}


@settings(max_examples=30)
@given(some.data(), some.sampled_from(sorted(SHAPES)), some.booleans(), some.sampled_from([None, 0.5]))
def test_rows_are_those_of_the_formula(data, which, whole, scale):
    shape, broadcast = SHAPES[which]
    rng = np.random.default_rng(data.draw(some.integers(0, 99)))
    x = rng.integers(0, 256, (300, *shape), np.uint8)
    x = x if whole else (x / 7).astype(np.float32)
    mean, std = rng.normal(size=broadcast), rng.uniform(0.01, 3, size=broadcast)
    source = storage.open(
        (x, np.zeros(300, int)),
        scale=scale,
        mean=mean.ravel() if broadcast else float(mean),
        std=std.ravel().tolist(),
    )
    used = scale or (1 / 255 if whole else 1.0)
    expected = normalised(x, used, mean, std).reshape(300, -1)
    assert np.array_equal(rows_of(source)[0], expected)
    assert np.array_equal(source.take(np.array([299, 3, 299])).x, expected[[299, 3, 299]])
    assert (source.dtype, source.scale, len(source)) == (np.dtype(np.float32), 1.0, 300)


def test_it_is_the_same_read_converted_and_as_arrays(tmp_path, network_file):
    x, t = drawn(500)
    path = storage.create(tmp_path / "a.arrow", [(x, t)], rows=500, shape=(28, 28), dtype="uint8")
    expected = storage.open((normalised(x, 1 / 255, 0.1307, 0.3081), t))
    source = storage.open(path, mean=0.1307, std=0.3081)
    written = storage.open(storage.convert(path, tmp_path / "b.arrow", mean=0.1307, std=0.3081))
    assert source.fingerprint == written.fingerprint == expected.fingerprint
    network = se.load_model(network_file)
    digests = {
        se.evaluate(network, one, chunk_rows=rows).digest
        for one in (source, written, expected)
        for rows in (77, 4096)
    }
    assert len(digests) == 1
    assert digests != {se.evaluate(network, path).digest}
    assert source.check_content() == 1
    assert storage.open(path, mean=0.1307, std=0.3081, check=True).fingerprint == source.fingerprint
    assert se.evaluate(network, storage.open(path, mean=0.1307, std=0.3081, check=True)).digest in digests
    assert (
        se.minibatch(network, source, size=50, seed=1).loss
        == se.minibatch(network, expected, size=50, seed=1).loss
    )


def test_a_byte_that_changed_is_found_under_it(tmp_path):
    x, t = drawn(500)
    path = storage.create(tmp_path / "a.arrow", [(x, t)], rows=500, shape=(28, 28), dtype="uint8")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    source = storage.open(path, mean=0.5, check=True)
    with pytest.raises(se.errors.DataError, match=r"expected .* as recorded"):
        list(source.chunks(Span(0, 500), 100))


# What is given, and what is said of it.
WRONG = {
    "std 0": ({"std": 0}, r"std: 0, expected finite numbers above 0"),
    "infinite": ({"mean": float("inf")}, "mean: "),
    "two of three": ({"mean": [1, 2]}, r"mean: 2 numbers for rows of 28 x 28, expected one, or 784"),
    "text": ({"mean": "0.5"}, "mean: '0.5'"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_what_means_nothing_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        storage.open(drawn(5), **options)


def test_the_command_line_takes_numbers_with_commas(tmp_path, network_file):
    x, t = drawn(50)
    path = storage.create(tmp_path / "a.arrow", [(x, t)], rows=50, shape=(28, 28), dtype="uint8")
    done = in_process("evaluate", network_file, path, "--mean", "0.5", "--std", "0.25")
    assert (
        se.evaluate(se.load_model(network_file), storage.open(path, mean=0.5, std=0.25)).digest in done.stdout
    )
    done = in_process("evaluate", network_file, path, "--mean", "0.5,x")
    assert (done.returncode, "--mean: 'x' is no number" in done.stderr) == (2, True)
    done = in_process("evaluate", tmp_path / "outputs.csv", "--std", "1")
    assert done.returncode in (2, 5)
    done = in_process("evaluate", network_file, path, "--mean", "0.5", "--engine", "dask")
    assert (done.returncode, "streameval convert" in done.stderr) == (2, True)
