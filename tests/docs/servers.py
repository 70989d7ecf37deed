"""Servers that the pages' commands talk to, each in a process or thread of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence

from tests.docs import pages

PATIENCE = 120  # seconds until a server has warmed up


@contextlib.contextmanager
def serving(words: Sequence[str]) -> Iterator[int]:
    """Runs `glrg serve` with `words` (or "grpc" and a SavedModel: a stand-in for TF Serving); gives its port.

    Raises:
        RuntimeError: it never became ready, or ended badly.
    """
    if words[0] == "grpc":
        from tests.serving.stand_in import grpc_server

        with grpc_server(words[1]) as port:
            yield port
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "glrg_cli", "serve", *words, "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(pages.ROOT)}
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _await(server, port)
        yield port
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
        if code not in (0, 130):
            raise RuntimeError(f"the server ended with {code}")
    finally:
        server.kill()
        server.wait()


def _await(server: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    server.kill()
    raise RuntimeError(f"the server was never ready\n{server.communicate()[1][-1500:]}")
