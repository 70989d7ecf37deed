"""A guard for variable-length text in HDF5: the library (2.0 too) never returns from reading some damaged heaps.

Variable-length text lies in "global heap collections": `GCOL`, version 1, three zero bytes, the collection's size, then
objects of a 16-byte head (index, references, reserved, size) and content padded to 8 bytes; the object with index 0 is
the free rest and its size counts the head. A free rest of size 0 makes the library go round for ever.

Reference: HDF5 file format specification 3.0, III.E "Disk format: Level 1E - Global heap".
"""

from __future__ import annotations

import mmap
import os
import struct

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEAD = 16  # bytes, of a collection and of an object, with lengths of 8 bytes


def sound_heaps(path: str | os.PathLike[str]) -> bool:
    """Whether every global heap collection of an HDF5 file with 8-byte lengths can be walked to its end."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_SIGNATURE)
        while start >= 0:
            if not _walks(content, start):
                return False
            start = content.find(_SIGNATURE, start + len(_SIGNATURE))
    return True


def _walks(content: mmap.mmap, start: int) -> bool:
    if start + _HEAD > len(content):
        return False
    (size,) = struct.unpack_from("<Q", content, start + 8)
    end = start + size
    if end > len(content):
        return False
    place = start + _HEAD
    while place + _HEAD <= end:
        index, _, _, length = struct.unpack_from("<HHIQ", content, place)
        step = length if index == 0 else _HEAD + (length + 7) // 8 * 8
        if step < _HEAD:
            return False
        place += step
    return place <= end
