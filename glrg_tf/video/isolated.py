"""Reads videos in child processes, so that a decoder that crashes, hangs or grows costs one file and nothing else.

FFmpeg reads some hundred formats in C. A file made to break one of them may end the process that reads it; for files
of unknown origin and for bulk work that process is a child with limits on memory, time and files.

The frame plan stays with the parent: the child asks it for frame numbers once it knows how many frames there are,
so any function will do as `select` and nothing has to be pickled, in either direction.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, cast

from glrg_tf.errors import VideoError
from glrg_tf.video.messages import BrokenLinkError, receive, receive_frames, receive_probe, send
from glrg_tf.video.probe import VideoProbe
from glrg_tf.video.reader import Frames, Limits, Select, frame_numbers

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

BASE_MEMORY = 3 << 30  # bytes of address space beside the frames: Python, FFmpeg, reference pictures, thread stacks
GRACE_SECONDS = 10.0  # beyond `Limits.max_seconds`, for starting and for handing frames over
TASKS_A_CHILD = 500  # then a fresh child, in case a decoder leaks
ROOT = Path(__file__).resolve().parents[2]


def read_frames_isolated(
    path: str | os.PathLike[str],
    select: Select,
    *,
    max_side: int | None = None,
    limits: Limits | None = None,
    memory: int | None = None,
) -> Frames:
    """`read_frames` in a child process of its own.

    Args:
        path: a local video file.
        select: as for `read_frames`; called in this process.
        max_side: as for `read_frames`.
        limits: as for `read_frames`.
        memory: bytes of address space of the child; `Limits.max_bytes` and 3 GiB without it.

    Raises:
        VideoError: as `read_frames`; also when the decoder crashes, hangs or asks for too much memory.
        ConfigError: as `read_frames`.
    """
    child = _Child(limits or Limits(), memory)
    with contextlib.closing(child):
        return child.read(path, select, max_side)


def probe_isolated(
    path: str | os.PathLike[str], limits: Limits | None = None, *, exact: bool = False, memory: int | None = None
) -> VideoProbe:
    """`probe` in a child process of its own.

    Raises:
        VideoError: as `probe`; also when the decoder crashes, hangs or asks for too much memory.
    """
    child = _Child(limits or Limits(), memory)
    with contextlib.closing(child):
        return child.probe(path, exact)


class DecoderPool:
    """Children that decode many videos; a video that kills its child is an error of that video, and the pool goes on.

    Example:
        with DecoderPool(workers=4, max_side=256) as pool:
            for video_id, frames in pool.read_many(items, FramePlan().wanted):
                ...  # Frames or VideoError

    Args:
        workers: children at work at once; one for each core without it.
        max_side: as for `read_frames`.
        limits: as for `read_frames`; with several workers each decodes on one thread unless `threads` says otherwise.
        memory: bytes of address space of each child.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        max_side: int | None = None,
        limits: Limits | None = None,
        memory: int | None = None,
    ) -> None:
        self.workers = max(1, workers or os.cpu_count() or 1)
        limits = limits or Limits()
        if self.workers > 1 and limits.threads == 0:
            limits = dataclasses.replace(limits, threads=1)
        self._max_side = max_side
        self._children = [_Child(limits, memory) for _ in range(self.workers)]
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._threads = concurrent.futures.ThreadPoolExecutor(self.workers, "decoder")

    def read_many(
        self, items: Iterable[tuple[Key, str | os.PathLike[str]]], select: Select, *, ahead: int = 2
    ) -> Iterator[tuple[Key, Frames | VideoError]]:
        """Reads videos as workers become free and yields each as it is done, in whatever order that is.

        Args:
            items: (key, path) of every video; taken only as far as needed.
            select: as for `read_frames`; called from the pool's threads.
            ahead: videos that may wait, done or at work, beyond the number of workers; bounds the memory held.

        Yields:
            (key, frames), or (key, the error) for a video that was refused.
        """
        return self._each(items, lambda child, path: child.read(path, select, self._max_side), ahead)

    def probe_many(
        self, items: Iterable[tuple[Key, str | os.PathLike[str]]], *, exact: bool = False, ahead: int = 8
    ) -> Iterator[tuple[Key, VideoProbe | VideoError]]:
        """As `read_many`, with what `probe` tells of each video."""
        return self._each(items, lambda child, path: child.probe(path, exact), ahead)

    def close(self) -> None:
        """Ends the children, also those at work."""
        for child in self._children:
            child.stop()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _each(
        self,
        items: Iterable[tuple[Key, str | os.PathLike[str]]],
        work: Callable[[_Child, str | os.PathLike[str]], Result],
        ahead: int,
    ) -> Iterator[tuple[Key, Result | VideoError]]:
        waiting: dict[concurrent.futures.Future[Result | VideoError], Key] = {}
        left = iter(items)
        more = True
        while more or waiting:
            while more and len(waiting) < self.workers + max(0, ahead):
                item = next(left, None)
                if item is None:
                    more = False
                    break
                waiting[self._threads.submit(self._one, work, item[1])] = item[0]
            done, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()

    def _one(
        self, work: Callable[[_Child, str | os.PathLike[str]], Result], path: str | os.PathLike[str]
    ) -> Result | VideoError:
        child = self._idle.get()
        try:
            return work(child, path)
        except VideoError as error:
            return error
        finally:
            self._idle.put(child)


class _Child:
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
