"""One process at a time in a folder: an advisory lock that dies with its process, so it is never left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from glrg_tf.errors import ConfigError

LOCK = ".lock"


@contextlib.contextmanager
def only_one(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Holds `folder` while the block runs; it is made if it is not there. The file `.lock` in it stays.

    Raises:
        ConfigError: another process holds it; its host and process are named.
    """
    path = Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
            raise ConfigError(
                f"the folder is in use by {holder}", where=path.parent, remedy="wait for it, or choose another --out"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
