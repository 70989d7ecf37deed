"""Requests share batches and get their own rows back; a full queue refuses at once and recovers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from export.serving.batcher import Batcher
from export.serving.refusal import RequestError
from tests.serving.live import WIDTH, LiveServer, PlainEngine, saying, until


def rows(count: int, first: int = 0) -> list[list[int]]:
    return [[first + i, 0, 0, 0, 1] for i in range(count)]


def test_requests_that_wait_together_run_together_and_keep_their_answers():
    with LiveServer(max_batch=8) as server, ThreadPoolExecutor(24) as pool:
        server.engine.go_on.clear()
        first = pool.submit(server.predict, *rows(1))
        until(lambda: server.engine.working.is_set())
        later = [pool.submit(server.predict, *rows(1 + i % 3, 10 * i)) for i in range(20)]
        until(lambda: server.application.batcher.waiting_rows == 39)
        server.engine.go_on.set()
        assert first.result().status == 200
        for i, future in enumerate(later):
            wanted = [saying(row).decode() for row in rows(1 + i % 3, 10 * i)]
            assert [found["caption"] for found in future.result().json["predictions"]] == wanted
        assert sum(server.engine.batches) == 40
        assert max(server.engine.batches) > 4 and max(server.engine.batches) <= 8


def test_signatures_do_not_share_a_batch():
    with LiveServer() as server, ThreadPoolExecutor(8) as pool:
        server.engine.go_on.clear()
        held = pool.submit(server.predict, *rows(1))
        until(lambda: server.engine.working.is_set())
        beam = [pool.submit(server.predict, *rows(1, i), signature_name="beam") for i in range(3)]
        best = [pool.submit(server.predict, *rows(1, i)) for i in range(3)]
        until(lambda: server.application.batcher.waiting_rows == 6)
        server.engine.go_on.set()
        assert held.result().status == 200
        assert all("captions" in future.result().json["predictions"][0] for future in beam)
        assert all("caption" in future.result().json["predictions"][0] for future in best)
        assert sorted(server.engine.batches) == [1, 3, 3]


def test_a_full_queue_refuses_at_once_and_recovers():
    with LiveServer(max_batch=2, max_queue=4) as server, ThreadPoolExecutor(40) as pool:
        server.engine.go_on.clear()
        held = pool.submit(server.predict, *rows(1))
        until(lambda: server.engine.working.is_set())
        waiting = [pool.submit(server.predict, *rows(1)) for _ in range(4)]
        until(lambda: server.application.batcher.waiting_rows == 4)
        for answer in pool.map(lambda _: server.predict(*rows(1)), range(30)):
            assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
            assert "waiting" in answer.error
        assert server.ask("GET", "/healthz").status == 200
        server.engine.go_on.set()
        assert all(future.result().status == 200 for future in [held, *waiting])
        assert server.predict(*rows(1)).status == 200
        assert 'glrg_requests_total{route="/v1/models:predict",status="429"} 30.0' in metrics(server)


def test_a_request_may_be_larger_than_a_batch_but_not_than_the_queue():
    with LiveServer(max_batch=2, max_queue=40) as server:
        assert len(server.predict(*rows(40)).json["predictions"]) == 40
        answer = server.predict(*rows(41))
        assert answer.status == 413 and "at most 40" in answer.error


def test_what_takes_too_long_is_given_up():
    with LiveServer(request_timeout_s=0.2) as server:
        server.engine.go_on.clear()
        answer = server.predict(*rows(1))
        assert answer.status == 503 and "0.2 s" in answer.error and "retry-after" in answer.headers
        server.engine.go_on.set()
        assert server.predict(*rows(1)).status == 200


def test_a_failure_is_told_without_its_details(caplog):
    with LiveServer() as server:
        answer = server.predict([666] * WIDTH)
        assert answer.status == 500 and "secret" not in answer.body.decode()
        assert server.predict(*rows(1)).status == 200
    assert "secret" in caplog.text


def test_closing_finishes_what_waits_and_takes_nothing_new():
    async def scenario():
        engine, answers = PlainEngine(), []
        batcher = Batcher(max_batch=2, max_wait_s=5.0, max_queue=8)
        batcher.start()
        run = lambda inputs: engine.run("serving_default", inputs)  # noqa: E731
        one = {"features": np.ones((1, WIDTH), np.float32)}
        answers = [asyncio.create_task(batcher.submit("k", run, one)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await asyncio.wait_for(batcher.close(), 2)
        assert [len((await answer)["score"]) for answer in answers] == [1, 1, 1]
        with pytest.raises(RequestError) as caught:
            await batcher.submit("k", run, one)
        assert caught.value.status == 503

    asyncio.run(scenario())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("network")]


def metrics(server: LiveServer) -> str:
    return server.ask("GET", "/metrics").body.decode()
