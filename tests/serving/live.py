"""A server in a thread, in front of an engine that needs no TensorFlow, and a plain client for it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import threading
import time
from typing import Any

import numpy as np

from export.serving.app import Application
from export.serving.predict import Signature, TensorSpec
from export.serving.server import Server, open_socket
from export.serving.settings import ServeSettings
from export.serving.videos import ReadVideo
from glrg_tf.errors import VideoError

WIDTH = 5
STREAMS = (("long_range", 3), ("keyframe", 2))


class PlainEngine:
    """Says of a video what its features add up to; can be held up to fill the queue."""

    streams = STREAMS

    def __init__(self) -> None:
        features = (TensorSpec("features", "DT_FLOAT", (None, WIDTH)),)
        best = (TensorSpec("caption", "DT_STRING", (None,)), TensorSpec("score", "DT_FLOAT", (None,)))
        beam = (
            TensorSpec("captions", "DT_STRING", (None, 2)),
            TensorSpec("scores", "DT_FLOAT", (None, 2)),
            TensorSpec("token_ids", "DT_INT32", (None, 2, 3)),
        )
        self.signatures = {
            "serving_default": Signature(features, best),
            "beam": Signature(features, beam),
            "explain": Signature((*features, TensorSpec("sentence", "DT_STRING", (None,))), best[:1]),
        }
        self.batches: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.working = threading.Event()

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        features = inputs["features"]
        self.batches.append(len(features))
        self.working.set()
        if not self.go_on.wait(20):
            raise RuntimeError("held up for too long")
        if (features == 666).any():
            raise RuntimeError("a secret of the server")
        texts = [saying(row) for row in features]
        if signature == "explain":
            return {
                "caption": np.array([b"%s: %s" % pair for pair in zip(inputs["sentence"], texts, strict=True)], object)
            }
        scores = -features.sum(axis=1)
        if signature == "serving_default":
            return {"caption": np.array(texts, object), "score": scores}
        return {
            "captions": np.array([[text, b"or " + text] for text in texts], object),
            "scores": np.stack([scores, scores - 1], axis=1),
            "token_ids": np.tile(np.array([[3, 4, 0], [3, 0, 0]], np.int32), (len(texts), 1, 1)),
        }


def saying(features: Any) -> bytes:
    return b"a sum of %d" % round(float(np.sum(features)))


class PlainReader:
    """Takes the bytes of a file for features; refuses files that begin with "bad"."""

    labels = {"long_range": ("man", "dog", "guitar"), "keyframe": ("stage",)}

    async def read(self, path, seconds):
        data = path.read_bytes()
        if data.startswith(b"bad"):
            raise VideoError("not a video", where=path, remedy="send another file")
        features = np.frombuffer(data[:WIDTH], np.uint8).astype(np.float32)
        return ReadVideo(features, {"frames": len(data)}, {"decode": 0.001, "encode": 0.002})

    async def close(self):
        pass


class LiveServer:
    """A server on a free port, and requests to it."""

    def __init__(self, engine=None, videos=None, **settings: Any) -> None:
        self.settings = dataclasses.replace(ServeSettings(port=0), **settings)
        self.engine = engine or PlainEngine()
        self.application = Application(self.engine, self.settings, videos)
        self._listening = open_socket(self.settings)
        self.port = self._listening.getsockname()[1]
        self.server = Server(self.application)
        self._thread = threading.Thread(target=self.server.run, args=([self._listening],), daemon=True)

    def __enter__(self) -> LiveServer:
        self._thread.start()
        until(lambda: self.application.ready)
        return self

    def __exit__(self, *error: object) -> None:
        getattr(self.engine, "go_on", threading.Event()).set()
        self.stop()

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(20)
        self._listening.close()
        assert not self._thread.is_alive()

    @property
    def open_connections(self) -> int:
        return len(self.server.server_state.connections)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own; a dict travels as JSON."""
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def predict(self, *rows: Any, **more: Any) -> Answer:
        return self.ask("POST", "/v1/models/captioner:predict", {"instances": list(rows), **more})

    def raw(self, data: bytes, seconds: float = 5.0) -> bytes:
        """What comes back for bytes that need not be HTTP."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := connection.recv(65536):
                    answer += piece
            return answer


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert self.headers["content-type"].startswith("application/json")
        return self.json["error"]


def until(condition, seconds: float = 10.0) -> None:
    """Waits for `condition`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def form(data: bytes, field: str = "video", **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="../../x.mp4"\r\n\r\n'.encode()
    return b"".join(parts) + head + data + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}
