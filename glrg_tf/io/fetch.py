"""Fetches one file from http(s) or file:// to disk: resumable, size-checked, whole or not at all.

A transfer goes to `NAME.part` and is renamed when it is complete. A broken one is taken up where it stopped if the
server still gives the file the ETag or date, and the size, that `NAME.part.json` remembers.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30
ATTEMPTS = 4
SCHEMES = ("https", "http", "file")
Progress = Callable[[int], None]


class NotThereError(DataError):
    """The source does not have the file."""


class UnreachableError(DataError):
    """The source does not answer, or breaks off again and again: further files would fare no better."""


@dataclass(frozen=True)
class Fetched:
    """How a file came.

    Attributes:
        bytes: its size.
        resumed: bytes that an earlier, broken transfer had left.
    """

    bytes: int
    resumed: int


def base_url(text: str) -> str:
    """Checks the address of a mirror; a folder of this machine becomes a file:// address.

    Raises:
        ConfigError: another scheme than http, https or file; no such folder.
    """
    parts = urllib.parse.urlsplit(text)
    if text and parts.scheme not in SCHEMES and Path(text).is_dir():
        return Path(text).resolve().as_uri()
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"'{text}' is no address to download from", remedy="use https://, http:// or file://")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(f"'{text}' names another machine", remedy="write file:///folder, with three slashes")
        if not Path(urllib.request.url2pathname(parts.path)).is_dir():
            raise ConfigError("there is no such folder", where=text, remedy="check the path after file://")
    elif not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"'{text}' is no address of a folder", remedy="write https://host/folder")
    return text.rstrip("/")


def fetch(base: str, name: str, target: Path, *, max_bytes: int, progress: Progress | None = None) -> Fetched:
    """Fetches `base`/`name` to `target`.

    Args:
        base: what `base_url` returned.
        name: relative path, parts separated by slashes.
        target: the file; its folder is made.
        max_bytes: most bytes that are accepted, whatever the source says.
        progress: called with the number of bytes that have arrived since the last call.

    Raises:
        NotThereError: the source has no such file.
        UnreachableError: the source does not answer; what has arrived is kept.
        DataError: the transfer failed; what has arrived is kept for the next attempt.
    """
    check_name(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    url = f"{base}/{urllib.parse.quote(name)}"
    progress = progress or (lambda count: None)
    if url.startswith("file:"):
        fetched = _copy(Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)), part, max_bytes, progress)
    else:
        fetched = _download(url, part, max_bytes, progress)
    return fetched


def finish(target: Path) -> None:
    """Renames the complete transfer to `target`."""
    part = target.with_name(target.name + ".part")
    with open(part, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(part, target)
    _memory(part).unlink(missing_ok=True)


def discard(target: Path) -> None:
    """Forgets a transfer."""
    _forget(target.with_name(target.name + ".part"))


def check_name(name: str) -> None:
    """Refuses names that lead out of their folder.

    Raises:
        DataError: such a name.
    """
    parts = name.split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", part) for part in parts):
        raise DataError(f"{name[:100]!r} is no relative path of plain names", remedy="use the manifest unchanged")


def _copy(source: Path, part: Path, max_bytes: int, progress: Progress) -> Fetched:
    if not source.is_file():
        raise NotThereError("the mirror has no such file", where=source)
    size = source.stat().st_size
    if size > max_bytes:
        raise DataError(f"the file is too large ({size} bytes)", where=source, remedy="is this the right mirror?")
    with open(source, "rb") as reader, open(part, "wb") as writer:
        while block := reader.read(CHUNK_BYTES):
            writer.write(block)
            progress(len(block))
    if part.stat().st_size != size:
        raise DataError("the file changed while it was copied", where=source, remedy="run again")
    return Fetched(size, 0)


def _download(url: str, part: Path, max_bytes: int, progress: Progress) -> Fetched:
    already = part.stat().st_size if part.exists() else 0
    problem: Exception | None = None
    kind: type[DataError] = DataError
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(2**attempt, 8))
        try:
            size = _transfer(url, part, max_bytes, progress)
            return Fetched(size, min(already, size))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise NotThereError("the server has no such file", where=url) from error
            problem, kind = error, DataError
            if error.code not in (408, 416, 425, 429) and error.code < 500:
                break
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # our own disk, not the network
            problem, kind = error, UnreachableError
    reason = getattr(problem, "reason", None) or problem
    remedy = "check the connection and run again: it goes on where it stopped"
    raise kind(f"the download failed ({reason})", where=url, remedy=remedy) from problem


def _transfer(url: str, part: Path, max_bytes: int, progress: Progress) -> int:
    """One connection; appends to `part` where it is still the same file, and returns the file's size."""
    start, remembered = _resumable(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "glrg-tf"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (base_url allowed the scheme)
    try:
        response = _OPENER.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: what we have is not a beginning of this file
            _forget(part)
        raise
    with response:
        start, total = _extent(response, start)
        identity = _identity(response, total)
        if start and identity != remembered:
            _forget(part)
            raise http.client.HTTPException("the file has changed on the server; starting again")
        if total is not None and total > max_bytes:
            raise DataError(f"the file is too large ({total} bytes)", where=url, remedy="is this the right mirror?")
        if not start:
            atomic.write_json(_memory(part), {"identity": identity})
        with open(part, "ab" if start else "wb") as writer:
            for block in _blocks(response):
                writer.write(block)
                progress(len(block))
                if writer.tell() > max_bytes:
                    raise DataError("the file is too large", where=url, remedy="is this the right mirror?")
    size = part.stat().st_size
    if total is not None and size != total:
        raise http.client.HTTPException(f"the connection broke after {size} of {total} bytes")
    return size


def _blocks(response: Any) -> Iterator[bytes]:
    while block := response.read(CHUNK_BYTES):
        yield block


def _extent(response: Any, start: int) -> tuple[int, int | None]:
    """Where this response begins and how long the whole file is, None when the server does not say."""
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
        if found and int(found[1]) == start:
            return start, int(found[3])
        raise http.client.HTTPException("the server sent another range than was asked for")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _resumable(part: Path) -> tuple[int, list[Any]]:
    """Bytes at hand and the identity of the file they belong to; 0 when they cannot be relied on."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        identity = json.loads(_memory(part).read_text("utf-8"))["identity"]
        if isinstance(identity, list) and any(identity[:2]):
            return part.stat().st_size, identity
    return 0, []


def _identity(response: Any, total: int | None) -> list[Any]:
    # Weak ETags are not for If-Range, and GitHub's are weak: so the answer to the range is compared instead.
    return [response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), total]


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _memory(part: Path) -> Path:
    return part.with_name(part.name + ".json")


class _StayOnTheWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http(s), never from https down to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if new != "https" and not (old == new == "http"):
            raise urllib.error.URLError(f"a redirect from {old} to {new} was refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _StayOnTheWeb(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()
