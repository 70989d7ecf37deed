"""Servers that tests share."""

from __future__ import annotations

import pytest

from tests.serving.live import LiveServer, PlainReader


@pytest.fixture(scope="module")
def server():
    """A server with generous limits that reads videos."""
    with LiveServer(videos=PlainReader()) as live:
        yield live
