"""Clients that send too much, too slowly, nonsense, or nothing at all; and clients that go away."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import time

import pytest

from tests.serving.live import WIDTH, LiveServer, PlainReader, form, until
from tests.serving.malformed import PREDICT, malformed


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


@pytest.fixture(scope="module")
def strict():
    """A server with small limits."""
    limits = {"max_json_bytes": 2000, "max_upload_bytes": 3000, "body_timeout_s": 0.3, "header_timeout_s": 0.3}
    with LiveServer(videos=PlainReader(), max_connections=20, **limits) as live:
        yield live


def test_two_hundred_malformed_requests_get_a_json_error_and_never_5xx(server):
    answers = [server.ask("POST", path, body, headers) for path, body, headers in malformed(random.Random(1), WIDTH)]
    assert len(answers) >= 200
    for answer in answers:
        assert 400 <= answer.status < 500, answer
        assert answer.error
    assert server.predict([0] * WIDTH).status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ]
    + [
        head("GET", "/", "Bad Header: x"),
        head("POST", PREDICT, "Content-Length: -1"),
        head("GET", "/", "X: " + "y" * 400000),
    ]
    + [head("POST", PREDICT, "Transfer-Encoding: chunked") + b"zz\r\n", head("POST", PREDICT, "Content-Length: 1, 2")],
)
def test_what_is_not_http_gets_a_json_error_too(server, data):
    answer = server.raw(data, seconds=0.5)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2])


def test_bodies_that_are_too_large_are_refused_before_and_while_they_stream(strict):
    assert strict.predict([0] * WIDTH).status == 200
    large = b"x" * 5000
    for path, limit in ((PREDICT, 2000), ("/v1/caption", 3000)):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        stated = strict.ask("POST", path, large, headers)
        assert stated.status == 413 and str(limit) in stated.error
        opening = b'--b\r\nContent-Disposition: form-data; name="video"; filename="x"\r\n\r\n'
        chunk = b"%x\r\n%s\r\n" % (len(opening), opening) + b"400\r\n" + b"x" * 1024 + b"\r\n"
        lines = ("Transfer-Encoding: chunked", "Content-Type: multipart/form-data; boundary=b", "Connection: close")
        answer = strict.raw(head("POST", path, *lines) + chunk + b"400\r\n" + (b"x" * 1024 + b"\r\n400\r\n") * 9)
        assert answer.startswith(b"HTTP/1.1 413"), answer


def test_a_client_that_goes_on_sending_after_the_refusal_can_read_it(strict):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as connection:
        connection.sendall(
            head("POST", "/v1/caption", "Content-Length: 3000000", "Content-Type: multipart/form-data; boundary=b")
        )
        for _ in range(46):
            connection.sendall(b"x" * 65536)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "data",
    [
        b"",  # says nothing
        b"POST ",
        head("POST", PREDICT, "X: 1")[:-2],  # headers that never end
        head("POST", PREDICT, "Content-Length: 9") + b"12",
        head("POST", "/v1/caption", "Content-Length: 9", "Content-Type: multipart/form-data; boundary=b") + b"--b",
        head("POST", PREDICT, "Transfer-Encoding: chunked") + b"2\r\n12\r\n",
    ],
)
def test_slow_clients_are_cut_off_in_time(strict, data):
    started = time.monotonic()
    answer = strict.raw(data + (b"Connection: close\r\n" if b"X: 1" in data else b""), seconds=1.5)
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert time.monotonic() - started < 3


def test_a_client_that_does_not_read_its_answers_is_cut_off(strict):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as connection:
        connection.sendall(head("GET", "/app.js") * 1500)  # far more than the buffers of both sides hold
        until(lambda: strict.open_connections == 1)
        until(lambda: strict.open_connections == 0)


def test_too_many_connections_are_told_so_and_places_are_given_back(strict):
    held = [socket.create_connection(("127.0.0.1", strict.port), timeout=5) for _ in range(20)]
    until(lambda: strict.open_connections == 20)
    answer = strict.raw(b"")
    assert answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer
    for connection in held:
        connection.close()
    until(lambda: strict.open_connections == 0)
    assert strict.predict([0] * WIDTH).status == 200


def test_killed_clients_leave_nothing():
    """Clients reset their connections in the middle of headers, body, upload and waiting."""
    with LiveServer(videos=PlainReader()) as server:
        server.engine.go_on.clear()
        descriptors, uploads = len(os.listdir("/proc/self/fd")), upload_folders()
        body = json.dumps({"instances": [[0] * WIDTH]}).encode()
        whole = head("POST", PREDICT, f"Content-Length: {len(body)}") + body
        video, _ = form(b"x" * 100000)
        upload = head(
            "POST", "/v1/caption", f"Content-Length: {len(video)}", "Content-Type: multipart/form-data; boundary=b"
        )
        for data in [whole[:20], whole[:-5], whole, upload + video[:50000], upload + video] * 8:
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(data)
            time.sleep(0.005)
            # A reset instead of a farewell: what the peer of a killed process sees.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        until(lambda: server.open_connections == 0)
        until(lambda: server.application.batcher.waiting_rows == 0)
        server.engine.go_on.set()
        until(lambda: not server.server.server_state.tasks)
        assert server.predict([0] * WIDTH).status == 200
        until(lambda: server.open_connections == 0)
        assert upload_folders() == uploads
        until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
        assert "glrg_uploads 0.0" in server.ask("GET", "/metrics").body.decode()


def upload_folders() -> set[str]:
    import tempfile

    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("glrg-upload-")}
