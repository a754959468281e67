"""npz and safetensors files that are hostile or damaged: a ModelError, nothing run, nothing large allocated."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT
from hostile_models import (
    Call,
    allocated,
    model_or_model_error,
    mutated,
    mutations,
    numbers,
    quiet,
    small_model,
    weights,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from streameval.errors import ModelError
from streameval.layers import Conv2d, Dense, Flatten
from streameval.models import load
from streameval.models.network import Network

# npz.


def member(content: bytes, name: str = "W1.npy", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr(name, content)
    return made.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def test_an_object_array_in_an_npz_is_refused_without_unpickling(tmp_path):
    target = tmp_path / "made_by_the_pickle"
    path = tmp_path / "evil.npz"
    np.savez(path, W1=np.array([Call(os.mkdir, str(target))], dtype=object))

    with pytest.raises(ModelError, match="object array"):
        load(path)
    assert not target.exists()


METHODS = pytest.mark.parametrize(
    "method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["deflate", "bzip2", "lzma"]
)


@METHODS
def test_a_zip_bomb_is_not_unpacked(tmp_path, method):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (25000000,), }"
    content = member(npy(header, bytes(100_000_000)), method=method)
    path = written(tmp_path, "bomb.npz", content)

    assert allocated(lambda: load(path)) < 4_000_000


@METHODS
def test_a_zip_directory_that_claims_less_than_there_is_unpacks_no_more_than_the_claim(tmp_path, method):
    """The bomb behind a lying directory: 100 MB of zeros, declared as the 48 bytes that the header says."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }"
    whole = npy(header, bytes(100_000_000))
    content = member(whole, method=method).replace(
        struct.pack("<I", len(whole)), struct.pack("<I", len(npy(header)) + 48)
    )
    path = written(tmp_path, "bomb.npz", content)

    assert allocated(lambda: load(path)) < 4_000_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000, 4000000), }", bytes(48)),
            "header says",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", bytes(47)), "header says"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", bytes(52)), "header says"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -3), }", bytes(48)), "does not say"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }"), "0 bytes"),
        (
            npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4, 3), }", bytes(48)),
            "does not say",
        ),
        (npy("{'descr': '<c8', 'fortran_order': False, 'shape': (4, 3), }", bytes(96)), "type '<c8'"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"), "object array"),
        (npy("__import__('os').system('true')"), "does not say"),
        (npy("(" * 60000), "claims"),
        (b"\x93NUMPY\x09\x00", "version"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "claims 2147483647 bytes"),
        (b"\x93NUMPY\x01\x00", "expected a .npy file of version"),
        (b"", "begins with b''"),
    ],
)
def test_a_lying_npy_header_is_refused(tmp_path, content, said):
    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "lying.npz", member(content)))


def test_a_member_that_is_not_an_array_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"readme\.txt"):
        load(written(tmp_path, "m.npz", member(b"hello", "readme.txt")))


def test_a_pytorch_checkpoint_is_told_apart_and_the_way_out_named(tmp_path):
    with pytest.raises(ModelError, match="state_dict"):
        load(written(tmp_path, "model.pt", member(b"\x80\x02.", "archive/data.pkl")))


@quiet
@given(data=st.data())
def test_a_mutated_npz_is_a_model_or_a_model_error_and_nothing_else(tmp_path, data):
    made = io.BytesIO()
    np.savez_compressed(made, **weights())
    changed = mutated(made.getvalue(), data.draw(mutations(len(made.getvalue()))))
    model_or_model_error(written(tmp_path, "mutated.npz", changed))


# safetensors.


@quiet
@given(data=st.data())
def test_mutated_safetensors_are_a_model_or_a_model_error_and_nothing_else(tmp_path, data):
    path = tmp_path / "m.safetensors"
    small_model().save(path)
    content = path.read_bytes()
    model_or_model_error(
        written(tmp_path, "mutated.safetensors", mutated(content, data.draw(mutations(len(content)))))
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b'{"W1":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,48]}}', "damaged"),
        (b'{"W1":{"dtype":"I8","shape":[4,12],"data_offsets":[0,48]}}', "I8"),
        (b'{"W1":{"dtype":"F32","shape":[4,3],"data_offsets":[0,4800000000]}}', "damaged"),
        (b"[" * 5000, "not recognised|very small values"),
        (b'{"__metadata__":{"activations":5}}', "damaged"),
        (b"{}", "no arrays"),
    ],
)
def test_a_lying_safetensors_header_is_refused(tmp_path, header, said):
    content = struct.pack("<Q", len(header)) + header + bytes(48)
    content = content if said != "no arrays" else content[:-48]

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "lying.safetensors", content))


def safetensors(header: bytes, body: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + body


W = b'"W1":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]}'


def test_null_for_the_metadata_of_safetensors_is_none(tmp_path):
    path = written(tmp_path, "null.safetensors", safetensors(b'{"__metadata__":null,' + W + b"}", bytes(48)))
    assert load(path).sizes == (4, 3)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{" + W + b"," + W + b"}", "the name 'W1' is there twice"),
        (b'{"__metadata__":{"a":"' + b"x" * (17 << 20) + b'"},' + W + b"}", "expected at most 16777216"),
        (b'{"__metadata__":{"a":[' + b"[]," * 500_000 + b"[]]}," + W + b"}", "very many very small values"),
        (b'{"__metadata__":{"architecture":"[' + b"[]," * 500_000 + b'[]]"},' + W + b"}", "small values"),
        (b'{"__metadata__":' + b"[" * 50_000 + b"]" * 50_000 + b"," + W + b"}", "safetensors"),
    ],
    ids=["a name twice", "a header of 17 MiB", "a million lists", "a million lists in text", "deep"],
)
def test_a_safetensors_header_costs_little_whatever_it_says(tmp_path, header, said):
    path = written(tmp_path, "costly.safetensors", safetensors(header, bytes(48)))
    assert allocated(lambda: load(path)) < 6 * path.stat().st_size + (1 << 20)
    with pytest.raises(ModelError, match=said):
        load(path)


def npz_of(folder: Path, activations: np.ndarray) -> Path:
    out = io.BytesIO()
    np.savez(out, W1=numbers(4, 3), b1=numbers(3), activations=activations)
    return written(folder, "m.npz", out.getvalue())


def test_letters_that_do_not_exist_are_refused(tmp_path):
    letters = np.array(["identity"])
    letters.view("u4")[0] = 0x110000
    with pytest.raises(ModelError, match="letters that do not exist"):
        load(npz_of(tmp_path, letters))
    assert load(npz_of(tmp_path, np.array(["identity"], ">U8"))).activations == ("identity",)


def test_activations_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(ModelError, match="values of type float64"):
        load(npz_of(tmp_path, np.ones(3)))


def test_more_members_than_a_network_has_are_refused_before_the_directory_is_read(tmp_path, monkeypatch):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.npy", b"")
    path = written(tmp_path, "many.npz", out.getvalue())
    monkeypatch.setattr(zipfile.ZipFile, "infolist", None)
    with pytest.raises(ModelError, match="more than 10000 members"):
        load(path)


def image_network() -> Network:
    conv = Conv2d(numbers(2, 1, 2, 2), numbers(2), padding=(1, 0, 0, 1))
    return Network([conv, Flatten(), Dense(numbers(40, 3), numbers(3), "identity")], shape=(1, 5, 4))


@pytest.mark.parametrize("network", [small_model(), image_network()], ids=["dense", "images"])
def test_a_flipped_bit_anywhere_in_a_saved_network_is_refused_or_changes_nothing(tmp_path, network):
    """One bit of every byte: names, shapes, offsets, settings of layers, and every number."""
    path = tmp_path / "m.safetensors"
    network.save(path)
    content, whole = path.read_bytes(), load(path)
    rng = np.random.default_rng(0)
    refused = 0
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            assert load(path, allow_nonfinite=True) == whole
        except ModelError:
            refused += 1
    assert refused > 0.9 * len(content)


def test_a_saved_network_that_was_altered_says_so(tmp_path):
    path = tmp_path / "m.safetensors"
    small_model().save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="recorded when it was saved: it is damaged"):
        load(path)


def test_a_network_is_saved_to_the_same_bytes_in_every_process(tmp_path):
    code = "from hostile_models import small_model; import sys; small_model().save(sys.argv[1])"
    for name in ("a", "b"):
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / name],
            check=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
    small_model().save(tmp_path / "c")
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
