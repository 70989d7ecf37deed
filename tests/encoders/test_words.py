"""The words of the long-range encoder."""

from __future__ import annotations

from glrg_tf.encoders.words import choose_words, word_shares

CAPTIONS = [
    ["A man is quickly playing the guitar.", "the man plays a guitar"],
    ["two men are playing with a butterfly", "Playing!"],
    ["A family is playing in the snow", "a man falls into snow"],
]


def test_content_words_by_number_of_videos():
    words = choose_words(CAPTIONS, 10, min_videos=1)
    assert words[:2] == ("playing", "man")  # three videos, two videos
    assert {"guitar", "snow", "family", "butterfly", "falls", "men"} <= set(words)
    assert not {"a", "the", "is", "are", "with", "in", "into", "two", "quickly"} & set(words)


def test_rare_words_and_the_count_limit_the_list():
    assert choose_words(CAPTIONS, 10) == ("playing", "man")
    assert choose_words(CAPTIONS, 1) == ("playing",)


def test_ties_are_broken_by_uses_then_by_the_alphabet():
    assert choose_words([["b c", "c"], ["b c"], ["zz aa"]], 9, min_videos=1) == ("aa", "zz")  # single letters are none
    assert choose_words([["bb cc", "cc"], ["bb cc"]], 9) == ("cc", "bb")


def test_shares():
    assert word_shares(CAPTIONS[0], ("man", "guitar", "snow")) == [1.0, 1.0, 0.0]
    assert word_shares(CAPTIONS[1], ("playing", "men")) == [1.0, 0.5]
