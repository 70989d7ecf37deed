"""Rewards of one's own: registered, mixed with the built-in ones, refused by name where unknown."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.metrics import reward_names
from glrg_tf.metrics.rewards import RewardMix
from glrg_tf.text.vocabulary import Vocabulary
from training.config import PhaseConfig

VOCABULARY = Vocabulary(("<end>", "<start>", "<unk>", "a", "ball"))


class Length:
    def __init__(self, references, vocabulary):
        self.captions = [len(captions) for captions in references]

    def score_numpy(self, token_ids, video_rows):
        return (np.asarray(token_ids) > 0).sum(axis=1) / 10


@pytest.fixture
def length(monkeypatch):
    monkeypatch.setattr(reward_names, "_OWN", {})
    reward_names.register_reward("length", Length)


def test_a_registered_reward_takes_part_in_a_mix(length):
    mix = RewardMix.build([("length", 2.0), ("ROUGE_L", 1.0)], [["a ball"]], VOCABULARY, ciderd=None)
    scores = mix(np.array([[3, 4, 0], [3, 0, 0]], np.int32), np.zeros(2, np.int32)).numpy()
    assert scores[0] == pytest.approx(2 * 0.2 + 1.0) and 0.2 < scores[1] < scores[0]
    assert PhaseConfig(reward=(("length", 1.0),)).reward == (("length", 1.0),)


def test_unknown_and_taken_names_are_refused(length):
    with pytest.raises(ConfigError, match="unknown reward 'lenght'"):
        PhaseConfig(reward=(("lenght", 1.0),))
    with pytest.raises(ConfigError, match="built-in"):
        reward_names.register_reward("METEOR", Length)
    assert reward_names.known_rewards()[-1] == "length"
