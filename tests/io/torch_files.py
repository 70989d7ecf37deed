"""Writes torch files, legacy and zip, byte by byte: neither torch nor `pickle` is needed, and hostile ones are easy."""

from __future__ import annotations

import pathlib
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "u1": "ByteStorage"}


class Raw(bytes):
    """Opcodes to be put into a pickle as they are."""


class Namespace(dict):
    """An `argparse.Namespace`."""


class Bytes2(bytes):
    """A Python-2 string."""


class Writer:
    """Protocol-2 pickles of plain values, tensors (arrays) and `Raw` opcodes.

    Attributes:
        storages: the arrays met, by storage key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, np.ndarray] = {}

    def pickle(self, value: Any) -> bytes:
        """A whole pickle."""
        return b"\x80\x02" + self.part(value) + b"."

    def part(self, value: Any) -> bytes:
        """The opcodes that push `value`."""
        if isinstance(value, Raw):
            return bytes(value)
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            if -(2**31) <= value < 2**31:
                return b"J" + struct.pack("<i", value)
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + struct.pack("<B", len(raw)) + raw
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, Bytes2):
            return b"T" + struct.pack("<i", len(value)) + bytes(value)
        if isinstance(value, str):
            raw = value.encode("utf-8")
            return b"X" + struct.pack("<I", len(raw)) + raw
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.part, value)) + b"t"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.part, value)) + b"e"
        if isinstance(value, Namespace):
            return b"cargparse\nNamespace\n)\x81" + self.part(dict(value)) + b"b"
        if isinstance(value, Mapping):
            return b"}(" + b"".join(self.part(k) + self.part(v) for k, v in value.items()) + b"u"
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        raise TypeError(type(value))

    def _tensor(self, value: np.ndarray) -> bytes:
        key = str(9000 + len(self.storages))
        self.storages[key] = np.ascontiguousarray(value)
        kind = Raw(f"ctorch\n{_STORAGE[value.dtype.str[1:]]}\n".encode())
        storage = Raw(self.part(("storage", kind, key, "cuda:0", value.size, None)) + b"Q")
        strides = tuple(step // value.itemsize for step in self.storages[key].strides)
        return b"ctorch._utils\n_rebuild_tensor\n" + self.part((storage, 0, value.shape, strides)) + b"R"


def write_legacy(path: pathlib.Path, value: Any) -> None:
    """Writes the format of PyTorch before 1.6."""
    writer = Writer()
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [writer.pickle(part) for part in (LEGACY_MAGIC, 1001, system, value)]
    parts.append(writer.pickle(list(writer.storages)))
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in writer.storages.values()]
    path.write_bytes(b"".join(parts))


def write_zip(
    path: pathlib.Path, value: Any, *, compression: int = zipfile.ZIP_STORED, folder: str = "archive"
) -> None:
    """Writes the format of PyTorch since 1.6."""
    writer = Writer()
    content = writer.pickle(value)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", content)
        archive.writestr(f"{folder}/byteorder", "little")
        for key, array in writer.storages.items():
            archive.writestr(f"{folder}/data/{key}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")
