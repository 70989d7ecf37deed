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
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from glrg_tf.errors import VideoError
from glrg_tf.video.child import Child
from glrg_tf.video.probe import VideoProbe
from glrg_tf.video.reader import Frames, Limits, Select

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


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
    child = Child(limits or Limits(), memory)
    with contextlib.closing(child):
        return child.read(path, select, max_side)


def probe_isolated(
    path: str | os.PathLike[str], limits: Limits | None = None, *, exact: bool = False, memory: int | None = None
) -> VideoProbe:
    """`probe` in a child process of its own.

    Raises:
        VideoError: as `probe`; also when the decoder crashes, hangs or asks for too much memory.
    """
    child = Child(limits or Limits(), memory)
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
        self._children = [Child(limits, memory) for _ in range(self.workers)]
        self._idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
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
        work: Callable[[Child, str | os.PathLike[str]], Result],
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
        self, work: Callable[[Child, str | os.PathLike[str]], Result], path: str | os.PathLike[str]
    ) -> Result | VideoError:
        child = self._idle.get()
        try:
            return work(child, path)
        except VideoError as error:
            return error
        finally:
            self._idle.put(child)
