"""A small captioner with weights large enough for every path to matter."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.text.vocabulary import Vocabulary

WORDS = ("<end>", "<start>", "<unk>", "a", "man", "is", "playing", "guitar", "dog", "runs")


def build(feature_pool: str = "joint", scale: float = 0.8) -> VideoCaptioner:
    config = CaptionerConfig(
        vocabulary_size=len(WORDS),
        streams=(("long_range", 5), ("short_range", 4)),
        feature_pool=feature_pool,
        pool_size=6,
        embedding_size=5,
        hidden_size=8,
        max_length=12,
    )
    model = CaptionerModel(config, seed=1)
    rng = np.random.default_rng(5)
    model.set_weights({name: rng.normal(0, scale, v.shape) for name, v in model.variables_by_name().items()})
    return VideoCaptioner(model, Vocabulary(WORDS))


@pytest.fixture(scope="session")
def captioner() -> VideoCaptioner:
    return build()


@pytest.fixture(scope="session")
def videos() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(33, 9)).astype(np.float32)
