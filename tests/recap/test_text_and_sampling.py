"""Words, separators, lower texts that are too many, and which rows are read."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import CheckpointError, ConfigError, FeatureError
from glrg_tf.recap.inputs import feature_arrays, read_arrays, text_length
from glrg_tf.recap.sampling import resize_queries, sample_rows, spread, uniform_rows
from glrg_tf.recap.text_tokens import PADDING, WordTokens, join, load_tokens, padded, target
from tests.recap.made_recap import tiny

TOKENS = WordTokens.build(["a ball moves", "the ball goes", "a star rests"])


def test_words_there_and_back(tmp_path):
    ids = TOKENS.encode("A ball, moves!")
    assert TOKENS.decode([TOKENS.start, *ids, TOKENS.end, TOKENS.separator, PADDING]) == "a ball moves"
    assert TOKENS.size == 3 + 1 + 7 and 0 not in ids
    TOKENS.save(tmp_path)
    again = load_tokens(tmp_path, "words")
    assert again.digest() == TOKENS.digest() and again.encode("a star") == TOKENS.encode("a star")
    with pytest.raises(CheckpointError, match="not known"):
        load_tokens(tmp_path, "syllables")


def test_separators_stand_between_lower_texts():
    one, two = TOKENS.encode("a ball moves"), TOKENS.encode("the ball goes")
    assert join(TOKENS, ["a ball moves", "", "the ball goes"], 99) == [*one, TOKENS.separator, *two]
    assert join(TOKENS, [], 99) == []


def test_too_many_lower_texts_are_thinned_out_whole_and_evenly():
    texts = [f"{'a' if k % 2 else 'the'} ball goes" for k in range(11)]
    joined = join(TOKENS, texts, 23)  # six texts of three words need 6·3 + 5
    assert len(joined) == 23 and joined.count(TOKENS.separator) == 5
    assert joined[:3] == TOKENS.encode(texts[0]) and joined[-3:] == TOKENS.encode(texts[-1])
    assert len(join(TOKENS, ["a ball moves a ball moves"], 4)) == 4


def test_targets_end_unless_they_are_cut():
    words = TOKENS.encode("a ball moves")
    assert target(TOKENS, "a ball moves", 3) == ([TOKENS.start, *words], [*words, TOKENS.end])
    assert target(TOKENS, "a ball moves", 2) == ([TOKENS.start, words[0]], words[:2])
    np.testing.assert_array_equal(padded([[5], []], 2), [[5, -1], [-1, -1]])


@pytest.mark.parametrize(("count", "wanted"), [(333, 80), (1, 4), (46, 80), (512, 512), (10**12 + 1, 7)])
def test_uniform_rows_are_as_many_as_wanted(count, wanted):
    rows = uniform_rows(count, wanted)
    assert len(rows) == wanted and rows.min() >= 0 and rows.max() < count and (np.diff(rows) >= 0).all()
    assert rows[-1] == wanted * count // (wanted + 1)


def test_sampling_of_rows():
    rows = np.arange(10, dtype=np.float32)[:, None]
    assert sample_rows(rows, 12, "masking")[0] is rows
    np.testing.assert_array_equal(sample_rows(rows, 4, "masking")[0][:, 0], [2, 4, 6, 8])
    assert len(sample_rows(rows, 12, "uniform")[0]) == 12
    np.testing.assert_allclose(sample_rows(rows, 3, "mean")[0][:, 0], [1, 4, 7.5])
    assert len(sample_rows(rows[:0], 3, "uniform")[0]) == 0
    with pytest.raises(ConfigError, match="random"):
        sample_rows(rows, 3, "random")
    assert spread(5, 2).tolist() == [0, 4] and spread(3, 9).tolist() == [0, 1, 2] and spread(4, 1).tolist() == [0]
    assert len(resize_queries(np.zeros((4, 2)), 7)) == 7
    with pytest.raises(ConfigError):
        uniform_rows(0, 3)


def test_what_a_level_reads():
    config = tiny(vocabulary_size=TOKENS.size)
    rows = [np.ones((3, 5), np.float32), np.ones((20, 5), np.float32)]
    arrays = read_arrays(config, "segment", rows, [TOKENS.encode("a ball moves"), []], rows=8, words=16)
    assert arrays["features"].shape == (2, 8, 5) and arrays["seen"].sum(axis=1).tolist() == [3, 8]
    assert arrays["text_ids"].shape == (2, 16) and (arrays["text_ids"][1] == PADDING).all()
    assert set(read_arrays(config, "clip", [np.ones((2, 6), np.float32)], [[]])) == {"features", "seen"}
    assert text_length(config, [5] * 3) == text_length(config, [5] * 99) == 48  # never beyond what is read at once
    with pytest.raises(FeatureError, match="reads"):
        feature_arrays(config, "segment", [np.ones((3, 4), np.float32)])
    with pytest.raises(FeatureError, match="not finite"):
        feature_arrays(config, "segment", [np.full((3, 5), np.nan, np.float32)])
    with pytest.raises(FeatureError, match="at most"):
        feature_arrays(config, "clip", [np.ones((65, 6), np.float32)])
