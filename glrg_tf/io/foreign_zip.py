"""Finds the members of an uncompressed zip file, trusting none of its numbers.

Torch stores its files without compression, so a member is a range of bytes. Ours refuses what torch never
writes: compressed or encrypted members (zip bombs), names that lead out of a folder, duplicate names,
members that overlap each other or the directory, and directories of absurd length.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass

from glrg_tf.io.foreign_values import RefusedError

MAX_MEMBERS = 20_000
MAX_DIRECTORY_BYTES = 8 << 20
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_DAMAGED = "the zip file is damaged or cut short"


@dataclass(frozen=True, slots=True)
class Member:
    """A stored file: its bytes are `data[start : start + size]`."""

    name: str
    start: int
    size: int
    crc32: int


def members(data: mmap.mmap) -> dict[str, Member]:
    """Returns the members of a zip file by name.

    Raises:
        RefusedError: the file is damaged, or holds anything torch never writes.
    """
    try:
        start, size, count = _directory(data)
        found = _entries(data, start, size, count)
    except (struct.error, IndexError) as error:
        raise RefusedError(_DAMAGED) from error
    stop = 0
    for member in sorted(found.values(), key=lambda member: (member.start, member.size)):
        if member.start < stop or member.start + member.size > start:
            raise RefusedError("members of the zip file overlap")
        stop = member.start + member.size
    return found


def check_crc(data: mmap.mmap, member: Member) -> None:
    """Compares a member's bytes with their checksum.

    Raises:
        RefusedError: they differ.
    """
    checksum, view = 0, memoryview(data)
    try:
        for begin in range(member.start, member.start + member.size, 1 << 24):
            checksum = zlib.crc32(view[begin : min(begin + (1 << 24), member.start + member.size)], checksum)
    finally:
        view.release()
    if checksum != member.crc32:
        raise RefusedError(f"the bytes of {member.name[:80]!a} do not have their checksum: the file is damaged")


def _directory(data: mmap.mmap) -> tuple[int, int, int]:
    """Start, size and number of entries of the central directory."""
    end = data.rfind(_END, max(0, len(data) - 65_557))
    if end < 0:
        raise RefusedError(_DAMAGED)
    disk, first_disk, _, count, size, start, _ = struct.unpack("<HHHHIIH", data[end + 4 : end + 22])
    if disk or first_disk:
        raise RefusedError("the zip file has several parts")
    if data[max(0, end - 20) : end - 16] == _LOCATOR64:  # torch always writes the 64-bit record too
        (record,) = struct.unpack("<Q", data[end - 12 : end - 4])
        if data[record : record + 4] != _END64:
            raise RefusedError(_DAMAGED)
        count, size, start = struct.unpack("<QQQ", data[record + 32 : record + 56])
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES or start + size > end:
        raise RefusedError("the zip file's directory is damaged or absurdly long")
    return start, size, count


def _entries(data: mmap.mmap, start: int, size: int, count: int) -> dict[str, Member]:
    found: dict[str, Member] = {}
    position = start
    for _ in range(count):
        if data[position : position + 4] != b"PK\x01\x02" or position + 46 > start + size:
            raise RefusedError(_DAMAGED)
        flags, method = struct.unpack("<HH", data[position + 8 : position + 12])
        crc, packed, full, name_size, extra_size, note_size = struct.unpack(
            "<IIIHHH", data[position + 16 : position + 34]
        )
        (header,) = struct.unpack("<I", data[position + 42 : position + 46])
        raw_name = data[position + 46 : position + 46 + name_size]
        extra = data[position + 46 + name_size : position + 46 + name_size + extra_size]
        full, packed, header = _wide(extra, [full, packed, header])
        position += 46 + name_size + extra_size + note_size
        if method != 0 or flags & 1 or packed != full:
            raise RefusedError("a member of the zip file is compressed or encrypted; torch stores them plainly")
        name = _safe_name(raw_name)
        if name in found:
            raise RefusedError("the zip file has two members of one name")
        begin = _begin(data, header, raw_name, start)
        if begin + full > start:
            raise RefusedError("a member of the zip file is larger than the file")
        found[name] = Member(name, begin, full, crc)
    if position != start + size:
        raise RefusedError(_DAMAGED)
    return found


def _wide(extra: bytes, numbers: list[int]) -> list[int]:
    """Replaces 32-bit numbers that are all ones by those of the zip64 extra field."""
    wanted = [i for i, number in enumerate(numbers) if number == 0xFFFFFFFF]
    while wanted and len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 1:
            wide = struct.unpack(f"<{len(wanted)}Q", extra[4 : 4 + 8 * len(wanted)])
            for i, number in zip(wanted, wide, strict=True):
                numbers[i] = number
            return numbers
        extra = extra[4 + length :]
    return numbers


def _begin(data: mmap.mmap, header: int, raw_name: bytes, directory: int) -> int:
    """First byte of a member's content, after its own header, which must agree with the directory."""
    if header + 30 > directory or data[header : header + 4] != b"PK\x03\x04":
        raise RefusedError(_DAMAGED)
    name_size, extra_size = struct.unpack("<HH", data[header + 26 : header + 30])
    if data[header + 30 : header + 30 + name_size] != raw_name:
        raise RefusedError("the zip file contradicts itself about a member's name")
    return header + 30 + name_size + extra_size


def _safe_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("a member of the zip file has an unreadable name") from None
    parts = name.split("/")
    if not name or "\\" in name or "\0" in name or ":" in name or ".." in parts or "" in parts[:-1]:
        raise RefusedError(f"a member of the zip file is named {name[:80]!a}, which leads out of its folder")
    return name
