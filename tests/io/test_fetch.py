"""Fetching files: whole or not at all, resumed where it broke, from nowhere but http(s) and file://."""

from __future__ import annotations

import http.server
import threading

import pytest

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
LIMIT = 1 << 24


class Server(http.server.ThreadingHTTPServer):
    """Serves BODY at every path, as badly as it is told to.

    Attributes:
        break_after: bytes after which each of the next `breaks` answers breaks off.
        fail: status codes to answer with first.
        ranges: whether ranges are honoured.
        etag: the file's identity, None for none.
        requests: the Range headers that came.
    """

    break_after, breaks, ranges, etag, length = 0, 0, True, 'W/"1"', True
    body = BODY
    location = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str | None] = []
        self.fail: list[int] = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if self.path.endswith("missing"):
            return self.send_error(404)
        if server.fail:
            return self.send_error(server.fail.pop(0))
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = int(self.headers["Range"][6:-1]) if server.ranges and self.headers["Range"] else 0
        if start and start >= len(server.body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        if server.length:
            self.send_header("Content-Length", str(len(server.body) - start))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Connection", "close")
        self.end_headers()
        rest = server.body[start:]
        if server.breaks:
            server.breaks -= 1
            rest = rest[: server.break_after]
        self.wfile.write(rest)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "*")
    served = Server()
    threading.Thread(target=served.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{served.server_address[1]}/folder"
    yield served
    served.shutdown()
    served.server_close()


def _fetch(server, target, limit=LIMIT):
    got = fetch.fetch(fetch.base_url(server.url), "a/file.h5", target, max_bytes=limit)
    fetch.finish(target)
    return got


def test_whole(server, tmp_path):
    moved = []
    target = tmp_path / "deep/file.h5"
    got = fetch.fetch(server.url, "a/file.h5", target, max_bytes=LIMIT, progress=moved.append)
    assert not target.exists() and got.bytes == sum(moved) == len(BODY)
    fetch.finish(target)
    assert target.read_bytes() == BODY and [p.name for p in target.parent.iterdir()] == ["file.h5"]


def test_goes_on_after_broken_connections(server, tmp_path):
    server.break_after, server.breaks = 300_000, 3
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.requests == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_goes_on_in_a_later_run(server, tmp_path):
    server.break_after, server.breaks = 100_000, fetch.ATTEMPTS
    with pytest.raises(fetch.UnreachableError, match="broke"):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)
    assert (tmp_path / "f.part").stat().st_size == 400_000 and not (tmp_path / "f").exists()
    server.requests.clear()
    assert _fetch(server, tmp_path / "f").resumed == 400_000
    assert server.requests == ["bytes=400000-"] and (tmp_path / "f").read_bytes() == BODY


def test_starts_again_when_the_file_has_changed(server, tmp_path):
    server.break_after, server.breaks = 100_000, fetch.ATTEMPTS
    with pytest.raises(DataError):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)
    server.etag, server.body = 'W/"2"', BODY[::-1]
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY[::-1]


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": None}])
def test_starts_again_where_the_server_cannot_go_on(server, tmp_path, change):
    for name, value in change.items():
        setattr(server, name, value)
    server.break_after, server.breaks = 100_000, 1
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_part_longer_than_the_file(server, tmp_path):
    server.break_after, server.breaks = 100_000, fetch.ATTEMPTS
    with pytest.raises(DataError):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)
    (tmp_path / "f.part").write_bytes(BODY * 2)
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_damaged_memory_is_not_relied_on(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"other")
    (tmp_path / "f.part.json").write_text("{]", "utf-8")
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_passing_faults(server, tmp_path):
    server.fail = [503, 429, 500]
    _fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_lasting_faults(server, tmp_path):
    server.fail = [403] * 9
    with pytest.raises(DataError, match="Forbidden") as caught:
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)
    assert len(server.requests) == 1 and not isinstance(caught.value, fetch.UnreachableError)
    with pytest.raises(fetch.NotThereError):
        fetch.fetch(server.url, "missing", tmp_path / "f", max_bytes=LIMIT)


def test_nobody_there(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(fetch.UnreachableError, match="refused"):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)


@pytest.mark.parametrize("length", [True, False])
def test_endless_files(server, tmp_path, length):
    server.length = length
    with pytest.raises(DataError, match="too large"):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=1000)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/file"])
def test_redirects_stay_on_the_web(server, tmp_path, location):
    server.location = location
    with pytest.raises(DataError):
        fetch.fetch(server.url, "f", tmp_path / "f", max_bytes=LIMIT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["../f", "a/../../f", "/etc/passwd", "a//f", "", ".", "a\\f", "C:/f", "a/.hidden", "a?b", "a\nb"]
)
def test_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(DataError):
        fetch.fetch(tmp_path.as_uri(), name, tmp_path / "out", max_bytes=LIMIT)


@pytest.mark.parametrize(
    "text", ["ftp://host/x", "data:,x", "javascript:x", "nowhere", "http://", "https://h/x?y=1", "file://host/x", ""]
)
def test_addresses_that_are_none(text):
    with pytest.raises(ConfigError):
        fetch.base_url(text)


def test_folders_of_this_machine(tmp_path):
    (tmp_path / "with blank").mkdir()
    (tmp_path / "with blank/f").write_bytes(b"hello")
    for base in (str(tmp_path / "with blank"), (tmp_path / "with blank").as_uri() + "/"):
        fetch.fetch(fetch.base_url(base), "f", tmp_path / "out", max_bytes=10)
        fetch.finish(tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"hello"
    with pytest.raises(fetch.NotThereError):
        fetch.fetch(fetch.base_url(base), "g", tmp_path / "out", max_bytes=10)
    with pytest.raises(DataError, match="too large"):
        fetch.fetch(fetch.base_url(base), "f", tmp_path / "out2", max_bytes=4)
    with pytest.raises(ConfigError):
        fetch.base_url((tmp_path / "nothing").as_uri())
