"""The application: routes of TF Serving's REST interface, `/v1/caption` for people, health, metrics and the page."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from export.serving import predict
from export.serving.batcher import Batcher
from export.serving.body import read_body
from export.serving.caption import CaptionService
from export.serving.engine import Arrays, Engine
from export.serving.guard import Guard, answer
from export.serving.monitoring import Monitor
from export.serving.patience import while_connected
from export.serving.refusal import RequestError, refused
from export.serving.settings import ServeSettings
from export.serving.videos import VideoReader
from glrg_tf.errors import GlrgError

logger = logging.getLogger(__name__)
PAGE = Path(__file__).resolve().parents[1] / "demo"
_PAGE_FILES = {"/": "index.html"} | {f"/{name}": name for name in ("style.css", "show.js", "app.js", "favicon.svg")}
_LARGE = 2**18  # bytes of JSON worth a thread of their own
_MANY = 16  # videos whose answer is worth one
Given = TypeVar("Given")
Answer = TypeVar("Answer")
Handler = Callable[[Request], Awaitable[Response]]


class Application:
    """One server's state and handlers.

    Args:
        engine: what captions.
        settings: limits and names.
        videos: reads video files; None where the captioner has no encoders.
        warm_up: run in the network's thread before the server calls itself ready.
    """

    def __init__(
        self,
        engine: Engine,
        settings: ServeSettings,
        videos: VideoReader | None = None,
        warm_up: Callable[[], None] | None = None,
    ) -> None:
        self.engine, self.settings, self._warm_up = engine, settings, warm_up
        self.monitor = Monitor(settings.name, lambda: self.batcher.waiting_rows)
        self.batcher = Batcher(
            settings.max_batch, settings.max_wait_ms / 1000, settings.max_queue, self.monitor.observe_batch
        )
        self.captions = CaptionService(engine, settings, self.batcher, self.monitor, videos)
        self.ready, self.stopping = False, False
        self.failure: Exception | None = None  # what went wrong while warming up
        self._warming: asyncio.Task[None] | None = None

    def asgi(self) -> ASGIApp:
        """The application as uvicorn runs it."""
        model = f"/v1/models/{self.settings.name}"
        routes = [Route(model, self._status), Route(f"{model}/metadata", self._metadata)]
        for version in (f"{model}/versions/{{version}}", f"{model}/labels/{{label}}"):
            routes += [Route(f"{version}:predict", self._guarded(self._predict), methods=["POST"])]
            routes += [Route(version, self._status), Route(f"{version}/metadata", self._metadata)]
        routes += [
            Route(f"{model}:predict", self._guarded(self._predict), methods=["POST"]),
            Route("/v1/caption", self._guarded(self.captions.handle), methods=["POST"]),
            Route("/v1/info", self._info),
            Route("/healthz", self._healthy),
            Route("/readyz", self._readiness),
            Route("/metrics", self._metrics),
            Route("/monitoring/prometheus/metrics", self._metrics),
        ]
        if self.settings.page:
            routes += [Route(path, functools.partial(_file, name)) for path, name in _PAGE_FILES.items()]
        handlers = {HTTPException: _plain_error, RequestError: _request_error}
        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        app.router.redirect_slashes = False  # a wrong path is an error, not another place to look
        return Guard(app, self.settings, self.monitor.observe_request)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.batcher.start()
        self._warming = asyncio.create_task(self._become_ready())
        try:
            yield
        finally:
            self.stopping, self.ready = True, False
            await asyncio.gather(self._warming, return_exceptions=True)
            await self.captions.close()
            await self.batcher.close()

    async def _become_ready(self) -> None:
        if self._warm_up is not None:
            try:
                await self.batcher.run_alone(self._warm_up)
            except Exception as error:
                self.failure = error
                return
        self.ready = not self.stopping
        self.monitor.set_ready(True)

    # === TF Serving's interface ===
    async def _predict(self, request: Request) -> Response:
        self._check_version(request)
        self.batcher.refuse_if_full()
        body = await read_body(request, self.settings.max_json_bytes, self.settings.body_timeout_s)
        call = await _aside(len(body) > _LARGE, self._understand, body)
        key = (call.signature, *((name, array.shape[1:]) for name, array in call.inputs.items()))
        run: Callable[[Arrays], Arrays] = functools.partial(self.engine.run, call.signature)
        work = self.batcher.submit(key, run, call.inputs)
        outputs = await while_connected(request, work, self.settings.request_timeout_s)
        rows = len(next(iter(outputs.values())))
        self.monitor.observe_captions("features" if "features" in call.inputs else "frames", rows)
        return await _aside(rows > _MANY, lambda outputs: _predicted(outputs, call.by_row), outputs)

    def _understand(self, body: bytes) -> predict.Call:
        return predict.parse_call(predict.parse_json(body), self.engine.signatures)

    async def _status(self, request: Request) -> Response:
        self._check_version(request)
        state = "UNLOADING" if self.stopping else "AVAILABLE" if self.ready else "LOADING"
        return JSONResponse(predict.status(self.settings.version, state))

    async def _metadata(self, request: Request) -> Response:
        self._check_version(request)
        return JSONResponse(predict.metadata(self.settings.name, self.settings.version, self.engine.signatures))

    def _check_version(self, request: Request) -> None:
        asked = request.path_params.get("version")
        if "label" in request.path_params or asked not in (None, str(self.settings.version)):
            wanted = asked or request.path_params["label"]
            raise RequestError(404, f"Servable not found for request: Specific({self.settings.name}, {wanted[:40]})")

    # === Health, numbers, page ===
    async def _info(self, request: Request) -> Response:
        return JSONResponse(self.captions.info())

    async def _healthy(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readiness(self, request: Request) -> Response:
        if self.ready:
            return JSONResponse({"status": "ready"})
        raise RequestError(503, "stopping" if self.stopping else "warming up", retry_after_s=2)

    async def _metrics(self, request: Request) -> Response:
        return Response(self.monitor.text(), media_type=self.monitor.content_type)

    # === Around the handlers that work ===
    def _guarded(self, handler: Handler) -> Handler:
        """Turns refusals into answers, and gives up what a client no longer waits for."""

        async def handle(request: Request) -> Response:
            if self.stopping:
                return answer(RequestError(503, "the server is stopping", retry_after_s=5))
            try:
                return await handler(request)
            except RequestError as error:
                return answer(error)
            except GlrgError as error:
                return answer(refused(error))
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it; the number is for the metrics
            except Exception as error:  # one request's failure is not the server's
                return await _unexpected(request, error)

        return handle


async def _aside(large: bool, function: Callable[[Given], Answer], value: Given) -> Answer:
    """Runs what takes long for large requests in a thread, so that other clients do not wait."""
    return await asyncio.to_thread(function, value) if large else function(value)


def _predicted(outputs: Arrays, by_row: bool) -> Response:
    return JSONResponse(predict.format_outputs(outputs, by_row))


async def _file(name: str, request: Request) -> Response:
    return FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})


async def _plain_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    texts = {404: f"nothing is served at {request.url.path[:80]}", 405: f"{request.method} is not understood here"}
    response = answer(RequestError(status, texts.get(status, str(getattr(error, "detail", error))[:200])))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def _request_error(request: Request, error: Exception) -> Response:
    return answer(error if isinstance(error, RequestError) else RequestError(500, "unexpected failure"))


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(RequestError(500, "unexpected failure in the server"))
