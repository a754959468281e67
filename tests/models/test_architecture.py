"""Networks of any layers are written and read back bit for bit, and weights of PyTorch's names with an architecture."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hostile_models import numbers, quiet
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

import streameval as se
from streameval.errors import ModelError
from streameval.layers import LAYERS, Activation, BatchNorm, LayerNorm, Residual
from streameval.models import load
from streameval.models.network import Network


def network() -> Network:
    """One layer of each kind."""
    return Network(
        [
            se.Conv2d(numbers(4, 2, 3, 3), numbers(4), stride=(1, 2), padding=(1, 0, 2, 1), activation="elu(0.5)"),
            BatchNorm(numbers(4), numbers(4, 1)[:, 0], "relu6"),
            se.MaxPool2d(2, (1, 1), ceil_mode=True),
            Residual(
                [Residual([se.Conv2d(numbers(4, 1, 3, 3), padding=1, groups=4)], [Activation("silu")])],
                [se.Conv2d(numbers(4, 4, 1, 1))],
                "relu",
            ),
            se.AvgPool2d(3, 2, 1, count_include_pad=False),
            se.Dropout(0.5),
            se.GlobalAvgPool2d(),
            se.Flatten(),
            LayerNorm(numbers(4), numbers(4, 1)[:, 0], eps=1e-3),
            se.Layer(numbers(4, 3), numbers(3), "identity"),
        ],
        shape=(2, 9, 9),
    )  # fmt: skip


def kinds(layers: Any) -> set[str]:
    inside = [kinds(getattr(layer, way, ())) for layer in layers for way in ("body", "shortcut")]
    return {layer.kind for layer in layers}.union(*inside)


def test_every_kind_of_layer_is_written_and_read_back_bit_for_bit(tmp_path):
    made = network()
    assert kinds(made.layers) == set(LAYERS)

    made.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")

    assert again.sha256 == made.sha256
    assert again.shape == made.shape
    made.save(tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


STATE = {
    "conv.weight": numbers(4, 1, 3, 3), "bn.weight": numbers(4), "bn.bias": numbers(4, 1)[:, 0],
    "bn.running_mean": numbers(4, 2)[:, 0], "bn.running_var": np.abs(numbers(4, 3)[:, 0]),
    "fc.weight": numbers(3, 36), "fc.bias": numbers(3),
}  # fmt: skip
ENTRIES: list[dict[str, Any]] = [
    {"type": "Conv2d", "name": "conv", "padding": 1, "stride": [1, 1]},
    {"type": "BatchNorm2d", "name": "bn", "eps": 1e-3},
    {"type": "LeakyReLU", "negative_slope": 0.2},
    {"type": "MaxPool2d", "kernel_size": 2},
    {"type": "Dropout", "p": 0.5},
    {"type": "Flatten"},
    {"type": "Linear", "name": "fc"},
]


def written(path: Any, entries: Any, arrays: Any = STATE, shape: Any = (1, 6, 6)) -> Any:
    text = entries if isinstance(entries, str) else json.dumps({"shape": list(shape), "layers": entries})
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path.write_bytes(save(contiguous, metadata={"architecture": text}))
    return path


def test_a_state_dict_with_an_architecture_is_what_pytorch_computes(tmp_path):
    """Counters of batches are no weights; numbers in float64 by the formulas of PyTorch's documentation."""
    arrays = STATE | {"bn.num_batches_tracked": np.array(7)}

    model = load(written(tmp_path / "m.safetensors", ENTRIES, arrays))

    assert [layer.kind for layer in model.layers] == ["conv2d", "max_pool2d", "dense"]
    assert model.activations == ("leaky_relu(0.2)", "max_pool2d", "identity")
    x = numbers(2, 1, 6, 6).astype(float)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h = sum(
        padded[:, :, i : i + 6, j : j + 6] * STATE["conv.weight"][None, :, 0, i, j, None, None].astype(float)
        for i in range(3)
        for j in range(3)
    )
    s = {name: array.astype(float)[:, None, None] for name, array in STATE.items() if name.startswith("bn")}
    h = (h - s["bn.running_mean"]) / np.sqrt(s["bn.running_var"] + 1e-3) * s["bn.weight"] + s["bn.bias"]
    h = np.where(h > 0, h, 0.2 * h).reshape(2, 4, 3, 2, 3, 2).max(axis=(3, 5)).reshape(2, -1)
    values = x
    for layer in model.layers:
        values = layer.reference(values)
    np.testing.assert_allclose(
        values, h @ STATE["fc.weight"].T.astype(float) + STATE["fc.bias"], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("{", "no usable JSON"),
        ("[" * 1_000, "no usable JSON"),
        ("[]", "an object of shape and layers"),
        ('{"shape": [0], "layers": []}', r"shape \[0\]"),
        ('{"shape": [6], "layers": {}}', "expected a list"),
        ([*ENTRIES, 7], "entry 8, 7: expected an object"),
        ([{"type": "Conv3d"}], "entry 1, type 'Conv3d': expected one of Residual, Linear, Conv2d"),
        ([{"kind": "conv3d"}], "entry 1, kind 'conv3d': expected one of dense, conv2d"),
        ([{"kind": "dense", "type": "Linear"}], "either a kind or a type"),
        ([{"type": "Linear", "name": "gone"}], "no array 'gone.weight'"),
        ([{"type": "Linear", "name": ["fc"]}], "expected text"),
        ([{"type": "Linear", "name": "a" * 5_000}], "expected text of at most 200 letters"),
        ([{"type": "Linear", "name": "conv"}], "conv.weight: float32 of shape .* expected 2 dimensions"),
        ([{"type": "ReLU", "inplace": True}], "ReLU: it has no setting inplace"),
        ([{"kind": "dropout", "rate": 0.5}], "dropout: it has no field 'rate', but factor"),
        ([{"kind": "max_pool2d"}], "max_pool2d, name None: expected kernel"),
        ([{"kind": "max_pool2d", "kernel": "2"}], "kernel: '2'"),
        (ENTRIES[:-1], "no layer for the arrays fc."),
        ([{"kind": "residual", "body": [{"type": "ReLU"}]}], "expected kinds in a kind"),
    ],
)
def test_an_architecture_that_does_not_fit_is_told_by_its_entry(tmp_path, entries, said):
    with pytest.raises(ModelError, match=f"architecture: .*{said}"):
        load(written(tmp_path / "m.safetensors", entries))


def test_nesting_and_repetition_have_an_end(tmp_path):
    nested: Any = [{"type": "ReLU"}]
    for _ in range(20):
        nested = [{"type": "Residual", "body": nested}]
    with pytest.raises(ModelError, match="nested 8 deep"):
        load(written(tmp_path / "m.safetensors", nested))
    with pytest.raises(ModelError, match="again and again"):
        load(
            written(
                tmp_path / "m.safetensors",
                [{"type": "Linear", "name": "w"}] * 99,
                {"w.weight": numbers(200, 200)},
            )
        )


PLAIN = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["fc", "relu", "", "é"])
)
FIELDS = ["name", "kernel", "stride", "padding", "eps", "body", "weight", "factor", "activation", "groups"]
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=6,
)
BASES = [
    *({"kind": kind} for kind in LAYERS),
    *({"type": name} for name in ("Conv2d", "AvgPool2d", "Residual")),
]


@quiet
@given(ANY, st.sampled_from(BASES))
def test_any_entry_is_a_network_or_a_model_error(tmp_path, settings, base):
    entry = {**(settings if isinstance(settings, dict) else {"name": settings}), **base}
    path = written(tmp_path / "m.safetensors", [entry])
    with contextlib.suppress(ModelError):
        load(path)
