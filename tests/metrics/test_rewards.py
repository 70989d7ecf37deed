"""Rewards other than CIDEr-D against pycocoevalcap on the same words."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.metrics import meteor
from glrg_tf.metrics.ciderd import CiderD, encode_references
from glrg_tf.metrics.rewards import RewardMix
from glrg_tf.text.vocabulary import Vocabulary
from tests.metrics.captions import disturbed, made_captions
from tests.metrics.test_consensus import scorer_of

CAPTIONS = [[*texts, "xylophone", "a man a man a man"] for texts in made_captions(6)]
VOCABULARY = Vocabulary.build([text.split() for texts in CAPTIONS for text in texts], min_count=7)
REFERENCES = encode_references(CAPTIONS, VOCABULARY, str.split)
CIDERD = CiderD.from_references(REFERENCES)


@pytest.fixture(scope="module")
def batch():
    rows = np.repeat(np.arange(6), 8).astype(np.int32)
    token_ids = disturbed(REFERENCES, rows, 12)
    return np.where(token_ids < len(VOCABULARY), token_ids, 2).astype(np.int32), rows


def texts_of(token_ids):
    return [" ".join(VOCABULARY.decode(row)) for row in token_ids.tolist()]


def expected_scores(metric, token_ids, rows):
    results = texts_of(token_ids)
    if metric == "METEOR":
        return meteor.score(results, [CAPTIONS[row] for row in rows]).segments
    references = {n: CAPTIONS[row] for n, row in enumerate(rows)}
    return np.array(scorer_of(metric)(references, {n: [text] for n, text in enumerate(results)})[1])


@pytest.mark.parametrize("metric", ["Bleu_4", "ROUGE_L", "METEOR"])
def test_equals_pycocoevalcap(batch, metric):
    expected = expected_scores(metric, *batch)
    scores = RewardMix.build([(metric, 1.0)], CAPTIONS, VOCABULARY, CIDERD)(*batch)
    assert scores.dtype == "float32" and np.ptp(expected) > 0.2
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_mix_in_a_traced_function(batch):
    import tensorflow as tf

    mix = RewardMix.build([("CIDEr-D", 0.5), ("Bleu_4", 2.0), ("ROUGE_L", 1.0), ("METEOR", 0.0)], CAPTIONS, VOCABULARY,
                          CIDERD)  # fmt: skip
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
    traced = tf.function(lambda token_ids, rows: mix(token_ids, rows), input_signature=signature)
    expected = 0.5 * CIDERD.score_numpy(*batch) + 2 * expected_scores("Bleu_4", *batch)
    expected += expected_scores("ROUGE_L", *batch)
    np.testing.assert_allclose(traced(*batch), expected, atol=1e-5)
    assert traced(batch[0][:0], batch[1][:0]).shape == (0,)
    assert traced(batch[0][:1, :1], batch[1][:1]).shape == (1,)


def test_refuses_an_unknown_reward():
    with pytest.raises(ConfigError, match="SPICE"):
        RewardMix.build([("SPICE", 1.0)], CAPTIONS, VOCABULARY, CIDERD)
