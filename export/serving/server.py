"""Runs the application: opens the port, serves until it is told to stop, then finishes what is in work."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn

from export.serving.app import Application
from export.serving.protocol import protocol_class
from export.serving.settings import ServeSettings
from glrg_tf.errors import ConfigError

EXIT_DONE = 0
EXIT_INTERRUPTED = 130


def open_socket(settings: ServeSettings) -> socket.socket:
    """A listening socket; opened before the captioner is loaded, so that a taken port is told at once.

    Raises:
        ConfigError: the address is taken, unknown or not ours to take.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        # With the protocol named, asyncio sends small answers at once (TCP_NODELAY); without it they wait 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigError(
            f"no such address ({error.strerror})", where=settings.host, remedy="--host 127.0.0.1"
        ) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        listening.close()
        what = f"cannot listen there ({getattr(error, 'strerror', None) or error})"
        raise ConfigError(what, where=f"{settings.host}:{settings.port}", remedy="choose another --port") from None
    return listening


def url_of(settings: ServeSettings, listening: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '') else host}:{port}"  # noqa: S104


class Server(uvicorn.Server):
    """uvicorn's server, stopping as commands of ours stop.

    SIGTERM ends it with exit code 0, SIGINT (Ctrl-C) and SIGHUP with 130; all finish what is in work. A second Ctrl-C
    does not wait.

    Attributes:
        exit_code: set when it has stopped.
    """

    def __init__(self, application: Application, started: Callable[[], None] = lambda: None) -> None:
        settings = application.settings
        super().__init__(
            uvicorn.Config(
                application.asgi(),
                http=protocol_class(settings),
                ws="none",
                lifespan="on",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(settings.idle_timeout_s)),
                timeout_graceful_shutdown=round(settings.request_timeout_s) + 1,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )
        self._application, self._on_start, self.exit_code = application, started, EXIT_DONE

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to serve and says so."""
        await super().startup(sockets=sockets)
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to stop: told to, or unable to caption."""
        return await super().on_tick(counter) or self._application.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no new work and finishes what is in work."""
        self._application.stopping, self._application.ready = True, False
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stops on SIGTERM and SIGINT, and gives both back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A closed terminal (SIGHUP) stops it as Ctrl-C does, unless it is to be ignored (nohup).
        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        previous = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remembers how the server was told to stop."""
        if not self.should_exit:
            self.exit_code = EXIT_DONE if sig == signal.SIGTERM else EXIT_INTERRUPTED
        super().handle_exit(sig, frame)


def serve(application: Application, listening: socket.socket, started: Callable[[], None] = lambda: None) -> int:
    """Serves until a signal comes and returns the exit code.

    Raises:
        Exception: what went wrong while warming up.
    """
    server = Server(application, started)
    server.run(sockets=[listening])
    if application.failure is not None:
        raise application.failure
    return server.exit_code
