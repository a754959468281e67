"""Read a state_dict that PyTorch saved (`.pt`, `.pth`): a zip of a pickle and raw numbers. Nothing in it is run.

Knows how `torch.save` writes tensors: `_rebuild_tensor_v2` of a storage, which is a member of the zip, with an offset
and strides. Does not know which array is which layer, and needs no torch.

Source: torch/serialization.py and torch/_utils.py of PyTorch 2.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.models.file import Choices, Loaded
from streameval.models.naming import Weights, assemble
from streameval.models.pickle_machine import Machine
from streameval.models.rebuild import Array, Callee

# torch's storages -> number type; bfloat16 is the upper half of a float32.
STORAGES: Final = {
    "torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch HalfStorage": "<f2",
    "torch BFloat16Storage": "<u2", "torch LongStorage": "<i8", "torch IntStorage": "<i4",
}  # fmt: skip
GLOBALS: Final = frozenset(
    {
        *STORAGES,
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
    }
)
COUNTER: Final = "num_batches_tracked"
MAX_PICKLE: Final = 16 << 20


def is_one(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is what `torch.save` writes. Raises ModelError for a program, which PyTorch alone can run."""
    names = archive.namelist()
    for kind, call, told in (
        ("TorchScript", "torch.jit.load(path)", any("/code/" in name for name in names)),
        (
            "torch.export",
            "torch.export.load(path).module()",
            any(one.endswith("/archive_format") for one in names),
        ),
    ):
        if told:
            raise ModelError(
                f"a program of {kind}, not weights alone. Let PyTorch run it: --with torch (library: "
                f"evaluate({call}, data))."
            )
    return any(name.endswith("/data.pkl") for name in names)


def load_layers(archive: zipfile.ZipFile, size: int, choices: Choices) -> Loaded:
    """Return the layers in a state_dict of dense layers, whose activation the caller has to say.

    Raises:
        ModelError: not a state_dict (a whole module: a pickle of code), damaged, hostile; layers that need more than
            names to be known; see `naming.assemble`.
    """
    members = {member.filename: member for member in archive.infolist()}
    (pickled,) = [name for name in members if name.endswith("/data.pkl")][:1]
    folder = pickled.removesuffix("data.pkl")
    total = sum(member.file_size for member in members.values())
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()) or total > size:
        raise ModelError(
            "a zip whose members are compressed or overlap, which PyTorch never writes: refused. Save "
            "the state_dict again: torch.save(module.state_dict(), path)."
        )
    if members[pickled].file_size > MAX_PICKLE:
        raise ModelError(
            f"a PyTorch file whose pickle has {members[pickled].file_size} bytes, expected names only."
        )
    order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in members else b"little"
    if order != b"little":
        raise ModelError(f"a PyTorch file in byte order {order[:20]!r}, expected little.")

    def storage(key: str) -> bytes:
        name = f"{folder}data/{key}"
        if name not in members:
            raise ModelError(f"a storage {key[:40]!r} that is not in the file")
        return archive.read(name)

    tree = _TorchMachine(archive.read(pickled), storage).run()
    arrays = _arrays(tree)
    return assemble(Weights(arrays), choices)


def _arrays(tree: Any) -> dict[str, NDArray[Any]]:
    """The tensors of a dict by name, or of the state_dict in a training checkpoint."""
    if type(tree) is dict:
        for key in ("state_dict", "model_state_dict", "model"):
            tree = tree[key] if type(tree.get(key)) is dict else tree
    if type(tree) is not dict:
        raise ModelError("the PyTorch file holds no dict of tensors: save module.state_dict().")
    arrays = {}
    for name, value in tree.items():
        if str(name).endswith(COUNTER):
            continue
        if type(value) is not Array or value.values is None:
            raise ModelError(f"{str(name)[:60]!r} is a {type(value).__name__}, expected a tensor.")
        arrays[str(name)] = value.values
    return arrays


@frozen
class _Storage:
    """Raw numbers: `count` of the type `code`, under `key`."""

    code: str
    key: str
    count: int


class _TorchMachine(Machine):
    """Pickle's machine with PyTorch's few words: storages beside the pickle, tensors that are views of them."""

    def __init__(self, data: bytes, storage: Callable[[str], bytes]) -> None:
        super().__init__(data)
        self._read = storage
        self._storages: dict[str, bytes] = {}

    def step(self, code: bytes) -> Callable[[Machine], object] | None:
        return _OWN.get(code) or super().step(code)

    def callee(self, module: str, name: str) -> Callee:
        full = f"{module} {name}"
        return Callee(full) if full in GLOBALS else super().callee(module, name)

    def call(self, callee: Callee, args: tuple[Any, ...]) -> Any:
        if callee.name == "collections OrderedDict" and args == ():
            return {}
        if callee.name == "torch._utils _rebuild_parameter" and args and type(args[0]) is Array:
            return args[0]
        if callee.name == "torch._utils _rebuild_tensor_v2":
            return Array(self.tensor(args))
        return super().call(callee, args)

    def build(self) -> None:
        """State of an OrderedDict is what PyTorch notes beside it, `_metadata`: passed over."""
        if len(self.stack) > 1 and type(self.stack[-2]) is dict and type(self.stack[-1]) is dict:
            self.pop()
            return
        super().build()

    def outside(self) -> None:
        """BINPERSID: ("storage", kind, key, place, count)."""
        pid = self.pop()
        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage" or type(pid[1]) is not Callee:
            raise ModelError("an object outside the pickle that is no storage")
        _, kind, key, _, count = pid
        if kind.name not in STORAGES or type(key) is not str or not key.isdigit() or type(count) is not int:
            raise ModelError(f"a storage of {kind.name[:40]!r}, expected floating point")
        self.push(_Storage(STORAGES[kind.name], key, count))

    def tensor(self, args: tuple[Any, ...]) -> NDArray[Any]:
        """The view of a storage that a tensor is, copied after its ends were found to lie inside."""
        storage, offset, shape, strides = (*args, None, None, None, None)[:4]
        whole = type(shape) is tuple and type(strides) is tuple and len(shape) == len(strides) <= 8
        if type(storage) is not _Storage or type(offset) is not int or not whole:
            raise ModelError("a tensor that is not (storage, offset, shape, strides)")
        if not all(type(n) is int and 0 <= n < 2**40 for n in (offset, *shape, *strides)):
            raise ModelError("a tensor whose offset, shape or strides are no sizes")
        if storage.key not in self._storages:
            self._storages[storage.key] = self._read(storage.key)
            self.budget.grow(len(self._storages[storage.key]))
        data, item = self._storages[storage.key], np.dtype(storage.code)
        reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        last = offset - 1 if 0 in shape else offset + reach
        if len(data) != storage.count * item.itemsize or last >= storage.count:
            raise ModelError(
                f"a tensor of shape {shape} that ends at number {last} of a storage of {len(data)} bytes, said to hold "
                f"{storage.count} numbers"
            )
        self.budget.spend(item.itemsize * math.prod(shape), "the same storage again and again")
        flat = np.frombuffer(data, item)[offset:]
        view = np.lib.stride_tricks.as_strided(
            flat, shape, [step * item.itemsize for step in strides], writeable=False
        )
        values = np.array(view)
        return (values.astype("<u4") << 16).view("<f4") if item == np.dtype("<u2") else values


def _outside(machine: Machine) -> None:
    if isinstance(machine, _TorchMachine):
        machine.outside()


def _build(machine: Machine) -> None:
    machine.build()


_OWN: Final[dict[bytes, Callable[[Machine], object]]] = {b"Q": _outside, b"b": _build}
