"""Reads request bodies that may be too large, too slow or cut off: counted while they stream, never kept whole.

A video goes from the socket to a temporary file in pieces. Its name is ours: nothing of what a client says becomes a
path.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from export.serving.refusal import RequestError

_MAX_FIELD = 4096  # bytes of a form field that is not the file
_MAX_FIELDS = 16


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body of a request.

    Raises:
        RequestError: 413 longer than `limit` bytes, 408 slower than `seconds`.
        ClientDisconnect: the client has gone.
    """
    pieces = [piece async for piece in pieces_of(request, limit, seconds)]
    return b"".join(pieces)


async def pieces_of(request: Request, limit: int, seconds: float) -> AsyncIterator[bytes]:
    """The body as it comes (see `read_body` for what it raises)."""
    stated = request.headers.get("content-length", "")
    too_large = RequestError(413, f"the body is larger than {limit} bytes, what this server allows")
    if stated.isdecimal() and int(stated) > limit:
        raise too_large
    read, deadline = 0, asyncio.get_running_loop().time() + seconds
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(stream, None)
        except TimeoutError:
            raise RequestError(408, f"the body did not arrive within {seconds:g} s") from None
        if piece is None:
            return
        read += len(piece)
        if read > limit:
            raise too_large
        yield piece


@contextlib.contextmanager
def upload_file() -> Iterator[IO[bytes]]:
    """A new file for an upload in a private folder, gone afterwards whatever happens."""
    with (
        tempfile.TemporaryDirectory(prefix="glrg-upload-", ignore_cleanup_errors=True) as folder,
        open(Path(folder) / "video", "wb") as file,
    ):
        yield file


class Form:
    """A multipart form with at most one file, parsed while it streams.

    Args:
        content_type: the request's header, which names the boundary.
        file: where the form field `video` goes.

    Attributes:
        fields: the other fields, as text.
        received: bytes of the file.

    Raises:
        RequestError: 400, no boundary.
    """

    def __init__(self, content_type: str, file: IO[bytes]) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 256:
            raise RequestError(400, "the form has no boundary", remedy="send multipart/form-data with a field 'video'")
        self.fields: dict[str, str] = {}
        self.received, self.has_file, self._file = 0, False, file
        self._header, self._value, self._headers = bytearray(), bytearray(), dict[bytes, bytes]()
        self._name, self._is_file, self._text = "", False, bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def write(self, piece: bytes) -> None:
        """Takes the next piece of the body.

        Raises:
            RequestError: 400, not a form, or not one of ours.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise RequestError(400, f"the form is damaged ({str(error)[:100]})") from None

    def finish(self) -> None:
        """Checks that the form is whole.

        Raises:
            RequestError: 400, it stops in the middle, or has no file or an empty one.
        """
        if not self._ended:
            raise RequestError(400, "the form stops in the middle")
        if not self.has_file:
            raise RequestError(400, "the form has no file", remedy="send the video as the form field 'video'")
        if not self.received:
            raise RequestError(400, "the file is empty")
        self._file.flush()

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._text = bytearray()

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        if self._is_file and (self.has_file or self._name != "video"):
            raise RequestError(400, "the form may have one file, in the field 'video'")
        self.has_file = self.has_file or self._is_file

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file.write(data[start:end])
            self.received += end - start
        else:
            self._text += data[start:end]
            if len(self._text) > _MAX_FIELD:
                raise RequestError(400, f"a form field is longer than {_MAX_FIELD} bytes")

    def _on_part_end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._text.decode("utf-8", "replace")
            if len(self.fields) > _MAX_FIELDS:
                raise RequestError(400, f"the form has more than {_MAX_FIELDS} fields")

    def _on_end(self) -> None:
        self._ended = True
