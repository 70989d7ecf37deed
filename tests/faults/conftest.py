"""The made caption world of the training tests."""

from __future__ import annotations

import pytest

from tests.training.conftest import write_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world") / "dataset")
