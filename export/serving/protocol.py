"""HTTP/1.1 connections with limits that uvicorn does not set: headers in time, connections counted, JSON errors.

A client that sends its headers a letter at a time, opens connections and says nothing, does not read its answers, or
goes on sending a body that has been refused, is cut off. Until then it costs a socket and a timer.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from export.serving.settings import ServeSettings

_LINGER_S = 5.0  # seconds a client may go on sending after its answer, so that it gets to read that answer


def protocol_class(settings: ServeSettings) -> type[H11Protocol]:
    """The protocol for `uvicorn.Config(http=...)` under these settings."""

    class LimitedProtocol(_LimitedProtocol):
        limits = settings

    return LimitedProtocol


class _LimitedProtocol(H11Protocol):
    limits: ServeSettings
    _header_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.limits.max_connections:
            self._answer(503, "too many connections", ((b"retry-after", b"1"),))
            return
        self._arm_header_timer(self.limits.header_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._arm_header_timer(self.limits.header_timeout_s)  # keeps a timer that already runs

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._header_timer = _cancel(self._header_timer)
        if self.conn.their_state is not h11.SEND_BODY:
            self._linger_timer = _cancel(self._linger_timer)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._linger_timer = self.loop.call_later(_LINGER_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_timer, self._linger_timer = _cancel(self._header_timer), _cancel(self._linger_timer)
        self._reading_timer = _cancel(self._reading_timer)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self.limits.body_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._reading_timer = _cancel(self._reading_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._answer(400, msg.rstrip("."))

    def _arm_header_timer(self, seconds: float) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(seconds, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self._answer(408, "the request's headers did not arrive in time")

    def _answer(self, status: int, what: str, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Answers by itself, without the application, and closes."""
        body = json.dumps({"error": what}).encode()
        head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\n".encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [*extra, (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(head + lines + b"\r\n" + body)
        self.transport.close()


_PHRASES = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


def _cancel(timer: Any) -> None:
    if timer is not None:
        timer.cancel()
