"""The inert values that foreign pickles and torch files may hold, and the few ways to make them.

A pickle names the callables that build its objects. Here a name is looked up in a fixed table and gives a
`Global`: a label with at most one small constructor of this module behind it. Nothing is ever imported,
and a constructor only makes plain values: dictionaries, sets, bytes and NumPy arrays whose type and
byte count were checked first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_RANK = 8
MAX_KEY_ID = 1 << 22  # small whole numbers cannot be crafted to collide in a dictionary
MAX_KEY_WORDS = 16


class RefusedError(ValueError):
    """Content that is not allowed; the readers turn it into an error that names the file."""


class ForeignDict(dict):
    """A foreign `OrderedDict`, `defaultdict` or `argparse.Namespace` as a plain dictionary.

    `kind` tells which. A missing key is a `KeyError` here, also for a defaultdict.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


class PythonTwoText(str):
    """A Python-2 byte string with bytes above 127: text (utf-8, else latin-1) that still knows its bytes."""

    __slots__ = ("raw",)
    raw: bytes

    @classmethod
    def of(cls, raw: bytes) -> str:
        """Decodes `raw`; pure ASCII gives a plain `str`."""
        if raw.isascii():
            return raw.decode("ascii")
        try:
            text = cls(raw.decode("utf-8"))
        except UnicodeDecodeError:
            text = cls(raw.decode("latin-1"))
        text.raw = raw
        return text


@dataclass(slots=True)
class ForeignDtype:
    """A NumPy dtype under construction: only numbers, booleans and strings of fixed length."""

    dtype: np.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """An allowed name. `build(charge, *arguments)` makes its value; without it the name is only a label."""

    name: str
    build: Callable[..., Any] | None = None


Charge = Callable[[int], None]
Table = Mapping[tuple[str, str], Global]


def check_key(key: Any) -> None:
    """Refuses dictionary keys whose hashes an attacker could choose or make slow.

    Text and bytes (randomised hashes), small whole numbers, and short flat tuples of text are enough for
    every file we read.
    """
    kind = type(key)
    if kind is str or kind is bytes or kind is PythonTwoText or kind is np.str_ or key is None:
        return
    if kind is tuple and len(key) <= MAX_KEY_WORDS and all(isinstance(word, str) for word in key):
        return
    if kind in (int, bool) and -MAX_KEY_ID < key < MAX_KEY_ID:
        return
    raise RefusedError(f"a dictionary key of a kind that is not allowed ({kind.__name__})")


def fill_dict(target: dict[Any, Any], pairs: Any) -> None:
    """Adds `(key, value)` pairs (tuples or, in Python-2 OrderedDicts, lists) to `target`."""
    for pair in pairs:
        if type(pair) not in (tuple, list) or len(pair) != 2:
            raise RefusedError("a dictionary made of something else than pairs")
        check_key(pair[0])
        target[pair[0]] = pair[1]


def raw_bytes(value: Any, charge: Charge) -> bytes | bytearray:
    """Returns the bytes of bytes or of a Python-2 string that was read as text."""
    if isinstance(value, PythonTwoText):
        return value.raw
    if isinstance(value, bytes | bytearray):
        return value
    if isinstance(value, str):
        charge(len(value))
        return value.encode("latin-1")
    raise RefusedError("array data that is not bytes")


# === Constructors: what the allowed names do ===


def _ordered_dict(charge: Charge, pairs: Any = ()) -> ForeignDict:
    if type(pairs) not in (list, tuple):
        raise RefusedError("an OrderedDict made of something else than a list")
    charge(100 * len(pairs))
    made = ForeignDict("OrderedDict")
    fill_dict(made, pairs)
    return made


def _default_dict(_: Charge, factory: Any = None) -> ForeignDict:
    if factory is not None and not (isinstance(factory, Global) and factory.name in ("float", "int")):
        raise RefusedError("a defaultdict whose default is neither int nor float")
    return ForeignDict("defaultdict")


def _namespace(_: Charge) -> ForeignDict:
    return ForeignDict("Namespace")


def _reconstructor(charge: Charge, cls: Any, base: Any, state: Any) -> ForeignDict:
    labels = [label.name for label in (cls, base) if isinstance(label, Global)]
    if labels != ["Namespace", "object"] or state is not None:
        raise RefusedError("an object of a class that is not allowed")
    return _namespace(charge)


def _set(kind: type) -> Callable[..., Any]:
    def build(charge: Charge, members: Any = ()) -> Any:
        if type(members) not in (list, tuple):
            raise RefusedError("a set made of something else than a list")
        charge(72 * len(members))
        for member in members:
            check_key(member)
        return kind(members)

    return build


def _encode(charge: Charge, text: Any, encoding: Any = "utf-8") -> bytes:
    """Protocol 2 of Python 3 writes bytes as `_codecs.encode(text, "latin1")`."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError("an encoding other than latin-1")
    return bytes(raw_bytes(text, charge))


def _bytes(charge: Charge, value: Any = b"", encoding: Any = "latin-1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError("an encoding other than latin-1")
    charge(64)
    return bytes(raw_bytes(value, charge))


def _dtype(_: Charge, code: Any, align: Any = 0, copy: Any = 1) -> ForeignDtype:
    if not isinstance(code, str) or align not in (0, 1) or copy not in (0, 1):
        raise RefusedError("a NumPy type of a kind that is not allowed")
    kind, size = code[:1], code[1:]
    allowed = code in ("b1", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    if not allowed and not (kind in ("S", "U") and size.isdecimal() and len(size) <= 4 and int(size) > 0):
        raise RefusedError("a NumPy type of a kind that is not allowed")
    return ForeignDtype(np.dtype(code))


def _blank_array(charge: Charge, cls: Any, shape: Any, code: Any) -> np.ndarray:
    if not isinstance(cls, Global) or cls.name != "ndarray" or shape != (0,) or code not in (b"b", "b"):
        raise RefusedError("a NumPy array of a kind that is not allowed")
    charge(128)
    return np.empty(0, np.uint8)


def _scalar(charge: Charge, dtype: Any, data: Any) -> Any:
    charge(64)
    value = array_from(charge, dtype, (), data)[()]
    if isinstance(value, bytes):
        return PythonTwoText.of(bytes(value))
    return str(value) if isinstance(value, str) else value


def _from_buffer(charge: Charge, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return array_from(charge, dtype, shape, data, fortran=order == "F")


NAMES: Table = {
    **{
        (module, name): Global(name, build)
        for module in ("__builtin__", "builtins")
        for name, build in {
            "set": _set(set),
            "frozenset": _set(frozenset),
            "bytes": _bytes,
            "bytearray": _bytes,
            "float": None,
            "int": None,
            "object": None,
        }.items()
    },
    **{
        (f"numpy{core}.{module}", name): Global(name, build)
        for core in (".core", "._core")
        for module, name, build in (
            ("multiarray", "_reconstruct", _blank_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{(module, "_reconstructor"): Global("_reconstructor", _reconstructor) for module in ("copy_reg", "copyreg")},
    ("numpy", "ndarray"): Global("ndarray"),
    ("numpy", "dtype"): Global("dtype", _dtype),
    ("collections", "OrderedDict"): Global("OrderedDict", _ordered_dict),
    ("collections", "defaultdict"): Global("defaultdict", _default_dict),
    ("argparse", "Namespace"): Global("Namespace", _namespace),
    ("_codecs", "encode"): Global("encode", _encode),
}


# === NumPy ===


def array_from(charge: Charge, dtype: Any, shape: Any, data: Any, *, fortran: bool = False) -> np.ndarray:
    """Makes an array after checking that shape, type and byte count agree.

    Args:
        charge: called with the bytes about to be allocated.
        dtype: a `ForeignDtype`.
        shape: tuple of sizes.
        data: bytes, or a Python-2 string.
        fortran: column-major data.
    """
    made, raw = _checked(charge, dtype, shape, data)
    return np.frombuffer(bytearray(raw), made).reshape(shape, order="F" if fortran else "C")


def set_array_state(target: np.ndarray, state: Any, charge: Charge) -> None:
    """Gives the blank array of `_reconstruct` its content."""
    if type(state) is not tuple or len(state) != 5 or state[0] != 1 or state[3] not in (0, 1):
        raise RefusedError("a NumPy array of a kind that is not allowed")
    made, raw = _checked(charge, state[2], state[1], state[4])
    # The blank array may already be referred to, so it is filled in place, by NumPy's own checked setter.
    target.__setstate__((1, state[1], made, bool(state[3]), bytes(raw)))  # type: ignore[arg-type]


def set_dtype_state(target: ForeignDtype, state: Any) -> None:
    """Applies the byte order of a pickled dtype and refuses fields, sub-arrays and other sizes."""
    if type(state) is not tuple or len(state) < 7 or state[0] not in (3, 4) or state[1] not in ("<", ">", "|", "="):
        raise RefusedError("a NumPy type of a kind that is not allowed")
    if any(part is not None for part in state[2:5]) or state[5] not in (-1, target.dtype.itemsize):
        raise RefusedError("a NumPy type of a kind that is not allowed")
    if state[1] in ("<", ">"):
        target.dtype = target.dtype.newbyteorder(state[1])


def _checked(charge: Charge, dtype: Any, shape: Any, data: Any) -> tuple[np.dtype, bytes | bytearray]:
    if not isinstance(dtype, ForeignDtype) or type(shape) is not tuple or len(shape) > MAX_RANK:
        raise RefusedError("a NumPy array of a kind that is not allowed")
    if any(type(size) is not int or not 0 <= size < 1 << 40 for size in shape):
        raise RefusedError("a NumPy array with an impossible shape")
    raw = raw_bytes(data, charge)
    if math.prod(shape) * dtype.dtype.itemsize != len(raw):
        raise RefusedError("a NumPy array whose shape does not fit its data")
    charge(len(raw) + 128)
    return dtype.dtype, raw
