"""NumPy files that nobody vouches for: headers are checked against the file's size before memory is spent; no pickles.

A `.npy` is opened without reading its values and read piece by piece, so files larger than memory are fine. A `.npz` of
ours is a zip of such arrays, stored and not compressed: it cannot expand to more than it is.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from glrg_tf.errors import DataError, FeatureError, GlrgError
from glrg_tf.io import atomic

NUMBERS = "fiu"  # NumPy's letters of the accepted kinds
_MAX_HEADER = 4096  # bytes; an honest header of numbers has about 120
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = "the file is damaged or incomplete; make or copy it again"


@dataclass(frozen=True)
class NpyFile:
    """A `.npy` whose header has been checked; its values are still on disk.

    Attributes:
        path: the file.
        shape: of the array.
        dtype: of its values.
        offset: bytes before the first value.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int

    def rows(self, first: int, last: int) -> np.ndarray:
        """Returns rows `first` to `last` as a map of that part of the file (the map goes with the array).

        Raises:
            FeatureError: the file has become shorter since it was opened.
        """
        width = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            return np.memmap(
                self.path, self.dtype, "r", self.offset + first * width, (max(last - first, 0), *self.shape[1:])
            )
        except (OSError, ValueError) as error:
            raise FeatureError(f"the rows cannot be read ({error})", where=self.path, remedy=_DAMAGED) from error


def open_npy(
    path: str | os.PathLike[str], *, ndim: int | None = None, error: type[DataError] = FeatureError
) -> NpyFile:
    """Checks the header of a `.npy` file.

    Args:
        path: the file.
        ndim: wanted number of axes.
        error: class to raise.

    Raises:
        DataError: (or `error`) missing, no `.npy`, not numbers (pickled objects above all), wrong axes, in Fortran
            order, or of another size than its header tells.
    """
    file = Path(path)
    if not file.is_file():
        raise error("no such file" if not file.exists() else "not a file", where=file, remedy="check the path")
    size = file.stat().st_size
    with open(file, "rb") as stream:
        shape, dtype, offset = _read_header(stream, file, error)
    if ndim is not None and len(shape) != ndim:
        raise error(f"the array has shape {shape}, expected {ndim} axes", where=file, remedy="is this the right file?")
    wanted = math.prod(shape) * dtype.itemsize
    if size - offset != wanted:
        raise error(
            f"the shape {shape} needs {wanted} bytes, the file has {size - offset}", where=file, remedy=_DAMAGED
        )
    return NpyFile(file, shape, dtype, offset)


def write_npy(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes a `.npy`, whole or not at all."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    atomic.write_bytes(path, buffer.getvalue())


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of numbers as an uncompressed `.npz`, the same bytes for the same arrays; whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # A fixed date: the bytes, and so the manifest's hashes, depend on the values alone.
            with archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    atomic.write_bytes(path, buffer.getvalue())


def read_npz(
    path: str | os.PathLike[str], wanted: Mapping[str, tuple[str, int]], *, error: type[GlrgError] = DataError
) -> dict[str, np.ndarray]:
    """Reads named arrays of an uncompressed `.npz`.

    Args:
        path: the file.
        wanted: by name, NumPy's letters of the accepted kinds ("f", "iu") and the number of axes.
        error: class to raise.

    Raises:
        GlrgError: (or `error`) missing or damaged file, compressed or missing members, other kinds or axes.
    """
    file = Path(path)
    arrays = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for name, (kinds, ndim) in wanted.items():
                member = archive.getinfo(f"{name}.npy")
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > file.stat().st_size:
                    raise error(f"'{name}' is compressed", where=file, remedy="save it again with this program")
                with archive.open(member) as stream:
                    shape, dtype, offset = _read_header(stream, file, error)
                    if dtype.kind not in kinds or len(shape) != ndim:
                        what = f"'{name}' holds {dtype} of shape {shape}, expected {ndim} axes of kind {kinds}"
                        raise error(what, where=file, remedy=_DAMAGED)
                    data = stream.read()
                if len(data) != math.prod(shape) * dtype.itemsize or member.file_size != offset + len(data):
                    raise error(f"'{name}' is shorter than its header tells", where=file, remedy=_DAMAGED)
                arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    except FileNotFoundError:
        raise error("no such file", where=file, remedy="copy the whole folder again") from None
    except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as cause:
        raise error(f"the arrays cannot be read ({cause})", where=file, remedy=_DAMAGED) from cause
    return arrays


def _read_header(stream: IO[bytes], where: Path, error: type) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type and length of the header that `stream` begins with."""
    try:
        version = np.lib.format.read_magic(stream)
        read = _HEADERS.get(version)
        if read is None:
            raise ValueError(f"version {version} of the format")
        with warnings.catch_warnings():  # NumPy warns of headers that Python 2 wrote; they are fine
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
        if dtype.hasobject:
            raise ValueError("it holds pickled Python objects, which are never loaded")
        if dtype.kind not in NUMBERS:
            raise ValueError(f"it holds {dtype}, not numbers")
        if any(side < 0 for side in shape):
            raise ValueError(f"negative shape {shape}")
        if fortran and sum(side > 1 for side in shape) > 1:
            raise ValueError("it is in Fortran order; save np.ascontiguousarray(array)")
    except (ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError) as cause:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0][:160]
        raise error(f"no usable .npy array ({reason})", where=where, remedy=_DAMAGED) from cause
    return shape, dtype, stream.tell()
