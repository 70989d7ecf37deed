"""Reads torch files (the format before PyTorch 1.6 and the zip format after it) without torch.

The same inert machine as for other pickles (foreign.py) with four more names: tensors, parameters, sizes and
typed storages. A tensor comes back as a NumPy array that looks into its storage. The file's own numbers
are checked against its size before a storage is allocated.

Reference: `torch/serialization.py` (`_legacy_load`, `_load`), `torch/_utils.py` (`_rebuild_tensor_v2`).
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any

import numpy as np

from glrg_tf.errors import CheckpointError, GlrgError
from glrg_tf.io import foreign_zip
from glrg_tf.io.foreign import REMEDY, regular_file
from glrg_tf.io.foreign_opcodes import read_one
from glrg_tf.io.foreign_values import MAX_RANK, NAMES, Charge, Global, RefusedError, Table

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
MAX_STORAGES = 20_000
MAX_PICKLE_BYTES = 64 << 20  # everything but the tensors
PICKLE_BUDGET = 64_000_000
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


def read_torch(
    path: str | os.PathLike[str], error: type[GlrgError] = CheckpointError, *, max_bytes: int = 1 << 30
) -> Any:
    """Reads a torch file as plain values, tensors as NumPy arrays.

    Args:
        path: a file written by `torch.save`, legacy or zip.
        error: what a refusal raises.
        max_bytes: largest file that is accepted.

    Raises:
        error: the file is missing, too large, damaged, or holds anything but tensors and plain values.
    """
    size = regular_file(path, error)
    if size == 0:
        raise error("the torch file is empty", where=path, remedy=REMEDY)
    if size > max_bytes:
        raise error(f"the torch file is too large ({size >> 20} MiB)", where=path, remedy=REMEDY)
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_zip(stream, data) if data[:4] == b"PK\x03\x04" else _read_legacy(stream, data)
    except RefusedError as refusal:
        raise error(f"the torch file was refused: {refusal}", where=path, remedy=REMEDY) from refusal
    except OSError as problem:
        raise error(f"the file cannot be read ({problem.strerror})", where=path, remedy="check the file") from problem


@dataclass
class _Storages:
    """Storages by key, allocated when first named; `limit` bounds their bytes by those of the file."""

    limit: int
    by_key: dict[str, np.ndarray] = field(default_factory=dict)

    def persistent(self, identity: Any) -> np.ndarray:
        """What `("storage", type, key, location, size[, view])` stands for: float or integer (size,)."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise RefusedError("it refers to something that is no tensor storage")
        kind, key, size = identity[1], identity[2], identity[4]
        if not isinstance(kind, Global) or kind.name not in _DTYPES or not isinstance(key, str):
            raise RefusedError("it refers to a tensor storage of an unknown type")
        storage = self._storage(key, np.dtype(_DTYPES[kind.name]), size)
        view = identity[5] if len(identity) == 6 else None
        if view is None:
            return storage
        if type(view) is not tuple or len(view) != 3 or not all(type(part) is int for part in view[1:]):
            raise RefusedError("a view of a tensor storage is malformed")
        begin, length = view[1:]
        if not 0 <= begin <= begin + length <= size:
            raise RefusedError("a view of a tensor storage leaves it")
        return storage[begin : begin + length]

    def _storage(self, key: str, dtype: np.dtype, size: Any) -> np.ndarray:
        if type(size) is not int or not 0 <= size <= self.limit:
            raise RefusedError("a tensor storage names more bytes than the file has")
        known = self.by_key.get(key)
        if known is None:
            self.limit -= size * dtype.itemsize
            if self.limit < 0 or len(self.by_key) >= MAX_STORAGES:
                raise RefusedError("the tensor storages name more bytes than the file has")
            known = self.by_key[key] = np.empty(size, dtype)
        if known.dtype != dtype or len(known) != size:
            raise RefusedError("two tensors contradict each other about their storage")
        return known


def _read_legacy(stream: BufferedReader, data: mmap.mmap) -> Any:
    magic, position = read_one(data)
    if magic != LEGACY_MAGIC:
        raise RefusedError("it is not a torch file")
    version, position = read_one(data, position)
    system, position = read_one(data, position)
    if version != LEGACY_VERSION or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise RefusedError("it is a torch file of an unknown version")
    storages = _Storages(limit=len(data))
    value, position = read_one(
        data, position, names=TORCH_NAMES, persistent=storages.persistent, max_budget=PICKLE_BUDGET
    )
    keys, position = read_one(data, position)
    if type(keys) is not list or not all(isinstance(key, str) for key in keys):
        raise RefusedError("the list of tensor storages is malformed")
    if len(keys) != len(set(keys)) or set(keys) != storages.by_key.keys():
        raise RefusedError("the list of tensor storages does not name those that the tensors use")
    for key in keys:
        storage = storages.by_key[key]
        if len(data) - position < 8 + storage.nbytes or struct.unpack("<q", data[position : position + 8]) != (
            len(storage),
        ):
            raise RefusedError("a tensor storage is cut short or has another size than its tensors say")
        _fill(stream, storage, position + 8)
        position += 8 + storage.nbytes
    if position != len(data):
        raise RefusedError("there is something after the last tensor")
    return value


def _read_zip(stream: BufferedReader, data: mmap.mmap) -> Any:
    found = foreign_zip.members(data)
    pickles = [name for name in found if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise RefusedError("the zip file is not a torch file (no data.pkl)")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "constants.pkl" in found:
        raise RefusedError("it is a TorchScript program, not a checkpoint")
    order = found.get(folder + "byteorder")
    if order is not None and data[order.start : order.start + min(order.size, 8)] != b"little":
        raise RefusedError("its numbers are not little-endian")
    pickle = found[pickles[0]]
    if pickle.size > MAX_PICKLE_BYTES:
        raise RefusedError("its data.pkl is absurdly large")
    foreign_zip.check_crc(data, pickle)
    storages = _Storages(limit=len(data))
    content = data[pickle.start : pickle.start + pickle.size]
    value, end = read_one(content, names=TORCH_NAMES, persistent=storages.persistent, max_budget=PICKLE_BUDGET)
    if end != len(content):
        raise RefusedError("there is something after the pickle's end")
    for key, storage in storages.by_key.items():
        member = found.get(f"{folder}data/{key}")
        if member is None or member.size != storage.nbytes:
            raise RefusedError("a tensor storage is missing or has another size than its tensors say")
        foreign_zip.check_crc(data, member)
        _fill(stream, storage, member.start)
    return value


def _fill(stream: BufferedReader, storage: np.ndarray, position: int) -> None:
    stream.seek(position)
    # A buffered readinto is whole unless the file has shrunk meanwhile.
    if storage.nbytes and stream.readinto(storage.view(np.uint8)) != storage.nbytes:  # type: ignore[arg-type]
        raise RefusedError("a tensor storage is cut short")


# === Constructors ===


def _tensor(charge: Charge, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """A tensor: a view of its storage, in which no element appears twice beyond the storage's length."""
    if not isinstance(storage, np.ndarray) or storage.ndim != 1:
        raise RefusedError("a tensor has no storage")
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride) or len(size) > MAX_RANK:
        raise RefusedError("a tensor has an impossible shape")
    if any(type(number) is not int or not 0 <= number < 1 << 40 for number in (offset, *size, *stride)):
        raise RefusedError("a tensor has an impossible shape")
    charge(512)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count == 0:
        return np.empty(size, storage.dtype)
    if last >= len(storage) or count > len(storage):
        raise RefusedError("a tensor reaches past its storage")
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)


def _parameter(_: Charge, tensor: Any, *__: Any) -> np.ndarray:
    if not isinstance(tensor, np.ndarray):
        raise RefusedError("a parameter has no tensor")
    return tensor


def _size(_: Charge, size: Any = ()) -> tuple[int, ...]:
    if type(size) not in (tuple, list) or len(size) > MAX_RANK or not all(type(number) is int for number in size):
        raise RefusedError("a tensor size is malformed")
    return tuple(size)


TORCH_NAMES: Table = {
    **NAMES,
    ("torch._utils", "_rebuild_tensor"): Global("_rebuild_tensor", _tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Global("_rebuild_tensor_v2", _tensor),
    ("torch._utils", "_rebuild_parameter"): Global("_rebuild_parameter", _parameter),
    ("torch", "Size"): Global("Size", _size),
    **{(module, name): Global(name) for module in ("torch", "torch.cuda") for name in _DTYPES},
}
