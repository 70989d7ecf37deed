"""What a file's own bytes say it is, for refusals that tell the user more than "invalid data"."""

from __future__ import annotations

import io
import os

# First bytes -> what such a file is. Text marks are compared without case and leading blanks.
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
TEXT_MARKS = (
    (b"#extm3u", "a playlist (playlists are not followed)"),
    (b"[playlist]", "a playlist (playlists are not followed)"),
    (b"ffconcat", "a list of files (such lists are not followed)"),
    (b"v=0", "a network stream description (only local files are read)"),
    (b"<mpd", "a playlist (playlists are not followed)"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a Git LFS pointer (run: git lfs pull)"),
    (b"<svg", "an SVG picture"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
)
RIFF_KINDS = {b"WAVE": "a WAV audio file", b"WEBP": "a WebP picture"}
MAX_ATOMS = 10_000


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
    """Whether an mp4/mov file's top-level atoms end before a whole "moov" has come."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    seen: set[bytes] = set()
    for _ in range(MAX_ATOMS):
        file.seek(position)
        header = file.read(16) or b""
        if len(header) < 8:
            break
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8:
            break
        if kind == b"moov" and position + length <= size:
            return False
        seen.add(kind)
        position += length
    return bool(seen & {b"ftyp", b"mdat", b"wide"})
