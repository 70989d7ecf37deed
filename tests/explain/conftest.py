"""One captioner of each kind, a video of squares, and an explanation of it, shared by all tests here."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from glrg_tf.explain.video import ExplainSettings, Explanation, explain_video
from glrg_tf.video.writer import write_video
from tests.explain import squares


@pytest.fixture(scope="session")
def glrg():
    return squares.train_glrg()


@pytest.fixture(scope="session")
def s2vt():
    return squares.train_s2vt()


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> pathlib.Path:
    """24 frames, 12 a second, 96x72: red at the top left throughout, blue at the bottom right in the second half."""
    frames = []
    for number in range(24):
        seen = [("red", 1, 1)] + ([("blue", 4, 4)] if number >= 12 else [])
        small = squares.frame(*seen)
        frames.append(small.repeat(2, axis=1)[np.arange(72) * 48 // 72])
    path = tmp_path_factory.mktemp("explain") / "squares.mp4"
    write_video(path, frames, 12)
    return path


@pytest.fixture(scope="session")
def explanation(glrg, video) -> Explanation:
    return explain_video(glrg, video, "A blue square, zebra!", ExplainSettings(rate=12.0, isolated=False))
