"""Several decoders at once, answers in the order of the questions.

A decoder opens files in a process of its own (`video/child.py`), which is started anew when a file crashes it, or in
this process for files that are trusted. A thread each waits for it and resizes what it gives, while the networks run.
At most a few answers are kept ahead of the one that is taken next: memory does not grow with the work.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import threadpoolctl

from glrg_tf.encoders.extract_clips import Clips, DecodePlan, FrameReader, OpenHere, Select, read_clips
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.errors import VideoError
from glrg_tf.video.child import Child
from glrg_tf.video.probe import VideoProbe
from glrg_tf.video.reader import Frames

Answer = Clips | VideoError

_AHEAD = 2  # answers that wait beside those being made


class OpenInChild:
    """The files of `read_clips`, opened by a child process."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def read(self, path: Path, select: Select, max_side: int) -> Frames:
        """The selected frames."""
        return self._child.read(path, select, max_side)

    def probe(self, path: Path) -> VideoProbe:
        """The facts of the file."""
        return self._child.probe(path, False)


class LocalDecoder:
    """Reads one video at a time in this process."""

    def __init__(self, plan: DecodePlan) -> None:
        self._plan, self._reader = plan, OpenHere(plan.limits)

    def read(self, item: VideoItem) -> Answer:
        """The clips of a video, or why there are none."""
        return _answer(item, self._plan, self._reader)

    def stop(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to end."""


class ChildDecoder:
    """Reads one video at a time by a process of its own, under limits of memory and time."""

    def __init__(self, plan: DecodePlan) -> None:
        self._plan, self._child = plan, Child(plan.limits, None)

    def read(self, item: VideoItem) -> Answer:
        """The clips of a video, or why there are none; a process that died is replaced for the next one."""
        return _answer(item, self._plan, OpenInChild(self._child))

    def stop(self) -> None:
        """Ends the work, from another thread: it is answered with an error."""
        self._child.stop()

    def close(self) -> None:
        """Ends the process."""
        self._child.close()


def _answer(item: VideoItem, plan: DecodePlan, reader: FrameReader) -> Answer:
    try:
        return read_clips(item, plan, reader)
    except VideoError as error:
        return error


class DecodePool:
    """Decoders that work ahead; a context manager.

    Products of this process run on one thread meanwhile: the decoders share the cores already, and a product that is
    split over threads may differ in its last bit.

    Args:
        plan: what is wanted of every video.
        workers: decoders at once; 0 reads when asked, in the thread that asks.
        isolated: whether files are opened in processes of their own.
    """

    def __init__(self, plan: DecodePlan, workers: int, *, isolated: bool = True) -> None:
        make = ChildDecoder if isolated else LocalDecoder
        self._decoders: list[ChildDecoder | LocalDecoder] = [make(plan) for _ in range(max(workers, 1))]
        self._ahead = workers > 0
        self._state = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._items: Sequence[VideoItem] = ()
        self._asked = self._taken = 0
        self._ready: dict[int, Answer | Exception] = {}
        self._stopped = False
        self._single = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Returns itself."""
        self._single.enter_context(threadpoolctl.threadpool_limits(limits=1, user_api="blas"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends all decoders; work in progress is lost."""
        with self._state:
            self._stopped = True
            self._state.notify_all()
        for decoder in self._decoders:
            decoder.stop()
        for thread in self._threads:
            thread.join()
        for decoder in self._decoders:
            decoder.close()
        self._single.close()

    def map(self, items: Sequence[VideoItem]) -> Iterator[Answer]:
        """An answer for every item, in order. To be called once."""
        if not self._ahead:
            yield from map(self._decoders[0].read, items)
            return
        self._items = items
        self._threads = [
            threading.Thread(target=self._work, args=(decoder,), daemon=True)
            for decoder in self._decoders[: len(items)]
        ]
        for thread in self._threads:
            thread.start()
        for number in range(len(items)):
            with self._state:
                self._state.wait_for(lambda number=number: number in self._ready or self._stopped)
                if number not in self._ready:
                    return
                answer = self._ready.pop(number)
                self._taken = number + 1
                self._state.notify_all()
            if isinstance(answer, Exception) and not isinstance(answer, VideoError):
                raise answer
            yield answer

    def _work(self, decoder: ChildDecoder | LocalDecoder) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._stopped or self._may_ask() or self._asked >= len(self._items))
                if self._stopped or self._asked >= len(self._items):
                    return
                number = self._asked
                self._asked += 1
            try:
                answer: Answer | Exception = decoder.read(self._items[number])
            except Exception as error:  # ours: raised where the answer is taken
                answer = error
            with self._state:
                self._ready[number] = answer
                self._state.notify_all()

    def _may_ask(self) -> bool:
        return self._asked < self._taken + len(self._decoders) + _AHEAD


def default_workers() -> int:
    """Decoders for this machine: one a core that this process may use, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 16))
