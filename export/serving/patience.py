"""Work for a client that may go away, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from export.serving.refusal import RequestError

Answer = TypeVar("Answer")


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer], seconds: float) -> Answer:
    """Result of `work`, which is given up when the client goes away or `seconds` are over.

    The request's body must have been read.

    Raises:
        ClientDisconnect: the client has gone.
        RequestError: 503, it took too long.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if gone in done:
            raise ClientDisconnect
        raise RequestError(503, f"no answer within {seconds:g} s", remedy="try again later", retry_after_s=5)
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
