"""Signals: what is in work is finished, nothing new is taken, and the exit code says how the server was stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.serving.live import WIDTH

SERVER = """
import sys, threading, time
from tests.serving.live import PlainEngine
from export.serving.app import Application
from export.serving.server import open_socket, serve
from export.serving.settings import ServeSettings
class Slow(PlainEngine):
    def run(self, signature, inputs):
        time.sleep(0.6)
        return super().run(signature, inputs)
def warm_up():
    if sys.argv[1:] == ["broken"]:
        raise OSError("no network today")
settings = ServeSettings(port=0)
listening = open_socket(settings)
started = lambda: print(listening.getsockname()[1], flush=True)
sys.exit(serve(Application(Slow(), settings, warm_up=warm_up), listening, started))
"""


def start(repository, *arguments: str) -> tuple[subprocess.Popen, int]:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=repository,
    )
    return process, int(process.stdout.readline())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 130)])
def test_a_signal_finishes_what_is_in_work(repository, number, code):
    process, port = start(repository)
    answers = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/v1/models/captioner:predict", json.dumps({"instances": [[1] * WIDTH]}))
        response = connection.getresponse()
        answers.append((response.status, json.loads(response.read())))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    time.sleep(0.3)
    process.send_signal(number)
    for client in clients:
        client.join()
    assert process.wait(10) == code, process.stderr.read()
    assert [status for status, _ in answers] == [200] * 3
    assert answers[0][1]["predictions"][0]["caption"] == "a sum of 5"
    with pytest.raises(ConnectionRefusedError):
        ask()


def test_a_server_that_cannot_warm_up_ends(repository):
    process, _ = start(repository, "broken")
    assert process.wait(10) == 1
    assert "no network today" in process.stderr.read()


def test_the_command_serves_a_captioner_and_stops(repository, tmp_path):
    from tests.captioner.conftest import build

    build().save_to_preset(tmp_path / "captioner")
    command = [sys.executable, "-m", "glrg_cli", "serve", str(tmp_path / "captioner"), "--port", "0", "--json"]
    environment = {**os.environ, "GLRG_SERVE_TOKEN": "correct-horse-battery-staple"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository, env=environment
    ) as process:
        try:
            port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            body, path = json.dumps({"instances": [[0.5] * 9]}), "/v1/models/captioner:predict"
            connection.request("POST", path, body)
            refused = connection.getresponse()
            assert refused.status == 401 and refused.read()
            connection.request("POST", path, body, {"Authorization": "Bearer correct-horse-battery-staple"})
            assert "caption" in json.loads(connection.getresponse().read())["predictions"][0]
        finally:
            process.terminate()
        assert process.wait(20) == 0
        said = process.stderr.read()
        assert "stopped" in said and "battery" not in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["no/such/captioner", "--port", "0"], 5),
        (["x", "--port", "99999"], 2),
        (["x", "--host", "no.such.host.invalid"], 2),
        (["x", "--token-file", "no-such-file"], 4),
        (["x", "--timeout", "0"], 2),
        (["x", "--name", "a/b"], 2),
    ],
)
def test_bad_usage_is_told(words, code, capsys):
    from glrg_cli.main import main

    assert main(["serve", *words]) == code
    assert "error:" in capsys.readouterr().err
