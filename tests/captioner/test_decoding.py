"""Greedy, sampling and beam drivers against loops over the functional decoder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner import beam, decoding


def log_probs_of(captioner, gates: np.ndarray, tokens: list[int]) -> np.ndarray:
    """Next-word log-probabilities (V,) after `tokens`, by the functional decoder."""
    hidden = cell = tf.zeros([1, captioner.config.hidden_size])
    for token in [1, *tokens]:
        out = captioner.model.decoder([tf.constant([token]), hidden, cell, tf.constant(gates[None])])
        hidden, cell = out["hidden"], out["cell"]
    return out["log_probs"].numpy()[0]


def test_greedy_takes_the_most_probable_word(captioner, videos):
    gates = captioner.model.encode(videos[:4])
    result = decoding.greedy(captioner.model.decoder_weights(), gates, 6)
    for row in range(4):
        tokens: list[int] = []
        total = 0.0
        while len(tokens) < 6:
            log_probs = log_probs_of(captioner, gates[row].numpy(), tokens)
            tokens.append(int(log_probs.argmax()))
            total += log_probs.max()
            if tokens[-1] == 0:
                break
        assert result.token_ids[row, 0].numpy()[: len(tokens)].tolist() == tokens
        assert abs(float(result.scores[row, 0]) - total) < 1e-4


def test_exhaustive_search_finds_what_a_full_beam_finds(captioner, videos):
    """With a beam wide enough to keep everything, the best hypotheses are the best of all strings."""
    gates, size = captioner.model.encode(videos[:2]), 10
    weights = captioner.model.decoder_weights()
    result = beam.beam_search(weights, gates, beam_size=size, num_captions=2, max_words=2)
    for row in range(2):
        every = {}
        first = log_probs_of(captioner, gates[row].numpy(), [])
        every[()] = first[0]
        for word in range(1, size):
            second = log_probs_of(captioner, gates[row].numpy(), [word])
            for after in range(size):
                every[(word, after) if after else (word,)] = first[word] + second[after]
        best = sorted(every.items(), key=lambda item: -item[1])[:2]
        found = [tuple(t for t in ids if t) for ids in result.token_ids[row].numpy().tolist()]
        assert found == [words for words, _ in best]
        np.testing.assert_allclose(result.scores[row], [score for _, score in best], rtol=1e-5)


def test_batch_of_one_equals_batch_of_32(captioner, videos):
    for options in ({"beam_size": 1}, {"beam_size": 5, "num_captions": 3}, {"compat": "release"}):
        together = captioner.generate(videos[:32], **options)
        alone = list(itertools.chain(*(captioner.generate(videos[i : i + 1], **options) for i in range(32))))
        assert [[c.token_ids for c in v] for v in together] == [[c.token_ids for c in v] for v in alone]
        scores = [[c.score for c in v] for v in together], [[c.score for c in v] for v in alone]
        for a, b in zip(*scores, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_beam_scores_are_the_captions_log_probabilities(captioner, videos):
    for captions in captioner.generate(videos[:6], 5, 5):
        assert [c.score for c in captions] == sorted((c.score for c in captions), reverse=True)
        assert len({c.token_ids for c in captions}) == 5
        for caption in captions:
            assert abs(sum(caption.token_log_probs) - caption.score) < 1e-4
    best = [captions[0] for captions in captioner.generate(videos[:6], 5)]
    tokens = np.zeros((6, 29), np.int32)
    for row, caption in enumerate(best):
        tokens[row, : len(caption.token_ids)] = caption.token_ids
    scored = captioner.score(videos[:6], tokens)
    for row, caption in enumerate(best):
        spent = len(caption.token_log_probs)
        np.testing.assert_allclose(scored[row, :spent], caption.token_log_probs, rtol=1e-4, atol=1e-5)


def test_wider_beams_find_no_worse(captioner, videos):
    narrow, wide = (captioner.generate(videos, size) for size in (1, 10))
    assert np.mean([w[0].score - n[0].score for n, w in zip(narrow, wide, strict=True)]) >= 0
    assert all(w[0].score >= n[0].score - 1e-4 for n, w in zip(narrow, wide, strict=True))


def test_length_normalisation_ranks_by_the_divided_score(captioner, videos):
    weights, gates = captioner.model.decoder_weights(), captioner.model.encode(videos)
    for alpha in (0.5, 1.0):
        result = beam.beam_search(weights, gates, 5, 5, 8, length_normalization=alpha)
        finished = (result.token_ids.numpy() == 0).any(axis=2)
        length = (result.token_ids.numpy() != 0).sum(axis=2) + finished
        sums = result.token_log_probs.numpy().sum(axis=2)
        np.testing.assert_allclose(result.scores, sums / np.maximum(length, 1) ** alpha, rtol=1e-4, atol=1e-5)


def test_sampling_repeats_with_its_seed(captioner, videos):
    weights, gates = captioner.model.decoder_weights(), captioner.model.encode(videos)
    draws = [decoding.sample(weights, gates, tf.constant(s)).token_ids.numpy() for s in ([1, 2], [1, 2], [3, 4])]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_one_trace_for_every_batch_size(captioner, videos):
    for size in (1, 7, 32):
        captioner.generate(videos[:size], 5)
    (function,) = [
        f for (s, n, compat), f in captioner._functions.items() if s.beam_size == 5 and n == 1 and not compat
    ]
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("alpha", "count"), [(0.0, 1), (0.0, 3), (1.0, 5)])
def test_static_shapes_change_nothing(captioner, videos, alpha, count):
    """Computing every hypothesis, for compilers, or only those that can still matter."""
    weights, gates = captioner.model.decoder_weights(), captioner.model.encode(videos)
    either = [
        beam.beam_search(weights, gates, 5, count, 10, length_normalization=alpha, static_shapes=static)
        for static in (False, True)
    ]
    np.testing.assert_array_equal(either[0].token_ids, either[1].token_ids)
    np.testing.assert_allclose(either[0].scores, either[1].scores, rtol=1e-5)


def test_a_table_of_words_changes_nothing(captioner, videos):
    weights, gates = captioner.model.decoder_weights(), captioner.model.encode(videos[:1])
    with_table = beam.beam_search(weights, gates, table=decoding.word_table(weights))
    np.testing.assert_array_equal(beam.beam_search(weights, gates).token_ids, with_table.token_ids)
    empty = tf.zeros([0, 4 * captioner.config.hidden_size])
    np.testing.assert_array_equal(beam.beam_search(weights, gates, table=empty).token_ids, with_table.token_ids)


def test_best_words_of_wide_rows_are_those_of_top_k():
    logits = tf.round(10.0 * tf.random.stateless_normal([50, 1003], [1, 2]))  # rounded: many ties
    expected, found = tf.math.top_k(logits, 5), beam._top_words(logits, 5)
    np.testing.assert_array_equal(found[0], expected.values)
    np.testing.assert_array_equal(found[1], expected.indices)
