"""The desk, made once for all tests of the pages."""

from __future__ import annotations

import pytest

from tests.docs import desk


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return desk.prepare(tmp_path_factory.mktemp("docs"))
