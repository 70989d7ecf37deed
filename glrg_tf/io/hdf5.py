"""HDF5 files that nobody vouches for: every size, type and link is checked before memory is spent on it.

Refused: links out of the file, virtual data sets and external storage (they read other files of this machine), types
that are neither numbers nor text, and shapes that the file is too small to hold.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from glrg_tf.errors import DataError, FeatureError
from glrg_tf.io.hdf5_heap import sound_heaps

TEXT = "T"  # beside NumPy's letters for kinds of numbers
_DAMAGED = "the file is damaged or incomplete; copy or make it again"
# gzip stores zeros at about 1000:1, real features at 2:1, label rows at 50:1; what is small anyway may be zeros.
_MAX_COMPRESSION = 100
_SMALL = 64 * 2**20  # bytes
_CLOSING_BYTES = 2**20  # more than a file grows by when it is closed
_TEXT_ROWS = (
    64  # text is read in steps of this many, so that a few large strings shared by many rows cannot fill memory
)
_MAX_TEXT_BYTES = 4096  # longest single text (an id or a word) that is accepted


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str], *, error: type[DataError] = FeatureError) -> Iterator[h5py.File]:
    """Yields the file opened for reading.

    Raises:
        DataError: (or `error`) missing, no HDF5, truncated.
    """
    file = Path(path)
    if not file.is_file():
        raise error("no such file" if not file.exists() else "not a file", where=file, remedy="check the path")
    with _reading(file, "not a whole HDF5 file", error):
        handle = h5py.File(file, "r")
    with handle:
        yield handle


def dataset(
    handle: h5py.File,
    name: str,
    *,
    kinds: str = TEXT,
    ndim: int | None = None,
    error: type[DataError] = FeatureError,
) -> h5py.Dataset:
    """Returns the data set at the path `name` after checking that it is safe to read.

    Args:
        handle: an open file.
        name: path inside the file, such as `streams/keyframe/values`.
        kinds: accepted kinds: NumPy's letters, such as "fiu" for numbers, and `TEXT` (fixed or variable length).
        ndim: wanted number of axes; 1 for text.
        error: class to raise.

    Raises:
        DataError: (or `error`) missing, a foreign link, wrong type, wrong axes, larger than the file can hold.
    """
    where = f"{handle.filename}: {name}"
    with _reading(where, f"'{name}' cannot be opened", error):
        found = resolve(handle, name, error=error)
        if not isinstance(found, h5py.Dataset):
            raise error(f"'{name}' is a group, not a data set", where=where, remedy="check the layout of the file")
        if found.is_virtual or found.external:
            raise error("the data set keeps its values in other files", where=where, remedy="write them into this file")
        wanted = 1 if kinds == TEXT else ndim
        if found.shape is None or (wanted is not None and found.ndim != wanted):
            raise error(
                f"'{name}' has shape {found.shape}, expected {wanted} axes", where=where, remedy="check the layout"
            )
        if kind_of(found.dtype) not in kinds:
            expected = "text" if kinds == TEXT else "numbers"
            raise error(
                f"'{name}' holds {found.dtype}, expected {expected}", where=where, remedy="store it as " + expected
            )
        _check_size(handle, found, where, error)
        return found


def kind_of(dtype: np.dtype) -> str:
    """Returns `TEXT` for fixed or variable-length text, else NumPy's letter."""
    return TEXT if dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None else dtype.kind


def resolve(handle: h5py.File, name: str, *, error: type[DataError] = FeatureError) -> h5py.Group | h5py.Dataset:
    """Returns the object at the path `name`, following hard links of this file only.

    Raises:
        DataError: (or `error`) nothing of that name, or a soft or external link on the way.
    """
    node: h5py.Group | h5py.Dataset = handle
    with _reading(handle.filename, f"'{name}' cannot be opened", error):
        for part in name.split("/"):
            # Asked of the link itself: looking through it would already open the other file.
            links = node.id.links if isinstance(node, h5py.Group) else None
            if links is None or not part or not links.exists(part.encode("utf-8")):
                raise error(f"'{name}' is missing", where=handle.filename, remedy=_contents(handle))
            if links.get_info(part.encode("utf-8")).type != h5py.h5l.TYPE_HARD:
                raise error(
                    f"'{part}' is a link that may lead out of the file",
                    where=f"{handle.filename}: {name}",
                    remedy="copy the data into the file (h5repack, or h5py's copy with expand_external)",
                )
            node = node[part]
    return node


def names(node: h5py.File | h5py.Group | h5py.Dataset, *, error: type[DataError] = FeatureError) -> list[str]:
    """Returns the names in a group, sorted; none for a data set.

    Raises:
        DataError: (or `error`) the group cannot be read.
    """
    with _reading(node.file.filename, f"'{node.name}' cannot be listed", error):
        return sorted(node) if isinstance(node, h5py.Group) else []


def read_array(data: h5py.Dataset, *, error: type[DataError] = FeatureError) -> np.ndarray:
    """Returns all values of a checked data set.

    Raises:
        DataError: (or `error`) the stored bytes cannot be read.
    """
    with _reading(data.file.filename, f"'{data.name}' cannot be read", error):
        return data[()]


def read_rows(data: h5py.Dataset | np.ndarray, first: int, last: int) -> np.ndarray:
    """Returns rows `first` to `last` of a checked data set, or of its memory map.

    Raises:
        FeatureError: the stored bytes cannot be read.
    """
    if isinstance(data, np.ndarray):
        return data[first:last]
    with _reading(data.file.filename, f"'{data.name}' cannot be read", FeatureError):
        return data[first:last]


def read_strings(data: h5py.Dataset, *, error: type[DataError] = FeatureError) -> list[str]:
    """Returns a checked text data set as a list.

    Raises:
        DataError: (or `error`) not utf-8, or a text longer than any id or word.
    """
    where = f"{data.file.filename}: {data.name}"
    texts: list[str] = []
    with _reading(where, f"'{data.name}' cannot be read", error):
        _check_heaps(data.file, data.dtype, error)
    for start in range(0, data.shape[0], _TEXT_ROWS):
        with _reading(data.file.filename, f"'{data.name}' cannot be read", error):
            values = [v.encode("utf-8") if isinstance(v, str) else bytes(v) for v in data[start : start + _TEXT_ROWS]]
        if max(map(len, values)) > _MAX_TEXT_BYTES:
            raise error(
                f"'{data.name}' holds a text of more than {_MAX_TEXT_BYTES} bytes", where=where, remedy=_DAMAGED
            )
        try:
            texts += [value.decode("utf-8") for value in values]
        except UnicodeError:
            raise error(f"'{data.name}' is not utf-8 after row {start}", where=where, remedy="store utf-8") from None
    return texts


def attributes(
    node: h5py.File | h5py.Group | h5py.Dataset, *, error: type[DataError] = FeatureError
) -> dict[str, str | int | float | bool]:
    """Returns the scalar text and number attributes of `node`; others are left out.

    Raises:
        DataError: (or `error`) the attributes cannot be read.
    """
    found: dict[str, str | int | float | bool] = {}
    with _reading(node.file.filename, f"the attributes of '{node.name}' cannot be read", error):
        for name in node.attrs:
            identifier = node.attrs.get_id(name)
            kind = kind_of(identifier.dtype)
            if identifier.shape == () and kind in "biuf":
                found[name] = node.attrs[name].item()
            elif identifier.shape == () and kind == TEXT:
                _check_heaps(node.file, identifier.dtype, error)
                value = node.attrs[name]
                found[name] = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    return found


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Yields a new file that becomes `path` when the block succeeds and vanishes when it fails.

    Equal contents give equal bytes: unlike `h5py.File`, it does not write the time into the file.

    Raises:
        OSError: the disk is full or the folder may not be written to. The process lives on.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    try:
        with h5py.File(_create_without_times(name)) as handle:
            try:
                yield handle
                _reserve(handle)
            except BaseException:
                _forget_file(handle)
                raise
        with open(name, "rb") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _reserve(handle: h5py.File) -> None:
    """Makes sure of the room on disk that closing the file will need, and closes nothing yet.

    A flush or close that fails on a full disk breaks the library's state, and the process dies of it later.
    """
    descriptor = handle.id.get_vfd_handle()
    size = os.fstat(descriptor).st_size
    os.posix_fallocate(descriptor, 0, max(size, handle.id.get_filesize()) + _CLOSING_BYTES)
    os.ftruncate(descriptor, size)  # the library would keep what it did not ask for
    handle.flush()


def _forget_file(handle: h5py.File) -> None:
    """Lets the library close a file that cannot be written: what it holds back goes to memory."""
    aside = os.memfd_create("unwritten")
    try:
        os.dup2(aside, handle.id.get_vfd_handle())
    finally:
        os.close(aside)


def _create_without_times(name: str) -> h5py.h5f.FileID:
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
    creation.set_link_creation_order(order)
    creation.set_attr_creation_order(order)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return h5py.h5f.create(os.fsencode(name), h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access)


def text_array(texts: list[str]) -> np.ndarray:
    """Returns `texts` as fixed-length utf-8, the text that every HDF5 reader knows."""
    encoded = [text.encode("utf-8") for text in texts]
    width = max(map(len, encoded), default=1)
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(width, 1)))


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str], what: str, error: type[DataError]) -> Iterator[None]:
    """Turns what the HDF5 library raises on damaged bytes into `error`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as cause:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0][:200]
        raise error(f"{what} ({reason})", where=path, remedy=_DAMAGED) from cause


def _check_heaps(handle: h5py.File, dtype: np.dtype, error: type[DataError]) -> None:
    # Lengths other than 8 bytes come from no writer we know of; the library is then on its own.
    variable = dtype.kind == "O"
    if variable and handle.id.get_create_plist().get_sizes()[1] == 8 and not sound_heaps(handle.filename):
        raise error("the file's variable-length text is damaged", where=handle.filename, remedy=_DAMAGED)


def _check_size(handle: h5py.File, data: h5py.Dataset, where: str, error: type[DataError]) -> None:
    declared = data.size * data.dtype.itemsize
    if not declared:
        return
    file_bytes = os.path.getsize(handle.filename)
    offset = data.id.get_offset()
    stored = min(data.id.get_storage_size(), file_bytes)
    limit = stored
    if stored and data.id.get_create_plist().get_nfilters() > 0:
        limit = max(stored * _MAX_COMPRESSION, _SMALL)
    if declared > limit or (offset is not None and offset + declared > file_bytes):
        raise error(
            f"the shape {data.shape} needs {declared} bytes, the file stores {stored} of {file_bytes}",
            where=where,
            remedy=_DAMAGED,
        )


def _contents(handle: h5py.File) -> str:
    return "the file holds: " + (", ".join(names(handle)[:20]) or "nothing")
