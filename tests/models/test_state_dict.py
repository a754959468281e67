"""A state_dict that PyTorch saved is read without PyTorch, and nothing in it is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
from hostile_models import mutated, mutations, numbers, quiet, written
from hypothesis import given
from hypothesis import strategies as st

from streameval.errors import ModelError
from streameval.models import load


class Tensor:
    """Pickles as torch.save writes a tensor: a storage outside, an offset, strides."""

    def __init__(self, key: str, shape: Any, strides: Any, offset: int = 0, count: int = 0) -> None:
        self.key, self.count = key, count
        self.rest = (offset, shape, strides, False, {})


def saved(tensors: dict[str, Tensor], storages: dict[str, bytes], **zipped: Any) -> bytes:
    """A zip as torch.save writes it, its pickle by hand, since torch may not be here."""
    out = io.BytesIO()
    out.write(b"\x80\x02}(")
    for name, tensor in tensors.items():
        out.write(pickle.dumps(name, 2)[2:-1])
        out.write(b"ctorch._utils\n_rebuild_tensor_v2\n((")
        out.write(pickle.dumps("storage", 2)[2:-1] + b"ctorch\nFloatStorage\n")
        out.write(
            pickle.dumps(tensor.key, 2)[2:-1]
            + pickle.dumps("cpu", 2)[2:-1]
            + pickle.dumps(tensor.count, 2)[2:-1]
        )
        out.write(b"tQ")
        for one in tensor.rest:
            out.write(pickle.dumps(one, 2)[2:-1])
        out.write(b"tR")
    out.write(b"u.")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **zipped) as archive:
        archive.writestr("m/data.pkl", out.getvalue())
        for key, data in storages.items():
            archive.writestr(f"m/data/{key}", data)
    return content.getvalue()


WEIGHTS = {
    "fc1.weight": numbers(4, 3),
    "fc1.bias": numbers(4),
    "fc2.weight": numbers(2, 4),
    "fc2.bias": numbers(2),
}


def whole(**changes: Tensor) -> bytes:
    tensors = {
        name: Tensor(str(k), array.shape, tuple(s // 4 for s in array.strides), count=array.size)
        for k, (name, array) in enumerate(WEIGHTS.items())
    }
    return saved(tensors | changes, {str(k): array.tobytes() for k, array in enumerate(WEIGHTS.values())})


def test_dense_layers_are_read_once_their_activation_is_said(tmp_path):
    path = written(tmp_path, "m.pt", whole())

    with pytest.raises(ModelError, match="--activation"):
        load(path)
    model = load(path, activation="relu")

    np.testing.assert_array_equal(model.layers[0].weight, WEIGHTS["fc1.weight"].T)
    np.testing.assert_array_equal(model.layers[1].bias, WEIGHTS["fc2.bias"])


def test_what_pytorch_writes_is_read_as_pytorch_reads_it(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra [bench]")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    with torch.no_grad():
        module[2].weight = torch.nn.Parameter(torch.randn(4, 2).T)  # strides of its own
    for name, kept in {
        "plain": module.state_dict(),
        "checkpoint": {"state_dict": module.state_dict()},
    }.items():
        torch.save(kept, tmp_path / f"{name}.pt")
        model = load(tmp_path / f"{name}.pt", activation="tanh")
        np.testing.assert_array_equal(model.layers[1].weight, module[2].weight.detach().numpy().T)

    torch.save({"0.weight": torch.zeros(2, 1, 3, 3)}, tmp_path / "conv.pt")
    with pytest.raises(ModelError, match=r"from_torch\(module, shape\)"):
        load(tmp_path / "conv.pt")
    torch.save(module, tmp_path / "module.pt")
    with pytest.raises(ModelError, match="nothing was run"):
        load(tmp_path / "module.pt")
    torch.save(module.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"before PyTorch 1\.6.*Save it anew: torch\.save\(torch\.load\("):
        load(tmp_path / "old.pt")


@pytest.mark.parametrize(
    ("member", "cure"),
    [
        ("m/code/__torch__.py", r"TorchScript.*--with torch .*torch\.jit\.load\(path\), data"),
        ("m/archive_format", r"torch\.export.*--with torch .*torch\.export\.load\(path\)\.module\(\), data"),
    ],
)
def test_a_program_is_left_to_pytorch(tmp_path, member, cure):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"")
        archive.writestr(member, b"")
    with pytest.raises(ModelError, match=cure):
        load(tmp_path / "m.pt")


REFUSED = {
    "offset past the end": (Tensor("0", (4, 3), (3, 1), 1, 12), "ends at number 12"),
    "strides past the end": (Tensor("0", (4, 3), (4, 1), 0, 12), "ends at number 14"),
    "a storage that is not there": (
        Tensor("9", (4, 3), (3, 1), 0, 12),
        "storage '9' that is not in the file",
    ),
    "another count": (Tensor("0", (4, 3), (3, 1), 0, 13), "said to hold 13"),
    "a negative stride": (Tensor("0", (4, 3), (-3, 1), 0, 12), "no sizes"),
    "a path for a key": (Tensor("../0", (4, 3), (3, 1), 0, 12), "expected floating point"),
    "other lengths": (Tensor("0", (4, 3), (3,), 0, 12), "is not .storage, offset"),
    "a storage a million times": (Tensor("0", (1 << 20, 1 << 15), (0, 0), 0, 12), "again and again"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_tensor_that_is_not_inside_its_storage_is_refused(tmp_path, case):
    tensor, said = REFUSED[case]

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.pt", whole(**{"fc1.weight": tensor})), activation="relu")


def test_a_compressed_zip_is_refused(tmp_path):
    content = saved({}, {"0": bytes(100_000)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="compressed"):
        load(written(tmp_path, "m.pt", content))


@quiet
@given(st.data())
def test_any_mutation_is_a_model_or_a_model_error(tmp_path, data):
    content = whole()
    path = written(tmp_path, "m.pt", mutated(content, data.draw(mutations(len(content)))))
    try:
        load(path, activation="relu")
    except ModelError as error:
        assert str(path) in str(error)  # noqa: PT017
