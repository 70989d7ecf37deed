"""Micro-batching: requests that wait at the same time go through the network together.

One thread runs the network. While it works, requests queue; when it is free it takes all that are of one kind, up to
a batch. A request that finds the queue full is refused at once, so that waiting times stay short whatever comes in.
Batches are not padded: the functions are traced once for every size (see `engine`).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from export.serving.refusal import RequestError, busy

Arrays = dict[str, np.ndarray]
Function = Callable[[Arrays], Mapping[str, np.ndarray]]


@dataclasses.dataclass(eq=False)
class _Job:
    key: Hashable  # only jobs of equal key share a batch
    function: Function
    inputs: Arrays  # (rows, ...) each
    rows: int
    answer: asyncio.Future[Arrays]


class Batcher:
    """Runs functions of batches for many requests at once.

    Args:
        max_batch: rows run at once; a larger request, up to the queue's size, runs alone.
        max_wait_s: seconds a row waits for others before a batch that is not full runs.
        max_queue: rows that may wait.
        observe: told the rows of each batch.
    """

    def __init__(
        self, max_batch: int, max_wait_s: float, max_queue: int, observe: Callable[[int], None] = lambda rows: None
    ) -> None:
        self._max_batch, self._max_wait_s, self._max_queue, self._observe = max_batch, max_wait_s, max_queue, observe
        self._jobs: collections.deque[_Job] = collections.deque()
        self._changed = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._runner: asyncio.Task[None] | None = None
        self._open = False
        self.waiting_rows = 0

    def start(self) -> None:
        """Begins to take requests; needs a running event loop."""
        self._open = True
        self._runner = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Finishes what waits, takes nothing new, and ends the thread."""
        self._open = False
        self._changed.set()
        if self._runner is not None:
            await self._runner
        self._executor.shutdown()

    def refuse_if_full(self, rows: int = 1) -> None:
        """Refuses what would find no place now; also worth asking before a request is even read.

        Raises:
            RequestError: 429 where the queue is full, 503 where the server stops, 413 where it is more than ever fits.
        """
        if not self._open:
            raise RequestError(503, "the server is stopping", retry_after_s=5)
        if rows > self._max_queue:
            raise RequestError(413, f"{rows} videos in one request, at most {self._max_queue}", "send several requests")
        if self.waiting_rows + rows > self._max_queue:
            raise busy(f"{self.waiting_rows} videos are waiting already")

    async def submit(self, key: Hashable, function: Function, inputs: Arrays) -> Arrays:
        """Runs `function` on `inputs` (rows, ...), together with other requests of equal `key`.

        Returns:
            The rows of the function's outputs that belong to these inputs.

        Raises:
            RequestError: 429 where the queue is full, 503 where the server stops.
        """
        rows = len(next(iter(inputs.values())))
        self.refuse_if_full(rows)
        job = _Job(key, function, inputs, rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self.waiting_rows += rows
        self._changed.set()
        try:
            return await job.answer
        except asyncio.CancelledError:  # too late, or the client has gone: nobody wants it any more
            with contextlib.suppress(ValueError):
                self._jobs.remove(job)
                self.waiting_rows -= rows
            raise

    async def run_alone(self, function: Callable[[], object]) -> object:
        """Runs `function` in the network's thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            if not self._jobs:
                if not self._open:
                    return
                await self._changed.wait()
                continue
            await self._fill()
            batch = self._take()
            if batch:
                await self._answer(batch)

    async def _fill(self) -> None:
        """Waits until a batch is full, the waiting time is over, or the server stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._max_wait_s):
                while self._open and self.waiting_rows < self._max_batch:
                    self._changed.clear()
                    await self._changed.wait()

    def _take(self) -> list[_Job]:
        """The first job that waits and those of its kind that fit beside it, in order."""
        if not self._jobs:
            return []
        batch, left, rows = [], collections.deque[_Job](), 0
        key = self._jobs[0].key
        for job in self._jobs:
            if job.key == key and (not batch or rows + job.rows <= self._max_batch):
                batch.append(job)
                rows += job.rows
            else:
                left.append(job)
        self._jobs = left
        self.waiting_rows -= rows
        return batch

    async def _answer(self, batch: list[_Job]) -> None:
        inputs = {name: np.concatenate([job.inputs[name] for job in batch]) for name in batch[0].inputs}
        self._observe(sum(job.rows for job in batch))
        loop = asyncio.get_running_loop()
        try:
            outputs = await loop.run_in_executor(self._executor, batch[0].function, inputs)
        except Exception as error:
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        first = 0
        for job in batch:
            if not job.answer.done():
                job.answer.set_result({name: value[first : first + job.rows] for name, value in outputs.items()})
            first += job.rows
