"""The sentence an explanation is asked about, as the captioner's own tokens.

The reference code dies of a word it does not know and keeps punctuation; here a sentence passes the captioner's
tokenizer, and words outside its vocabulary are read as `<unk>`, as in training, and named.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary

MAX_WORDS = 100


@dataclasses.dataclass(frozen=True)
class Query:
    """A sentence that is asked about.

    Attributes:
        words: n, as the tokenizer gives them.
        token_ids: int32 (n,).
        known: bool (n,), whether the captioner has the word; maps of the others would be those of `<unk>`.
    """

    words: tuple[str, ...]
    token_ids: np.ndarray
    known: np.ndarray

    @property
    def unknown(self) -> tuple[str, ...]:
        """Words the captioner does not have, each once."""
        return tuple(dict.fromkeys(word for word, known in zip(self.words, self.known, strict=True) if not known))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of the sentence."""
        if not self.unknown:
            return ()
        words = ", ".join(f"'{word}'" for word in self.unknown)
        return (f"not among the captioner's words, so without a map: {words}",)


def parse_query(sentence: str, vocabulary: Vocabulary) -> Query:
    """Splits a sentence as the captioner's captions were split.

    Raises:
        ConfigError: no word in it, none that the captioner knows, or more than `MAX_WORDS`.
    """
    words = tuple(get_tokenizer(vocabulary.tokenizer)(sentence))
    if not words:
        raise ConfigError("the sentence has no words", where="--sentence", remedy="write a sentence")
    if len(words) > MAX_WORDS:
        raise ConfigError(f"{len(words)} words", where="--sentence", remedy=f"at most {MAX_WORDS}")
    token_ids = np.array([vocabulary.id_of(word) for word in words], np.int32)
    query = Query(words, token_ids, token_ids > Vocabulary.UNK)
    if not query.known.any():
        some = ", ".join(vocabulary.words[3:11])
        raise ConfigError(
            f"the captioner knows none of these words: {' '.join(words)}",
            where="--sentence",
            remedy=f"use words of its vocabulary: {some}, …",
        )
    return query
