"""Several decoders at once, answers in the order of the questions.

A decoder is a process of its own (`extract_child.py`), started anew when a file crashes it, or a function of this
process for files that are trusted. A thread each waits for it, so that the networks run meanwhile. At most a few
answers are kept ahead of the one that is taken next: memory does not grow with the work.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import threadpoolctl

from glrg_tf.config import to_dict
from glrg_tf.encoders.extract_clips import Clips, DecodePlan, read_clips
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.encoders.extract_wire import WireError, receive
from glrg_tf.errors import VideoError

Answer = Clips | VideoError

_AHEAD = 2  # answers that wait beside those being made
_GRACE = 30.0  # seconds beyond the limit until a process that does not answer is ended
_ROOT = Path(__file__).resolve().parents[2]


class Decoder(Protocol):
    """Who reads one video at a time."""

    def read(self, item: VideoItem) -> Answer:
        """The clips of a video, or why there are none."""

    def close(self) -> None:
        """Ends it, from any thread, also in the middle of a video."""


class LocalDecoder:
    """Reads in this process, with one thread a product as the processes do: the same numbers, to the last bit."""

    def __init__(self, plan: DecodePlan) -> None:
        self._plan = plan
        self._threads = threadpoolctl.ThreadpoolController()

    def read(self, item: VideoItem) -> Answer:
        """The clips of a video, or why there are none."""
        try:
            with self._threads.limit(limits=1, user_api="blas"):
                return read_clips(item, self._plan)
        except VideoError as error:
            return error

    def close(self) -> None:
        """Nothing to end."""


class ChildDecoder:
    """Reads in a process of its own, under limits of memory and time."""

    def __init__(self, plan: DecodePlan) -> None:
        self._plan = plan
        self._arguments = [sys.executable, "-P", "-m", "glrg_tf.encoders.extract_child", json.dumps(to_dict(plan))]
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def read(self, item: VideoItem) -> Answer:
        """The clips of a video, or why there are none; a process that died is replaced for the next one."""
        process = self._running()
        late = threading.Event()
        timer = threading.Timer(self._plan.limits.max_seconds + _GRACE, lambda: (late.set(), process.kill()))
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(_request(item))  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return receive(process.stdout, self._plan)  # type: ignore[arg-type]
        except (WireError, OSError, ValueError):
            code = self._end(process)
            if late.is_set():
                what = f"reading takes longer than {self._plan.limits.max_seconds:g} s"
            else:
                what = f"it crashed the decoder ({_reason(code)})"
            return VideoError(what, where=item.path, remedy="it is damaged; re-encode it or leave it out")
        finally:
            timer.cancel()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            self._end(process)

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise RuntimeError("the decoder was closed")
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                )
            return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        return code


class DecodePool:
    """Decoders that work ahead; a context manager.

    Args:
        plan: what is wanted of every video.
        workers: decoders at once; 0 reads when asked, in the thread that asks.
        isolated: whether decoders are processes of their own.
    """

    def __init__(self, plan: DecodePlan, workers: int, *, isolated: bool = True) -> None:
        make = ChildDecoder if isolated else LocalDecoder
        self._decoders: list[Decoder] = [make(plan) for _ in range(max(workers, 1))]
        self._ahead = workers > 0
        self._state = threading.Condition()
        self._items: Sequence[VideoItem] = ()
        self._asked = self._taken = 0
        self._ready: dict[int, Answer | BaseException] = {}
        self._stopped = False

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends all decoders."""
        self.close()

    def close(self) -> None:
        """Ends all decoders; work in progress is lost."""
        with self._state:
            self._stopped = True
            self._state.notify_all()
        for decoder in self._decoders:
            decoder.close()

    def map(self, items: Sequence[VideoItem]) -> Iterator[Answer]:
        """An answer for every item, in order. To be called once."""
        if not self._ahead:
            yield from map(self._decoders[0].read, items)
            return
        self._items = items
        for decoder in self._decoders[: len(items)]:
            threading.Thread(target=self._work, args=(decoder,), daemon=True).start()
        for number in range(len(items)):
            with self._state:
                self._state.wait_for(lambda number=number: number in self._ready or self._stopped)
                if number not in self._ready:
                    return
                answer = self._ready.pop(number)
                self._taken = number + 1
                self._state.notify_all()
            if isinstance(answer, BaseException) and not isinstance(answer, VideoError):
                raise answer
            yield answer

    def _work(self, decoder: Decoder) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._stopped or self._may_ask() or self._asked >= len(self._items))
                if self._stopped or self._asked >= len(self._items):
                    return
                number = self._asked
                self._asked += 1
            try:
                answer: Answer | BaseException = decoder.read(self._items[number])
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


def _request(item: VideoItem) -> bytes:
    value = {"id": item.id, "path": os.fspath(item.path), "start": item.start, "end": item.end}
    return json.dumps(value).encode("ascii") + b"\n"  # ASCII: file names may hold bytes that are no text


def _environment() -> dict[str, str]:
    """One thread a product: the processes share the cores already. The package is found where this one is."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **threads, "PYTHONPATH": path}


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit {code}"
