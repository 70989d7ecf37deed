"""One decoding child process, seen from its parent: it is asked, watched, ended and started anew."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from glrg_tf.errors import VideoError
from glrg_tf.video.messages import BrokenLinkError, receive, receive_frames, receive_probe, send
from glrg_tf.video.probe import VideoProbe
from glrg_tf.video.reader import Frames, Limits, Select, frame_numbers

Result = TypeVar("Result")

BASE_MEMORY = 3 << 30  # bytes of address space beside the frames: Python, FFmpeg, reference pictures, thread stacks
GRACE_SECONDS = 10.0  # beyond `Limits.max_seconds`, for starting and for handing frames over
TASKS_A_CHILD = 500  # then a fresh child, in case a decoder leaks
ROOT = Path(__file__).resolve().parents[2]


class Child:
    """One decoding child, started when first needed and again whenever it has died."""

    def __init__(self, limits: Limits, memory: int | None) -> None:
        self._limits = limits
        self._memory = memory or limits.max_bytes + BASE_MEMORY
        self._process: subprocess.Popen[bytes] | None = None
        self._tasks = 0
        self._closed = False
        self._overtime = False

    def read(self, path: str | os.PathLike[str], select: Select, max_side: int | None) -> Frames:
        """`read_frames` by the child."""
        numbers = select if callable(select) else (lambda count: frame_numbers(select, count))

        def answer(stream: BinaryIO, message: dict[str, Any]) -> Frames | None:
            count = message.get("frame_count")
            if count is None:
                return receive_frames(stream, message, os.fspath(path), self._limits.max_bytes)
            if not isinstance(count, int) or not 0 <= count <= self._limits.max_frames:
                raise BrokenLinkError("malformed number of frames")
            send(self._input, {"indices": frame_numbers(numbers, count).tolist()})
            return None

        return self._ask(path, {"what": "frames", "max_side": max_side}, answer)

    def probe(self, path: str | os.PathLike[str], exact: bool) -> VideoProbe:
        """`probe` by the child."""

        def answer(stream: BinaryIO, message: dict[str, Any]) -> VideoProbe:
            return receive_probe(message, os.fspath(path))

        return self._ask(path, {"what": "probe", "exact": exact}, answer)

    def stop(self) -> None:
        """Ends the child's work from another thread; what it was at raises a VideoError."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Ends the child for good."""
        self.stop()
        self._end()

    @property
    def _input(self) -> BinaryIO:
        return cast(BinaryIO, cast("subprocess.Popen[bytes]", self._process).stdin)

    def _ask(
        self,
        path: str | os.PathLike[str],
        task: dict[str, Any],
        answer: Callable[[BinaryIO, dict[str, Any]], Result | None],
    ) -> Result:
        """Sends a task and lets `answer` deal with what comes until it returns a result."""
        process = self._running()
        self._overtime = False
        timer = threading.Timer(self._limits.max_seconds + GRACE_SECONDS, self._stop_late, [process])
        timer.start()
        finished = False
        try:
            stream = cast(BinaryIO, process.stdout)
            full = {**task, "path": os.path.abspath(os.fspath(path)), "limits": dataclasses.asdict(self._limits)}
            send(self._input, full)
            while True:
                message = receive(stream)
                if "error" in message:
                    finished = True
                    raise VideoError(str(message["error"]), where=os.fspath(path), remedy=message.get("remedy"))
                result = answer(stream, message)
                if result is not None:
                    finished = True
                    return result
        except (BrokenLinkError, BrokenPipeError) as error:
            raise self._post_mortem(process, path) from error
        finally:
            timer.cancel()
            if not finished:
                self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise VideoError("reading was stopped")
        if self._tasks >= TASKS_A_CHILD:
            self._end()
        if self._process is None or self._process.poll() is not None:
            self._process = _start(self._memory)
            self._tasks = 0
        self._tasks += 1
        return self._process

    def _stop_late(self, process: subprocess.Popen[bytes]) -> None:
        self._overtime = True
        process.kill()

    def _post_mortem(self, process: subprocess.Popen[bytes], path: str | os.PathLike[str]) -> VideoError:
        """Why the child stopped answering."""
        process.kill()
        code = process.wait()
        where = os.fspath(path)
        if self._closed:
            return VideoError("reading was stopped", where=where)
        if self._overtime or code == -getattr(signal, "SIGXCPU", 0):
            what = f"reading takes longer than {self._limits.max_seconds:g} s"
            return VideoError(what, where=where, remedy="cut or shrink the video, or raise the limit")
        return VideoError("the decoder crashed on it", where=where, remedy="it is damaged; re-encode or leave it out")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _start(memory: int) -> subprocess.Popen[bytes]:
    """A new child. It imports this library as it stands here (-P: and nothing from the current folder)."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "glrg_tf.video.worker", str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # an interrupt from the keyboard is for the parent alone
    )
