"""What a file's own bytes say: what it is when it is no video, and how much of it is missing when it is one.

Only the outermost headers are read, and only to tell the user more than "invalid data".
"""

from __future__ import annotations

import io
import os

# First bytes -> what such a file is.
BINARY_MARKS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"BM", "a BMP picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"ID3", "an MP3 audio file"),
    (b"fLaC", "a FLAC audio file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
)
# The same for text, compared without case and without leading blanks.
TEXT_MARKS = (
    (b"#extm3u", "a playlist, and playlists are not followed"),
    (b"[playlist]", "a playlist, and playlists are not followed"),
    (b"<mpd", "a playlist, and playlists are not followed"),
    (b"ffconcat", "a list of files, and such lists are not followed"),
    (b"v=0", "a network stream description, and only local files are read"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a Git LFS pointer (run: git lfs pull)"),
    (b"<svg", "an SVG picture"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
)
RIFF_KINDS = {b"WAVE": "a WAV audio file", b"WEBP": "a WebP picture"}
MAX_ATOMS = 100_000  # top-level atoms looked at; long fragmented files have thousands
EBML_HEADER, MATROSKA_SEGMENT = 0x1A45DFA3, 0x18538067


def describe_bytes(head: bytes) -> str | None:
    """What a file that begins with `head` is, where that is plain and not a video; else None."""
    if head[:4] == b"RIFF":
        return RIFF_KINDS.get(head[8:12])
    for mark, kind in BINARY_MARKS:
        if head.startswith(mark):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, kind in TEXT_MARKS:
        if text.startswith(mark):
            return kind
    if not any(head):
        return "nothing but zeros (an unfinished download?)"
    printable = sum(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head)
    return "a text file" if printable == len(head) else None


def lacks_moov(file: io.RawIOBase) -> bool:
    """Whether this is an mp4/mov file whose index ("moov") is absent or not whole."""
    kinds, moov_whole, _ = _walk_atoms(file)
    return bool(kinds & {b"ftyp", b"mdat", b"wide"}) and not moov_whole


def missing_bytes(file: io.RawIOBase) -> int:
    """Bytes that an mp4/mov, avi or Matroska file promises beyond its end; 0 where it keeps its promises."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(64) or b""
    if head[:4] == b"RIFF":
        return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
    if head[:4] == EBML_HEADER.to_bytes(4, "big"):
        return max(0, _matroska_end(head) - size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return max(0, _walk_atoms(file)[2] - size)
    return 0


def _walk_atoms(file: io.RawIOBase) -> tuple[set[bytes], bool, int]:
    """Top-level atoms of an mp4/mov file: their kinds, whether "moov" is whole, where the last one should end."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    kinds: set[bytes] = set()
    moov_whole = False
    for _ in range(MAX_ATOMS):
        file.seek(position)
        header = file.read(16) or b""
        if len(header) < 8:
            break
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - position
        if length < 8:
            break
        position += length
        kinds.add(kind)
        moov_whole = moov_whole or (kind == b"moov" and position <= size)
    return kinds, moov_whole, position


def _matroska_end(head: bytes) -> int:
    """Where the segment of a Matroska file should end, from its first 64 bytes; 0 where that is not said."""
    position = 4
    header_size, position = _ebml_size(head, position)
    if header_size is None:
        return 0
    position += header_size
    if head[position : position + 4] != MATROSKA_SEGMENT.to_bytes(4, "big"):
        return 0
    segment_size, position = _ebml_size(head, position + 4)
    return 0 if segment_size is None else position + segment_size


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """A size of Matroska (leading zero bits say its length) and where it ends; None for "unknown" and damage."""
    if position >= len(data) or data[position] == 0:
        return None, position
    length = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + length], "big") & ((1 << (7 * length)) - 1)
    return (None if value == (1 << (7 * length)) - 1 else value), position + length
