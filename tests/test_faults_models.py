"""Weight files that are hostile or damaged: a ModelError, nothing run, nothing large allocated."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streameval.errors import ModelError, StorageError
from streameval.models import Layer, Mlp, load

quiet = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def weights() -> dict[str, np.ndarray]:
    return {"W1": numbers(4, 3), "b1": numbers(3), "W2": numbers(3, 2), "b2": numbers(2)}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def allocated(action: Callable[[], object]) -> int:
    """The most memory, in bytes, that Python held at once because of `action`."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Pickles.


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {}", "system"),
        (eval, "open({!r}, 'w')", "eval"),
        (os.mkdir, "{}", "mkdir"),
        (np.load, "{}", "load"),
        (np.zeros, 1 << 40, "zeros"),
        (bytearray, 1 << 40, "bytearray"),
    ],
)
def test_a_pickle_that_calls_anything_is_refused_by_name_and_nothing_runs(
    tmp_path, protocol, function, argument, name
):
    target = tmp_path / "made_by_the_pickle"
    argument = argument.format(str(target)) if isinstance(argument, str) else argument
    content = pickle.dumps({"W1": Call(function, argument)}, protocol=protocol)
    path = written(tmp_path, "evil.pkl", content)

    with pytest.raises(ModelError, match=name):
        load(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"(ios\nsystem\nS'true'\n.", "INST"),
        (b"(cnumpy\ndtype\no.", "OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
        (b"Pname\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x04\x8f.", "EMPTY_SET"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f", "LONG4"),
        (b"\xfe.", "opcode"),
        (b"cnumpy\nndarray\n(K\x05tR.", "array rebuilders"),
        (b"ccollections\nOrderedDict\n)R.", "OrderedDict"),
        (b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.", "fromfile"),
        (b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.", "dtype 'O8'"),
        (b"cnumpy\ndtype\n(S'f4,f4'\nI00\nI01\ntR.", "dtype"),
        (b"c_codecs\nencode\n(V1+1\nVrot13\ntR.", "latin1"),
        (b"\x80\x06N.", "protocol 6"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf4\ntRC\x03abctR.", "3 bytes, expected 4"),
        (b"}.", "no arrays"),
        (b"N.", "not a dict"),
        (b"", "empty"),
        (b".", "empty stack"),
        (b"(.", "empty stack"),
        (b"NN.", "left over"),
        (b"}((K\x01ttN" + b"s.", "dict key"),
        (b"(dp0\ng0\ng0\ns.", "dict key"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "frame"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fN.", "ends at byte"),
        (b"\x80\x02T\xff\xff\xff\xff.", "ends at byte"),
        (b"I" + b"9" * 50 + b"\n.", "20 digits"),
    ],
)
def test_every_other_opcode_or_global_is_refused_by_name(tmp_path, content, said):
    path = written(tmp_path, "evil.pkl", content)

    with pytest.raises(ModelError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


MEGABYTE = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20)
TEXT = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20)
ARRAY = (  # a float32 array (512, 512) over a megabyte
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    b"(K\x01(M\x00\x02M\x00\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"I00\n" + MEGABYTE + b"tb"
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x80\x04" + b"]" * 3_000_000 + b".", id="millions of lists"),
        pytest.param(b"\x80\x04N" + b"\x85" * 3_000_000 + b".", id="millions of tuples, one in the other"),
        pytest.param(b"\x80\x04]" + b"2a" * 240_000 + b".", id="a list in itself"),
        pytest.param(b"\x80\x04)" + b"2\x86" * 100_000 + b".", id="two to the hundred thousand leaves"),
        pytest.param(
            b"\x80\x02"
            + TEXT
            + b"q\x000"
            + b"("
            + b"c_codecs\nencode\n(h\x00X\x06\0\0\0latin1tR" * 5000
            + b"t.",
            id="the same text encoded 5000 times",
        ),
        pytest.param(
            b"\x80\x02" + ARRAY + b"q\x000}(" + b"".join(b"U\x06W%05dh\x00" % i for i in range(9000)) + b"u.",
            id="the same array under 9000 names",
        ),
        pytest.param(b"\x80\x02}(" + b"NNNN" * 60_000 + b"u.", id="keys that are none"),
        pytest.param(
            b"\x80\x02" + b"}(K\x01N" * 50_000 + b"u" * 50_000 + b".", id="dicts fifty thousand deep"
        ),
        pytest.param(ARRAY.replace(b"M\x00\x02M\x00\x02", b"J\xff\xff\xff\x7f" * 2), id="a lying shape"),
    ],
)
def test_a_pickle_bomb_allocates_no_more_than_a_small_multiple_of_its_size(tmp_path, content):
    path = written(tmp_path, "bomb.pkl", content)

    assert allocated(lambda: load(path)) < 8 * len(content) + 40_000_000


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cut_anywhere_is_a_model_error(tmp_path, protocol):
    content = pickle.dumps(weights(), protocol=protocol)
    for cut in range(len(content)):
        with pytest.raises(ModelError):
            load(written(tmp_path, "cut.pkl", content[:cut]))


def mutations(size: int) -> st.SearchStrategy[list[tuple[int, bytes, int]]]:
    """Some places in a file, what to put there, and how many bytes it takes the place of."""
    return st.lists(
        st.tuples(st.integers(0, size), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=6
    )


def mutated(content: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for place, bytes_, taken in changes:
        content = content[:place] + bytes_ + content[place + taken :]
    return content


def model_or_model_error(path: Path) -> None:
    """Any other exception goes through and fails the test; so does a message that a terminal would obey."""
    said, model = str(path), None
    try:
        model = load(path)
    except ModelError as error:
        said = str(error)
    assert str(path) in said
    assert said.isprintable()
    assert model is None or all(np.isfinite(layer.weight).all() for layer in model.layers)


@pytest.mark.parametrize("protocol", range(6))
@quiet
@given(data=st.data())
def test_a_mutated_pickle_is_a_model_or_a_model_error_and_nothing_else(tmp_path, protocol, data):
    content = pickle.dumps(weights(), protocol=protocol)
    changed = mutated(content, data.draw(mutations(len(content))))
    model_or_model_error(written(tmp_path, "mutated.pkl", changed))


OPCODES = [op.code.encode("latin-1") for op in pickletools.opcodes]
ARGUMENTS = [b"", b"\x00", b"\x01\x00", b"\x01\x00\x00\x00", b"f4", b"<", b"C", b"\n", b"numpy\n", b"dtype\n"]


@quiet
@example([b"(", b"."])
@given(st.lists(st.sampled_from(OPCODES + ARGUMENTS), max_size=40))
def test_any_sequence_of_opcodes_is_a_model_error(tmp_path, parts):
    with pytest.raises(ModelError):
        load(written(tmp_path, "random.pkl", b"".join(parts) + b"."))


def test_the_interpreter_agrees_with_pickle_on_every_plain_value():
    """The twin: the standard library's own unpickler, on values that both may read."""
    from streameval.models.pickle import read

    plain = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.tuples(inner, inner)
        ),
        max_leaves=20,
    )

    @settings(deadline=None)
    @given(plain, st.integers(0, 5))
    def check(value, protocol):
        assert read(pickle.dumps(value, protocol=protocol)) == value

    check()


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
        (npy("(" * 60000), "does not say"),
        (b"\x93NUMPY\x09\x00", "version"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "does not say"),
        (b"\x93NUMPY\x01\x00", "damaged"),
        (b"", "does not begin"),
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


def small_model(middle: str = "tanh") -> Mlp:
    w = weights()
    return Mlp([Layer(w["W1"], w["b1"], middle), Layer(w["W2"], w["b2"], "identity")])


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b'{"W1":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,48]}}', "damaged"),
        (b'{"W1":{"dtype":"I8","shape":[4,12],"data_offsets":[0,48]}}', "I8"),
        (b'{"W1":{"dtype":"F32","shape":[4,3],"data_offsets":[0,4800000000]}}', "damaged"),
        (b"[" * 5000, "not recognised|damaged"),
        (b'{"__metadata__":{"activations":5}}', "damaged"),
        (b"{}", "no arrays"),
    ],
)
def test_a_lying_safetensors_header_is_refused(tmp_path, header, said):
    content = struct.pack("<Q", len(header)) + header + bytes(48)
    content = content if said != "no arrays" else content[:-48]

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "lying.safetensors", content))


# Weights that are not finite, shapes that do not chain (rows 14 and 16).


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_a_weight_that_is_not_finite_is_refused_unless_allowed(tmp_path, name, wrong):
    arrays = weights()
    arrays[name].flat[1] = wrong
    path = written(tmp_path, "m.pkl", pickle.dumps(arrays))

    with pytest.raises(ModelError, match=f"layer {name[1]}, .*--allow-nonfinite") as caught:
        load(path)
    assert str(wrong) in str(caught.value)
    assert load(path, allow_nonfinite=True).features == 4


def test_a_float64_weight_beyond_float32_counts_as_infinite(tmp_path):
    arrays = {"W1": np.full((4, 3), 1e300), "b1": np.zeros(3)}

    with pytest.raises(ModelError, match="inf"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)))


def test_layers_that_do_not_chain_are_named_with_their_numbers(tmp_path):
    arrays = {**weights(), "W2": numbers(5, 2)}

    with pytest.raises(ModelError, match=r"'1' has 3 outputs, but layer '2' takes 5 inputs"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)))
    w = weights()
    with pytest.raises(ModelError, match=r"layer 1 has 3 outputs, but layer 2 takes 5 inputs"):
        Mlp([Layer(w["W1"], w["b1"], "relu"), Layer(numbers(5, 2), w["b2"], "identity")])


def test_a_bias_that_does_not_fit_its_weight_is_named(tmp_path):
    arrays = {**weights(), "b2": numbers(7)}

    with pytest.raises(ModelError, match=r"'2' has 2 outputs, but its bias has 7 numbers"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)))


# Files that are no networks, and files that cannot be read.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(20), "gunzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"ARROW1\0\0", "MODEL DATA"),
        (b"\x00\x00\x08\x03", "MODEL DATA"),
        (b"\x93NUMPY\x01\x00", "savez"),
        (b"hello", r"not recognised.*\.safetensors"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_what_to_do(tmp_path, content, said):
    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "model.bin", content))


def test_a_path_that_cannot_be_read_is_a_storage_error_with_the_path(tmp_path):
    for path in (tmp_path / "Größe und Maß.pkl", tmp_path):
        with pytest.raises(StorageError, match=path.name):
            load(path)


# ONNX (row 21).


def onnx_model(nodes: list[Any], constants: dict[str, np.ndarray], **extra: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(name, 1, ("N", size)) for name, size in (("x", 4), ("y", 3))]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors), **extra)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


A = {"A": numbers(4, 3)}


def test_onnx_weights_in_another_file_are_refused_and_that_file_is_not_opened(tmp_path):
    onnx = pytest.importorskip("onnx")
    big = {"A": np.ones((4, 512), np.float32)}
    path = tmp_path / "m.onnx"
    onnx.save_model(
        onnx_model([node("MatMul", "x A", "y")], big),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    beside = tmp_path / "weights.bin"
    assert beside.stat().st_size == 4 * 512 * 4
    os.utime(beside, (0, 0))
    beside.unlink()
    os.mkfifo(beside)  # opening it would hang

    with pytest.raises(ModelError, match=r"'A' lie outside the ONNX file.*onnx\.save"):
        load(path)


def test_a_lying_external_path_in_a_constant_node_is_refused_too(tmp_path):
    onnx = pytest.importorskip("onnx")
    outside = onnx.numpy_helper.from_array(numbers(4, 3), "A")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    model = onnx_model([node("Constant", "", "A", value=outside), node("MatMul", "x A", "y")], {})

    with pytest.raises(ModelError, match="outside the ONNX file"):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


def refused_graphs() -> list[Any]:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    body = helper.make_graph([], "body", [], [])
    dense = node("MatMul", "x A", "y")
    cases: list[tuple[str, list[Any], dict[str, np.ndarray]]] = [
        ("'Loop'", [node("Loop", "x", "y", body=body)], {}),
        ("'If'", [node("If", "x", "y", then_branch=body, else_branch=body)], {}),
        ("'Scan'", [node("Scan", "x", "y", body=body, num_scan_inputs=1)], {}),
        ("'Conv'", [node("Conv", "x A", "y")], A),
        ("'Erf'.*opset 20", [node("MatMul", "x A", "h"), node("Erf", "h", "y")], A),
        ("'evil.Relu'", [node("Relu", "x", "y", domain="evil")], {}),
        ("'Transpose'", [node("Transpose", "x", "y")], {}),
        ("branches at Add", [node("MatMul", "x A", "h"), node("Add", "h h", "y")], A),
        (
            "branches at Relu",
            [node("MatMul", "x A", "h"), node("Relu", "h", "i"), node("Relu", "h", "y")],
            A,
        ),
        ("computed in a branch", [node("MatMul", "x B", "y")], A),
        ("output 'y' is not where", [node("MatMul", "x A", "h")], A),
        ("ends with relu", [node("MatMul", "x A", "h"), node("Relu", "h", "y")], A),
        ("no layer at all", [node("Identity", "x", "y")], {}),
        ("does not follow a dense", [node("Relu", "x", "h"), node("MatMul", "h A", "y")], A),
        (
            "after its Softmax",
            [node("MatMul", "x A", "h"), node("Softmax", "h", "i"), node("Relu", "i", "y")],
            A,
        ),
        ("axis 0", [node("MatMul", "x A", "h"), node("Softmax", "h", "y", axis=0)], A),
        ("slope 0.2", [node("MatMul", "x A", "h"), node("LeakyRelu", "h", "y", alpha=0.2)], A),
        ("'tanh' form", [node("MatMul", "x A", "h"), node("Gelu", "h", "y", approximate="tanh")], A),
        ("rows first", [node("Gemm", "x A", "y", transA=1)], A),
        ("the weight as input 1", [node("Gemm", "A x", "y")], A),
        ("4 values per row come to layer 1", [node("MatMul", "x B", "y")], {"B": numbers(5, 3)}),
        ("3 values per row come to layer 2", [node("MatMul", "x A", "h"), node("MatMul", "h A", "y")], A),
        ("3 values per row meet", [node("Gemm", "x A B", "y")], {**A, "B": numbers(5)}),
        ("divided by the values", [node("Div", "B x", "h"), dense], {**A, "B": numbers(1)}),
        (
            "training mode",
            [node("Dropout", "x r t", "h"), dense],
            {**A, "r": numbers(1), "t": np.array(True)},
        ),
        ("Reshape to", [node("Reshape", "x s", "h"), dense], {**A, "s": np.array([4, -1])}),
        ("Flatten at axis 0", [node("Flatten", "x", "h", axis=0), dense], A),
        ("other than floating", [node("Cast", "x", "h", to=6), dense], A),
        ("of type int64", [node("Mul", "x s", "h"), dense], {**A, "s": np.array([4])}),
        ("ONNX type 16", [node("MatMul", "x B", "y")], {}),
        (
            "the same numbers again and again",
            [node("MatMul", "x B", "x0"), *[node("MatMul", f"x{i} C", f"x{i + 1}") for i in range(40)]],
            {"B": numbers(4, 256), "C": numbers(256, 256)},
        ),
    ]
    return [pytest.param(*case, id=f"{i}-{case[0][:20]}") for i, case in enumerate(cases)]


@pytest.mark.parametrize(("said", "nodes", "constants"), refused_graphs())
def test_a_graph_that_is_not_a_line_of_dense_layers_is_refused_by_name(tmp_path, said, nodes, constants):
    onnx = pytest.importorskip("onnx")
    model = onnx_model(nodes, constants)
    if "16" in said:
        model.graph.initializer.append(
            onnx.TensorProto(name="B", data_type=16, dims=[4, 3], raw_data=bytes(24))
        )

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


def test_an_onnx_tensor_that_claims_more_than_it_holds_allocates_nothing(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx_model([node("MatMul", "x A", "y")], {})
    model.graph.initializer.append(
        onnx.TensorProto(name="A", data_type=1, dims=[1 << 30, 1 << 30], raw_data=bytes(48))
    )
    path = written(tmp_path, "m.onnx", model.SerializeToString())

    assert allocated(lambda: load(path)) < 4_000_000


def test_onnx_functions_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx_model([node("MatMul", "x A", "y")], A)
    model.functions.append(onnx.FunctionProto(name="Relu", domain="mine"))

    with pytest.raises(ModelError, match="functions"):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


@quiet
@given(data=st.data())
def test_a_mutated_onnx_file_is_a_model_or_a_model_error_and_nothing_else(tmp_path, data):
    nodes = [
        node("Constant", "", "k", value_float=0.5),
        node("Mul", "x k", "m"),
        node("Gemm", "m A a", "h"),
        node("LeakyRelu", "h", "z"),
        node("Transpose", "B", "T", perm=[1, 0]),
        node("MatMul", "z T", "s"),
        node("Add", "s b", "t"),
        node("Softmax", "t", "y"),
    ]
    constants = {"A": numbers(4, 3), "a": numbers(3), "B": numbers(3, 3), "b": numbers(3)}
    content = onnx_model(nodes, constants).SerializeToString()
    changed = mutated(content, data.draw(mutations(len(content))))
    model_or_model_error(written(tmp_path, "mutated.onnx", changed))


def test_reading_onnx_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)

    with pytest.raises(ModelError, match=r'pip install "streameval\[onnx\]"'):
        load(written(tmp_path, "m.onnx", b"\x08\x09"))
