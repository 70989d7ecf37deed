"""Settings of `glrg serve`: addresses, limits and waiting times, each with its unit."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from glrg_tf.errors import ConfigError

MIB = 2**20
_MIN_TOKEN = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """What one server allows. Everything a client can make large has a limit here."""

    host: str = "127.0.0.1"  # address to listen on; anything but loopback is open to the network
    port: int = 8501  # 0 takes a free one
    name: str = "captioner"  # of the model in TF Serving's paths
    version: int = 1  # of the model in TF Serving's paths
    max_batch: int = 32  # videos the network captions at once
    max_wait_ms: float = 2.0  # milliseconds a video may wait for others to share its batch
    max_queue: int = 256  # videos waiting for the network; more are told to come again
    max_json_bytes: int = 8 * MIB  # body of a JSON request
    max_upload_bytes: int = 256 * MIB  # body of a request with a video file
    max_videos: int = 8  # uploads in work or waiting; more are told to come again
    max_connections: int = 512  # open connections; more are told to come again
    request_timeout_s: float = 60.0  # seconds from the last byte of a request to its answer
    body_timeout_s: float = 120.0  # seconds to send a body
    header_timeout_s: float = 10.0  # seconds to send the headers
    idle_timeout_s: float = 10.0  # seconds a connection may stay open without a request
    token: str | None = dataclasses.field(default=None, repr=False)  # clients must send it; None asks for none
    allowed_hosts: tuple[str, ...] = ()  # names clients may use for this server, beside loopback's; "*" allows all
    page: bool = True  # whether the page for people is served

    def __post_init__(self) -> None:
        """Refuses limits no server can work with, and tokens that can be guessed."""
        whole = ("max_batch", "max_queue", "max_json_bytes", "max_upload_bytes", "max_videos", "max_connections")
        for name in (*whole, "version"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}", where=name)
        for name in ("request_timeout_s", "body_timeout_s", "header_timeout_s", "idle_timeout_s"):
            if not 0 < getattr(self, name) <= 86400:
                raise ConfigError(f"{name} must lie in (0, 86400] seconds, found {getattr(self, name)}", where=name)
        if not 0 <= self.max_wait_ms <= 1000:
            raise ConfigError(f"max_wait_ms must lie in 0..1000, found {self.max_wait_ms}", where="max_wait_ms")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must lie in 0..65535, found {self.port}", where="port")
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"'{self.name}' is no model name", where="name", remedy="letters, digits, _ . -")
        if self.token is not None and (len(self.token) < _MIN_TOKEN or not self.token.isascii()):
            raise ConfigError(
                f"the token must have at least {_MIN_TOKEN} ASCII characters",
                where="token",
                remedy="make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address) is this machine itself, seen from itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
