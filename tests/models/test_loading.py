"""Weight files of every format and naming become the network that was saved."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streameval.errors import ModelError, StorageError, StreamevalWarning
from streameval.models import Mlp, load


def save_pickle(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = path.with_suffix(".pkl")
    path.write_bytes(pickle.dumps(arrays))
    return path


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def save_packed_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def save_safetensors(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


SAVERS = {
    "pickle": save_pickle,
    "npz": save_npz,
    "packed npz": save_packed_npz,
    "safetensors": save_safetensors,
}
Saver = Callable[[Path, dict[str, np.ndarray]], Path]


@pytest.fixture(params=SAVERS)
def save(request) -> Saver:
    return SAVERS[request.param]


def numbers(*shape: int, kind: type = np.float32) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(kind)


def stack(sizes: list[int], kind: type = np.float32) -> list[tuple[np.ndarray, np.ndarray]]:
    """(inputs, outputs) weights and biases."""
    return [(numbers(one, two, kind=kind), numbers(two, kind=kind)) for one, two in pairwise(sizes)]


def same(model: Mlp, layers: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    return len(model.layers) == len(layers) and all(
        np.array_equal(layer.weight, weight.astype(np.float32))
        and np.array_equal(layer.bias, bias.astype(np.float32).reshape(-1))
        for layer, (weight, bias) in zip(model.layers, layers, strict=True)
    )


def test_the_articles_network_is_loaded_as_pickle_itself_would_load_it(mnist_dir):
    path = mnist_dir / "sample_weight.pkl"
    with path.open("rb") as file:
        twin = pickle.load(file)

    model = load(path)

    assert same(model, [(twin[f"W{i}"], twin[f"b{i}"]) for i in (1, 2, 3)])
    assert model.sizes == (784, 50, 100, 10)
    assert model.activations == ("sigmoid", "sigmoid", "identity")
    assert model.path == str(path)
    assert any("sigmoid" in note and "--activation" in note for note in model.notes)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("module", ["numpy._core", "numpy.core"])
@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_precision_and_order_of_a_pickle_is_read(tmp_path, protocol, module, kind, order):
    layers = [(np.asarray(w, kind, order), b.astype(kind)) for w, b in stack([4, 3, 2])]
    arrays = {f"{k}{i}": a for i, pair in enumerate(layers, 1) for k, a in zip("Wb", pair, strict=True)}
    content = pickle.dumps(arrays, protocol=protocol)
    if module == "numpy.core":  # as NumPy 1 wrote it: names are one byte shorter
        content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
        for long, short in ((b"multiarray", 21), (b"numeric", 18)):
            content = content.replace(
                b"\x8c" + bytes([short + 1]) + b"numpy._core." + long,
                b"\x8c" + bytes([short]) + b"numpy.core." + long,
            )
        if protocol >= 4:  # the frame is shorter by as much
            before = pickle.dumps(arrays, protocol=protocol)
            size = int.from_bytes(content[3:11], "little") - (len(before) - len(content))
            content = content[:3] + size.to_bytes(8, "little") + content[11:]
        assert b"numpy._core" not in content
        assert b"numpy.core" in content
    path = tmp_path / "m.pkl"
    path.write_bytes(content)

    assert same(load(path, activation="relu"), layers)


def test_a_pickle_of_python_2_is_read(tmp_path):
    """Protocols 0 and 2 as Python 2 wrote them: byte strings where Python 3 has text."""
    values = numbers(2, 3)
    dtype = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    shapes = {b"W1": b"(I2\nI3\nt", b"b1": b"(I3\nt"}
    for quoted in (
        lambda data: b"S" + repr(data)[1:].encode() + b"\n",
        lambda data: b"U" + bytes([len(data)]) + data,
    ):
        content = b"(d"
        for name, data in ((b"W1", values), (b"b1", values[0])):
            array = made + b"(I1\n" + shapes[name] + dtype + b"I00\n" + quoted(data.tobytes()) + b"tb"
            content += quoted(name) + array + b"s"
        path = tmp_path / "old.pkl"
        path.write_bytes(content + b".")
        with path.open("rb") as file:
            twin = pickle.load(file, encoding="latin1")
        assert same(load(path), [(twin["W1"], twin["b1"])])


@pytest.mark.parametrize("shape", ["pairs", "flat", "nested dict"])
def test_a_pickled_list_of_arrays_or_a_dict_in_a_dict_is_read(tmp_path, shape):
    layers = stack([4, 3, 2])
    tree = {
        "pairs": layers,
        "flat": [array for pair in layers for array in pair],
        "nested dict": {
            "params": {f"{k}{i}": a for i, p in enumerate(layers) for k, a in zip("Wb", p, strict=True)}
        },
    }[shape]

    assert same(load(save_pickle(tmp_path / "m", tree), activation="relu"), layers)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=14),
    st.sampled_from(["W{}", "b{}", "w_{}", "net.W{}"]).filter(lambda name: "b" not in name),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.permutations(range(26)),
)
def test_numbered_names_give_the_layers_in_the_order_of_their_numbers(
    tmp_path, save, sizes, name, kind, order
):
    """Twelve layers and more: 10 comes after 9, whatever the order in the file."""
    layers = stack(sizes, kind)
    bias = name.replace("W", "b").replace("w", "b")
    items = [
        item
        for i, (w, b) in enumerate(layers, start=1)
        for item in ((name.format(i), w), (bias.format(i), b))
    ]
    arrays = dict(items[i] for i in order if i < len(items))

    path = save(tmp_path / "m", arrays)
    if len(layers) > 2:
        with pytest.warns(StreamevalWarning, match=r"m\.\w+: activations: sigmoid, usual .* --activation"):
            model = load(path)
    else:
        model = load(path, activation="sigmoid" if len(layers) == 2 else None)

    assert same(model, layers)
    assert set(model.activations[:-1]) <= {"sigmoid"}


def test_two_layers_of_the_books_names_need_an_activation_for_the_book_has_two(tmp_path, save):
    layers = stack([5, 4, 3])
    arrays = {f"{k}{i}": a for i, pair in enumerate(layers, 1) for k, a in zip("Wb", pair, strict=True)}
    path = save(tmp_path / "m", arrays)

    with pytest.raises(ModelError, match=r"--activation sigmoid or --activation relu"):
        load(path)
    assert load(path, activation="relu").activations == ("relu", "identity")


@pytest.mark.parametrize(
    "names", [("fc1", "fc2", "fc10"), ("0", "2", "4"), ("net.0.lin", "net.3.lin", "net.10.lin")]
)
def test_torch_names_are_outputs_first_and_need_an_activation(tmp_path, save, names):
    layers = stack([5, 4, 3, 2])
    arrays = {
        f"{name}.{kind}": array
        for name, (w, b) in reversed(list(zip(names, layers, strict=True)))
        for kind, array in (("weight", w.T), ("bias", b))
    }
    path = save(tmp_path / "m", arrays)

    with pytest.raises(ModelError, match=r"by --activation .* one of .*sigmoid, relu") as refused:
        load(path)
    assert "--activation relu" not in str(refused.value)  # nothing speaks for one of them
    for activation in ("tanh", "tanh,tanh", ["tanh", "tanh", "softmax"], " Tanh "):
        model = load(path, activation=activation)
        assert same(model, layers)
        assert model.activations == ("tanh", "tanh", "identity")


def test_keras_and_flax_names_are_inputs_first(tmp_path, save):
    layers = stack([5, 4, 3])
    arrays = {
        f"Dense_{i}.{kind}": array
        for i, pair in enumerate(layers)
        for kind, array in zip(("kernel", "bias"), pair, strict=True)
    }

    assert same(load(save(tmp_path / "m", arrays), activation="leaky-relu"), layers)


def test_a_single_layer_needs_no_activation(tmp_path, save):
    layers = stack([5, 3])

    model = load(save(tmp_path / "m", {"weight": layers[0][0].T, "bias": layers[0][1]}))

    assert same(model, layers)


def test_weights_the_unusual_way_round_are_turned_when_only_so_they_chain_and_it_is_said(tmp_path, save):
    layers = stack([5, 4, 3])
    arrays = {f"W{i}": w.T for i, (w, _) in enumerate(layers, 1)} | {
        f"b{i}": b.reshape(-1, 1) for i, (_, b) in enumerate(layers, 1)
    }

    model = load(save(tmp_path / "m", arrays), activation="relu")

    assert same(model, layers)
    assert any("(outputs, inputs), not the usual way" in note for note in model.notes)


@pytest.mark.parametrize(
    ("names", "first"), [(("W1", "b1"), "inputs"), (("fc.weight", "fc.bias"), "outputs")]
)
def test_square_weights_are_read_as_their_names_say_and_it_is_said(tmp_path, save, names, first):
    weight, bias = stack([4, 4])[0]

    model = load(save(tmp_path / "m", dict(zip(names, (weight, bias), strict=True))))

    assert same(model, [(weight if first == "inputs" else weight.T, bias)])
    assert any(f"square: read as ({first}," in note for note in model.notes)


def test_names_without_numbers_keep_the_files_order_where_it_has_one(tmp_path):
    layers = stack([4, 4, 4, 4])
    arrays = {}
    for name, (w, b) in zip(("stem", "body", "head"), layers, strict=True):
        arrays |= {f"{name}.weight": w.T, f"{name}.bias": b}

    for save in (save_pickle, save_npz):
        model = load(save(tmp_path / "m", arrays), activation="relu")
        assert same(model, layers)
        assert any("order of the layers: the file's own" in note for note in model.notes)
    with pytest.raises(ModelError, match=r"fit together in 6 orders.*fc1\.weight"):
        load(save_safetensors(tmp_path / "m", arrays), activation="relu")


def test_names_without_numbers_in_a_file_without_order_are_read_in_the_only_order_that_chains(tmp_path):
    layers = stack([7, 5, 4, 3])
    arrays = {}
    for name, (w, b) in zip(("stem", "body", "head"), layers, strict=True):
        arrays |= {f"{name}.weight": w.T, f"{name}.bias": b}

    assert same(load(save_safetensors(tmp_path / "m", arrays), activation="relu"), layers)


def test_a_layer_without_a_bias_gets_zeros_and_it_is_said(tmp_path, save):
    (w1, b1), (w2, _) = stack([4, 3, 2])

    model = load(save(tmp_path / "m", {"W1": w1, "b1": b1, "W2": w2}), activation="relu")

    assert same(model, [(w1, b1), (w2, np.zeros(2))])
    assert any("without a bias: '2'" in note for note in model.notes)


def test_activations_in_the_file_are_kept_and_a_contradiction_is_refused(tmp_path):
    layers = stack([5, 4, 3, 2])
    arrays = {f"{k}{i}": a for i, pair in enumerate(layers, 1) for k, a in zip("Wb", pair, strict=True)}
    names = ["relu", "gelu", "identity"]
    np.savez(tmp_path / "m.npz", **arrays, activations=names)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({**arrays, "activations": names}))
    load(tmp_path / "m.pkl").save(tmp_path / "m.safetensors")

    for end in ("npz", "pkl", "safetensors"):
        path = tmp_path / f"m.{end}"
        assert load(path).activations == ("relu", "gelu", "identity")
        assert load(path, activation="relu,gelu") == load(path)
        with pytest.raises(ModelError, match=r"records the activations relu, gelu, .*Leave --activation out"):
            load(path, activation="relu")


@pytest.mark.parametrize(
    ("activation", "said"),
    [
        ("swish", "swish.*Known are"),
        ("relu,relu,relu", "3 activations, but the network has 3 layers: expected 2"),
        (["relu"] * 5, "5 activations"),
        ("", "''"),
    ],
)
def test_an_activation_that_cannot_be_is_refused(tmp_path, activation, said):
    layers = stack([5, 4, 3, 2])
    arrays = {f"{k}{i}": a for i, pair in enumerate(layers, 1) for k, a in zip("Wb", pair, strict=True)}

    with pytest.raises(ModelError, match=said):
        load(save_pickle(tmp_path / "m", arrays), activation=activation)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv.weight": numbers(2, 2)}, "named .*'conv.weight'|nothing else"),
        ({"running_mean": numbers(3)}, "'running_mean': normalisation.*torch.onnx.export"),
        ({"norm.weight": numbers(3)}, "'norm.weight': normalisation.*from_torch"),
        ({"conv.weight": numbers(2, 3).reshape(2, 3, 1, 1)}, "'conv.weight': a convolution.*from_torch"),
        ({"W1": numbers(4)}, r"'W1': shape \(4,\)"),
        ({"b1": numbers(3, 2)}, r"'b1': shape \(3, 2\), expected a bias"),
        ({"b7": numbers(3)}, "a bias without a weight for layer '7'"),
        ({"w1": numbers(4, 3)}, "two arrays for the same layer"),
        ({"W1": np.zeros((4, 3), np.int32)}, "int32|I32"),
    ],
)
def test_arrays_that_are_no_dense_network_are_named(tmp_path, save, change, said):
    (w1, b1), (w2, b2) = stack([4, 3, 2])

    with pytest.raises(ModelError, match=said):
        load(save(tmp_path / "m", {"W1": w1, "b1": b1, "W2": w2, "b2": b2} | change))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    weight = (numbers(4, 3).view(np.uint32) & 0xFFFF0000).view(np.float32)
    upper = (weight.view(np.uint32) >> 16).astype("<u2")
    bias = np.zeros(3, np.float32)
    header = json.dumps(
        {
            "W1": {"dtype": "BF16", "shape": [4, 3], "data_offsets": [0, 24]},
            "b1": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
        }
    ).encode()
    content = len(header).to_bytes(8, "little") + header + upper.tobytes() + bias.tobytes()
    (tmp_path / "m.safetensors").write_bytes(content)

    assert same(load(tmp_path / "m.safetensors"), [(weight, bias)])


def test_a_folder_is_no_network_and_it_is_said(tmp_path):
    with pytest.raises(StorageError, match="is a folder, expected a file of weights"):
        load(tmp_path)


def test_the_content_decides_before_the_name(tmp_path, save):
    layers = stack([4, 3])
    path = save(tmp_path / "m", {"W1": layers[0][0], "b1": layers[0][1]})

    assert same(load(path.rename(tmp_path / "weights of größe.bin")), layers)


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK", b"\x1f\x8b"])
def test_safetensors_whose_length_looks_like_another_format_are_safetensors(tmp_path, start):
    weight, bias = stack([4, 3])[0]
    content = save_safetensors(tmp_path / "m", {"W1": weight, "b1": bias}).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size])).encode()
    longer = header.ljust(int.from_bytes(start, "little"))
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(longer).to_bytes(8, "little") + longer + content[8 + size :])
    assert path.read_bytes().startswith(start)

    assert same(load(path), [(weight, bias)])
