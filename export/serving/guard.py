"""What every request passes first: who may ask, how much, how long; and what every answer carries.

- The `Host` header must name this server: otherwise a web page could reach a server on its visitor's own machine by
  pointing its own name at 127.0.0.1 (DNS rebinding).
- Requests that a page of another origin makes a browser send are refused, and no CORS header is ever given.
- With a token, everything but the page and the health checks needs `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from export.serving.refusal import RequestError
from export.serving.settings import ServeSettings, is_loopback

logger = logging.getLogger(__name__)

# Scripts, styles and requests only from this server; pictures and videos also from the page's own memory.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_NEEDS_TOKEN = ("/v1/", "/metrics", "/monitoring/")

Observe = Callable[[str, int, float], None]  # path, status, seconds


class Guard:
    """ASGI middleware around the application.

    Args:
        app: what is guarded.
        settings: who may ask.
        observe: told path, status and seconds of every answer.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, observe: Observe) -> None:
        self._app, self._settings, self._observe = app, settings, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets the application do it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        started, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._admit(scope)
        except RequestError as error:
            await answer(error)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._observe(scope["path"], status, time.perf_counter() - started)

    def _admit(self, scope: Scope) -> None:
        """Raises RequestError for a request that may not pass."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(_host_name(hosts[0])):
            raise RequestError(403, "the Host header does not name this server", remedy="--allow-host NAME allows it")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            raise RequestError(403, "requests from pages of other origins are refused")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and scope["path"].startswith("/v1/"):
            raise RequestError(403, "requests from pages of other origins are refused")
        if self._settings.token is not None and scope["path"].startswith(_NEEDS_TOKEN):
            given = headers.get("authorization", "")
            expected = f"Bearer {self._settings.token}"
            # Constant time: how long the answer takes must not tell how much of a guess was right.
            if not hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode()):
                raise RequestError(401, "this server wants a token", remedy="send Authorization: Bearer TOKEN")

    def _is_ours(self, name: str) -> bool:
        allowed = self._settings.allowed_hosts
        if "*" in allowed or name in {host.lower() for host in allowed}:
            return True
        # Listening on a network address, the names of this machine are its owner's affair unless they are listed.
        return is_loopback(name) or (not self._settings.loopback and not allowed)


def answer(error: RequestError) -> JSONResponse:
    """The response that tells an error."""
    return JSONResponse(error.document(), error.status, error.headers())


def _host_name(header: str) -> str:
    """The name of a Host header without its port, in lower case."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
