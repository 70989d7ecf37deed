"""Checksums inside `features.h5`: a flipped bit is noticed when the block it lies in is first read.

    /streams/<name>/checksums   (blocks,) uint32: CRC-32 of every `ROWS` rows of `values`, as little-endian float32
    attribute `content_sha256`  of the file: sha256 over ids, offsets, checksums and all attributes

Opening stays cheap and values stay memory-mapped: the sha256 covers what is read at the start anyway, and a block of
values is checked once, at its first read. Files of others carry none of this and are read unchecked.
"""

from __future__ import annotations

import hashlib
import json
import zlib

import h5py
import numpy as np

from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5

ROWS = 64  # of `values` a checksum
CONTENT, CHECKSUMS = "content_sha256", "checksums"
_REMEDY = "the file is damaged: copy, import or extract it again"


def seal(handle: h5py.File) -> None:
    """Writes the checksums of a file whose ids and streams are written."""
    for name in hdf5.names(handle["streams"]):
        group = handle[f"streams/{name}"]
        values = group["values"]
        group[CHECKSUMS] = np.array(
            [_crc(values[first : first + ROWS]) for first in range(0, values.shape[0], ROWS)], np.uint32
        )
    handle.flush()  # sizes are held against the file's
    handle.attrs[CONTENT] = _digest(handle)


def check_content(handle: h5py.File) -> bool:
    """Whether the file carries checksums; those of ids, offsets and attributes are held against them.

    Raises:
        FeatureError: they differ.
    """
    wanted = hdf5.attributes(handle).get(CONTENT)
    if wanted is None:
        return False
    if _digest(handle) != wanted:
        what = "ids, offsets or attributes differ from the checksum written with them"
        raise FeatureError(what, where=handle.filename, remedy=_REMEDY)
    return True


class CheckedRows:
    """Which rows of a stream's values were checked.

    Args:
        checksums: uint32 (blocks,).
        rows: of the values.
        where: for the message.
    """

    def __init__(self, checksums: np.ndarray, rows: int, where: str) -> None:
        if len(checksums) != -(-rows // ROWS):
            raise FeatureError(f"{len(checksums)} checksums for {rows} rows", where=where, remedy=_REMEDY)
        self._checksums, self._where = checksums, where
        self._open = np.ones(len(checksums), bool)

    def check(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Checks the blocks of `values` float32 (rows, D) that hold `rows`, those that were not checked before.

        Raises:
            FeatureError: a block differs from its checksum.
        """
        if not self._open.any():
            return
        blocks = np.unique(np.asarray(rows, np.int64) // ROWS)
        for block in blocks[self._open[blocks]]:
            first = int(block) * ROWS
            if _crc(values[first : first + ROWS]) != self._checksums[block]:
                last = min(first + ROWS, len(values)) - 1
                what = f"rows {first} to {last} differ from their checksum"
                raise FeatureError(what, where=self._where, remedy=_REMEDY)
            self._open[block] = False


def read_checksums(handle: h5py.File, stream: str) -> np.ndarray:
    """The checksums of a stream, uint32 (blocks,).

    Raises:
        FeatureError: missing or damaged.
    """
    return hdf5.read_array(hdf5.dataset(handle, f"streams/{stream}/{CHECKSUMS}", kinds="u", ndim=1)).astype(np.uint32)


def _crc(block: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(block, "<f4").tobytes())


def _digest(handle: h5py.File) -> str:
    found = hashlib.sha256()

    def add(*parts: object) -> None:
        found.update(json.dumps(parts, sort_keys=True).encode("utf-8") + b"\n")

    attributes = hdf5.attributes(handle)
    attributes.pop(CONTENT, None)
    ids = hdf5.dataset(handle, "ids", kinds="iu" + hdf5.TEXT, ndim=1)
    text = hdf5.kind_of(ids.dtype) == hdf5.TEXT
    add(attributes, hdf5.read_strings(ids) if text else [int(number) for number in hdf5.read_array(ids)])
    for name in hdf5.names(hdf5.resolve(handle, "streams")):
        group = hdf5.resolve(handle, f"streams/{name}")
        add(name, hdf5.attributes(group), hdf5.names(group))
        values = hdf5.dataset(handle, f"streams/{name}/values", kinds="f", ndim=2)
        add(list(values.shape), values.dtype.str)
        found.update(read_checksums(handle, name).astype("<u4").tobytes())
        if "offsets" in hdf5.names(group):
            offsets = hdf5.dataset(handle, f"streams/{name}/offsets", kinds="iu", ndim=1)
            found.update(hdf5.read_array(offsets).astype("<i8").tobytes())
    return found.hexdigest()
