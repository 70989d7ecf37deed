"""Planted corpora: videos that stay with a topic for a while, and clip features that tell the word."""

from __future__ import annotations

import os
import pathlib

# Before scikit-learn starts its threads: on a busy machine they wait for each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from glrg_tf.semantic.artefact import save_glove
from glrg_tf.semantic.embedding import VisualGlove
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.stack_sources import open_stacks
from training.glove import train

TOPICS, WORDS_A_TOPIC, WIDTH = 6, 8, 24
CODEBOOK = CodebookConfig(words=TOPICS * WORDS_A_TOPIC, batch_rows=500, epochs=3)
GLOVE = GloveConfig(dimensions=32, window=4, epochs=60, batch_size=512)


def planted_tokens(videos: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Words (N,) and offsets (videos + 1,): runs of 6 to 12 words of one topic after another."""
    random = np.random.default_rng(seed)
    tokens: list[int] = []
    offsets = [0]
    for _ in range(videos):
        own: list[int] = []
        while len(own) < length:
            topic = random.integers(TOPICS)
            own += list(topic * WORDS_A_TOPIC + random.integers(0, WORDS_A_TOPIC, random.integers(6, 13)))
        tokens += own
        offsets.append(len(tokens))
    return np.array(tokens), np.array(offsets)


def write_stacks(folder: pathlib.Path, videos: int = 60, seed: int = 0) -> np.ndarray:
    """Writes `vNNN_rgb.npy` and `vNNN_flow.npy` of planted words; returns the words."""
    folder.mkdir(parents=True)
    tokens, offsets = planted_tokens(videos, 25, seed)
    random = np.random.default_rng(1)
    centres = random.gamma(1.0, 1.0, (TOPICS * WORDS_A_TOPIC, WIDTH))
    rows = (centres[tokens] + random.normal(0, 0.05, (len(tokens), WIDTH))).astype(np.float32)
    for video in range(videos):
        own = rows[offsets[video] : offsets[video + 1]]
        np.save(folder / f"v{video:03d}_rgb.npy", own)
        np.save(folder / f"v{video:03d}_flow.npy", own[:, ::-1] * 2)
    return tokens


def topics_within(vectors: np.ndarray, topics: np.ndarray, count: int) -> float:
    """Part of the `count` nearest neighbours by cosine that have the topic of the word."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :count]
    return float((topics[nearest] == topics[:, None]).mean())


@pytest.fixture(scope="session")
def stacks_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("semantic") / "stacks"
    write_stacks(folder)
    return folder


@pytest.fixture(scope="session")
def glove(stacks_folder: pathlib.Path) -> VisualGlove:
    with open_stacks([stacks_folder]) as stacks:
        return train(stacks, CODEBOOK, GLOVE, seed=1, workers=2)


@pytest.fixture(scope="session")
def glove_folder(glove: VisualGlove, stacks_folder: pathlib.Path) -> pathlib.Path:
    folder = stacks_folder.parent / "glove"
    save_glove(glove, folder)
    return folder
