"""Numbers for Prometheus: requests, waiting times, batches, queue, memory."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Monitor:
    """The metrics of one server, in a registry of their own.

    Args:
        model: name of the model in TF Serving's paths.
        waiting: how many videos wait for the network now.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, model: str, waiting: Callable[[], float]) -> None:
        self._model, self.registry = model, CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "glrg_requests", "Answers by route and status.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "glrg_request_seconds",
            "Time from headers to answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "glrg_batch_videos", "Videos in a batch of the network.", buckets=_ROWS, registry=self.registry
        )
        self._captions = Counter("glrg_videos", "Videos captioned, by source.", ["source"], registry=self.registry)
        self._stages = Histogram(
            "glrg_video_stage_seconds",
            "Time of the stages of a video.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.videos = Gauge("glrg_uploads", "Uploads in work or waiting.", registry=self.registry)
        Gauge("glrg_waiting_videos", "Videos waiting for the network.", registry=self.registry).set_function(waiting)
        self._ready = Gauge("glrg_ready", "1 when captions are given.", registry=self.registry)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        route = self._route(path)
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def observe_batch(self, rows: int) -> None:
        """Counts one batch of the network."""
        self._batch.observe(rows)

    def observe_captions(self, source: str, rows: int = 1) -> None:
        """Counts captioned videos; `source` is "features" or "video"."""
        self._captions.labels(source).inc(rows)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Counts the time of one stage of a video."""
        self._stages.labels(stage).observe(seconds)

    def set_ready(self, ready: bool) -> None:
        """Tells whether captions are given."""
        self._ready.set(ready)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _route(self, path: str) -> str:
        """A label from a small set, whatever paths clients make up."""
        if path in ("/", "/v1/caption", "/v1/info", "/healthz", "/readyz", "/metrics"):
            return path
        if path.startswith(f"/v1/models/{self._model}"):
            return "/v1/models:predict" if path.endswith(":predict") else "/v1/models"
        return "other"
