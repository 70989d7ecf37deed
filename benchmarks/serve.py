"""`glrg bench serve`: a server under load, over its limits, and in bad company.

One server process captions features over HTTP; this process asks. Rows:
  serve_1, serve_8, serve_32   that many clients, each asking again as soon as it has its answer
  serve_overload               32 clients, room for 8 videos to wait: refused at once, and well again afterwards
  serve_malformed              200 requests that are wrong in many ways
  serve_killed                 client processes killed (SIGKILL) in the middle

Every caption is compared with what `VideoCaptioner.generate` gives for the same features, offline.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite import ROOT
from export.serving.clients import load_generator
from glrg_tf.errors import GlrgError

CLIENTS = (1, 8, 32)
SMALL_QUEUE = 8  # videos that may wait at the overloaded server
_STARTING_S = 180
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that is asked: where it listens, and its process."""

    url: str
    pid: int

    def resident_mb(self) -> float:
        """Memory of the process now, MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise GlrgError("the server has ended", where=self.url)

    def descriptors(self) -> int:
        """Open files and sockets of the process now."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def metric(self, name: str) -> float:
        """A number of `/metrics`."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=20) as response:  # noqa: S310
            lines = response.read().decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))


@dataclasses.dataclass(frozen=True)
class Work:
    """What is asked, and what the answers must be."""

    bodies: tuple[bytes, ...]  # requests for one video each
    texts: tuple[str, ...]  # their captions, offline
    offline_s: float  # seconds a video takes offline, in batches
    width: int  # D
    vocabulary: int = 0  # V

    def check(self, number: int, answer: bytes) -> bool:
        """Whether an answer has the offline caption."""
        return bool(json.loads(answer)["predictions"][0]["caption"] == self.texts[number])


def prepare(captioner: Any, features: np.ndarray) -> Work:
    """Requests for the rows of features (N, D), and their captions offline."""
    captioner.generate(features)  # traces
    started = time.perf_counter()
    found = captioner.generate(features)
    spent = (time.perf_counter() - started) / len(features)
    bodies = tuple(json.dumps({"instances": [{"features": row}]}).encode() for row in features.tolist())
    texts = tuple(captions[0].text for captions in found)
    return Work(bodies, texts, spent, features.shape[1], len(captioner.vocabulary))


@contextlib.contextmanager
def running(captioner: Path, *options: str) -> Iterator[Server]:
    """`glrg serve` in a process of its own, ready; ended politely afterwards."""
    command = [
        sys.executable,
        "-m",
        "glrg_cli",
        "serve",
        str(captioner),
        "--port",
        "0",
        "--no-page",
        "--json",
        *options,
    ]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=ROOT
    ) as process:
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
            if not line:
                raise GlrgError(f"the server did not start: {process.stderr.read().decode()[-300:]}")  # type: ignore[union-attr]
            server = Server(json.loads(line)["url"], process.pid)
            _wait_for(lambda: _is_ready(server.url), _STARTING_S)
            yield server
        finally:
            process.terminate()
    if process.returncode:
        raise GlrgError(f"the server ended with exit code {process.returncode}")


# === Rows ===
def under_load(server: Server, work: Work, requests: int, clients: int, memory: list[float]) -> Row:
    """One level of load; the server's memory is appended to `memory` as it goes."""
    load = load_generator.run(
        server.url,
        work.bodies,
        requests,
        clients,
        check=work.check,
        progress=lambda count: memory.append(server.resident_mb()),
    )
    return {
        "name": f"serve_{clients}",
        "batch": clients,
        "requests": requests,
        **_outcome(load),
        "ours_s": load.seconds / requests,
        "requests_per_s": requests / load.seconds,
        "latency_s": {name: load.percentile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        "floor_s": work.offline_s,
        "fraction_of_floor": work.offline_s * requests / load.seconds,
    }


def overloaded(server: Server, work: Work, requests: int) -> Row:
    """More than the limits allow, then a load within them."""
    load = load_generator.run(server.url, work.bodies, requests, 32, check=work.check)
    after = load_generator.run(server.url, work.bodies, max(100, requests // 10), 2, check=work.check)
    refused = sorted(load.refusals)
    return {
        "name": "serve_overload",
        "batch": 32,
        "requests": requests,
        **_outcome(load),
        "ours_s": load.seconds / requests,
        "refused": len(refused),
        "refusal_s": {"p50": refused[len(refused) // 2], "max": refused[-1]} if refused else None,
        "latency_s": {"p99": load.percentile(0.99)},
        "errors_afterwards": sum(after.statuses.values()) - after.statuses[200] + after.wrong,
    }


def malformed(server: Server, work: Work) -> Row:
    """Requests that are wrong, each answered by 4xx and a JSON error."""
    import http.client
    from urllib.parse import urlsplit

    from tests.serving import malformed as wrong

    bad: list[str] = []
    requests = wrong.malformed(random.Random(1), work.width)  # noqa: S311
    for path, body, headers in requests:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if not 400 <= response.status < 500 or "error" not in json.loads(answer):
            bad.append(f"{response.status} for {body[:60]!r}")
    after = load_generator.run(server.url, work.bodies, 50, 2, check=work.check)
    return {
        "name": "serve_malformed",
        "batch": 1,
        "requests": len(requests),
        "errors": len(bad) + 50 - after.statuses[200],
        "bad": bad[:5],
    }


def killed(server: Server, work: Work, clients: int = 8) -> Row:
    """Client processes killed in the middle of their work; what they leave behind."""
    before, memory = _at_rest(server), server.resident_mb()
    with tempfile.TemporaryDirectory(prefix="glrg-bench-") as folder:
        file = Path(folder) / "features.json"
        file.write_text(json.dumps([json.loads(body)["instances"][0]["features"] for body in work.bodies[:16]]))
        command = [sys.executable, load_generator.__file__, str(file), "--url", server.url]
        children = [
            subprocess.Popen([*command, "--requests", "100000", "--clients", "4"], stdout=subprocess.DEVNULL)
            for _ in range(clients)
        ]
        with contextlib.suppress(GlrgError):  # until all of them are connected
            _wait_for(lambda: server.descriptors() >= before + 4 * clients, 20)
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()
    started = time.perf_counter()
    with contextlib.suppress(GlrgError):
        _wait_for(lambda: server.descriptors() <= before and server.metric("glrg_waiting_videos") == 0, 20)
    after = load_generator.run(server.url, work.bodies, 50, 2, check=work.check)
    _wait_for(lambda: server.descriptors() <= before, 20)
    return {
        "name": "serve_killed",
        "batch": 4 * clients,
        "requests": clients,
        "errors": 50 - after.statuses[200] + after.wrong,
        "left_descriptors": server.descriptors() - before,
        "clean_after_s": time.perf_counter() - started,
        "memory_growth": server.resident_mb() / memory - 1,
    }


def second_half_growth(memory: Sequence[float]) -> float | None:
    """Growth of memory over the second half of a run, as a share; None for a run too short to tell."""
    if len(memory) < 20:
        return None
    tail = max(1, len(memory) // 20)  # the mean of a twentieth, not one reading
    half = float(np.mean(memory[len(memory) // 2 : len(memory) // 2 + tail]))
    return float(np.mean(memory[-tail:])) / half - 1


def run(captioner: str | None, vocabulary: int, requests: int, videos: int, report: Callable[[str], None]) -> list[Row]:
    """All rows.

    Args:
        captioner: what is served; None makes one of the benchmarks' material.
        vocabulary: its words, where it is made.
        requests: at each level of load.
        videos: different ones that are asked for.
        report: told what is going on.

    Raises:
        GlrgError: a server did not start, or has died.
    """
    with tempfile.TemporaryDirectory(prefix="glrg-bench-") as scratch:
        report("preparing captioner, videos and their captions offline")
        folder, work = _material(captioner, vocabulary, videos, Path(scratch))
        rows: list[Row] = []
        memory: list[float] = []
        with running(folder) as server:
            for clients in CLIENTS:
                report(f"{requests} requests of {clients} clients")
                rows.append(under_load(server, work, requests, clients, memory))
            growth = second_half_growth(memory)
            report("malformed requests, killed clients")
            rows += [malformed(server, work), killed(server, work)]
            measured = {"memory_growth_second_half": growth, "peak_rss_mb": max(memory, default=server.resident_mb())}
            measured["memory_mb"] = memory[:: max(1, len(memory) // 24)]
            for row in rows:
                row |= measured
        report(f"overload: room for {SMALL_QUEUE} videos")
        with running(folder, "--max-queue", str(SMALL_QUEUE), "--max-batch", "4") as server:
            rows.append(overloaded(server, work, max(200, requests // 4)))
    common = {
        "vocabulary": work.vocabulary,
        "reference_s": None,
        "ratio": None,
        "floor_s": None,
        "fraction_of_floor": None,
    }
    return [{**common, "ours_s": None, **row} for row in rows]


def _material(captioner: str | None, vocabulary: int, videos: int, scratch: Path) -> tuple[Path, Work]:
    from benchmarks import material as materials
    from benchmarks.decode import make_captioner
    from benchmarks.prepare import short_training
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.locate import resolve

    data = materials.find(vocabulary)
    features = np.asarray(data.features[data.rows(min(videos, len(data.features)))], np.float32)
    if captioner is not None:
        held = VideoCaptioner.from_preset(captioner)
        if held.config.feature_size != features.shape[1]:
            features = np.random.default_rng(0).random((videos, held.config.feature_size), np.float32)
        return resolve(captioner), prepare(held, features)
    if data.weights is None:
        data = dataclasses.replace(data, weights=short_training(data))
    made = make_captioner(data)
    made.save_to_preset(scratch / "captioner")
    return scratch / "captioner", prepare(made, features)


def _outcome(load: load_generator.Load) -> Row:
    refused = load.statuses[429] + load.statuses[503]
    return {
        "errors": sum(load.statuses.values()) - load.statuses[200] - refused,
        "refused": refused,
        "wrong": load.wrong,
        "statuses": {str(status): count for status, count in load.statuses.items()},
    }


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:  # noqa: S310
        return bool(response.status == 200)
    return False


def _at_rest(server: Server) -> int:
    """Descriptors when connections that were just left have been closed: two readings that agree."""
    count = -1
    while count != (count := server.descriptors()):
        time.sleep(0.3)
    return count


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise GlrgError("the server did not come to rest")
        time.sleep(0.05)
