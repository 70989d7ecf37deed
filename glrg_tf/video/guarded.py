"""A local regular file as bytes until a deadline: what FFmpeg is given instead of a name."""

from __future__ import annotations

import io
import os
import stat
import time

from glrg_tf.errors import VideoError


class GuardedFile(io.RawIOBase):
    """Bytes of a regular file until a deadline. It never raises: FFmpeg sees the end of the file instead.

    (An exception inside a read callback is kept by PyAV and turns up in a later, unrelated call.)
    """

    def __init__(self, descriptor: int, size: int, deadline: float) -> None:
        super().__init__()
        self.size = size
        self.expired = False  # the deadline passed
        self.failure: OSError | None = None  # the disk failed
        self._deadline = deadline
        self._raw = io.FileIO(descriptor, "rb", closefd=True)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end, past the deadline and after a failure of the disk."""
        if self.check_expired() or self.failure is not None:
            return b""
        try:
            return self._raw.read(size) or b""
        except OSError as error:
            self.failure = error
            return b""

    def check_expired(self) -> bool:
        """Whether the deadline has passed (it stays so)."""
        self.expired = self.expired or time.monotonic() > self._deadline
        return self.expired

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position, or -1 where there is none."""
        try:
            return self._raw.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1

    def tell(self) -> int:
        """The position."""
        return self._raw.tell()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Closes the file."""
        self._raw.close()
        super().close()


def open_regular(name: str, deadline: float) -> GuardedFile:
    """Opens a local regular file that is not empty; never waits (a fifo would) and never touches a device.

    Raises:
        VideoError: it is something else, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_kind(os.stat(name), name)
        descriptor = os.open(name, flags)
    except FileNotFoundError:
        remedy = "download it first: only local files are read" if "://" in name else "check the path"
        raise VideoError("no such video file", where=name, remedy=remedy) from None
    except PermissionError:
        raise VideoError("the file may not be read", where=name, remedy=f"chmod u+r {name}") from None
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise VideoError(f"the file cannot be opened ({cause})", where=repr(name), remedy="check the path") from None
    try:
        status = os.fstat(descriptor)
        _check_kind(status, name)
    except VideoError:
        os.close(descriptor)
        raise
    return GuardedFile(descriptor, status.st_size, deadline)


def _check_kind(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise VideoError("a folder, not a video file", where=name, remedy="name the files inside it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("not a regular file (a pipe, socket or device)", where=name, remedy="save it to a file first")
    if status.st_size == 0:
        raise VideoError("the file is empty (0 bytes)", where=name, remedy="copy or download it again")
