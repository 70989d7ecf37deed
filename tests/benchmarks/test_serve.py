"""`glrg bench serve` in small: the rows it gives, against a server in this process."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks import serve
from tests.serving.live import WIDTH, LiveServer, saying


@pytest.fixture(scope="module")
def work():
    rows = [[i, 0, 0, 0, 1] for i in range(20)]
    bodies = tuple(json.dumps({"instances": [{"features": row}]}).encode() for row in rows)
    return serve.Work(bodies, tuple(saying(row).decode() for row in rows), 0.001, WIDTH)


def under_test(server: LiveServer) -> serve.Server:
    return serve.Server(f"http://127.0.0.1:{server.port}", os.getpid())


@pytest.mark.parametrize("clients", [1, 8, 32])
def test_every_caption_under_load_is_the_offline_one(work, clients):
    with LiveServer() as server:
        memory: list[float] = []
        row = serve.under_load(under_test(server), work, 400, clients, memory)
    assert row["statuses"] == {"200": 400}
    assert row["wrong"] == row["errors"] == row["refused"] == 0
    assert row["requests_per_s"] > 0 and row["latency_s"]["p50"] <= row["latency_s"]["p99"]
    assert len(memory) == 8 and all(value > 1 for value in memory)


def test_a_wrong_caption_would_be_seen(work):
    with LiveServer() as server:
        wrong = serve.Work(work.bodies, ("something else", *work.texts[1:]), 0.001, WIDTH)
        assert serve.under_load(under_test(server), wrong, 40, 2, [])["wrong"] == 2


def test_overload_is_refused_and_passes(work):
    with LiveServer(max_queue=2, max_batch=1) as server:
        row = serve.overloaded(under_test(server), work, 600)
    assert row["refused"] > 0 and row["errors"] == row["wrong"] == row["errors_afterwards"] == 0
    assert row["statuses"].keys() == {"200", "429"}


def test_bad_company_leaves_nothing(work):
    with LiveServer() as server:
        assert serve.malformed(under_test(server), work)["bad"] == []
        row = serve.killed(under_test(server), work, clients=2)
    assert row["errors"] == 0 and row["left_descriptors"] <= 0


def test_growth_is_that_of_the_second_half():
    assert serve.second_half_growth([100.0] * 10) is None
    assert serve.second_half_growth([50.0] * 50 + [100.0] * 50) == 0
    assert serve.second_half_growth([100.0] * 60 + [103.0] * 40) == pytest.approx(0.03)
