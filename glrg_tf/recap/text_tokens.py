"""Words of a recursive captioner: ids of a text, of the texts below with separators between, and back.

A padding id does not exist: where a row has no word it holds -1 (the reference pads with a word).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.recap.sampling import spread
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import SPECIAL_WORDS, Vocabulary

PADDING = -1
SEPARATOR = "<sep>"
FILE = "vocabulary.json"


class TextTokens(Protocol):
    """Text to ids and back."""

    kind: str  # name in a captioner's config.json
    size: int  # ids, special ones included
    start: int  # id that a text begins with
    end: int  # id that ends it
    separator: int  # id between two lower texts

    def encode(self, text: str) -> list[int]:
        """Ids of the words alone."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids of words; others are passed over."""
        ...

    def save(self, folder: Path) -> None:
        """Writes its files into a captioner folder."""
        ...

    def digest(self) -> str:
        """sha256 of what it knows."""
        ...


class WordTokens:
    """A word list of the training texts (`nano`).

    Args:
        vocabulary: whose first word after the special ones is the separator.
    """

    kind = "words"

    def __init__(self, vocabulary: Vocabulary) -> None:
        if SEPARATOR not in vocabulary:
            raise DataError(f"a vocabulary without '{SEPARATOR}'", remedy="use the one the captioner was trained with")
        self.vocabulary = vocabulary
        self.size = len(vocabulary)
        self.start, self.end, self.separator = Vocabulary.START, Vocabulary.END, vocabulary.id_of(SEPARATOR)
        self._tokenizer = get_tokenizer(vocabulary.tokenizer)

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1, tokenizer: str = "release") -> WordTokens:
        """The words of `texts` that occur at least `min_count` times."""
        split = get_tokenizer(tokenizer)
        counted = Vocabulary.build((split(text) for text in texts), min_count, tokenizer)
        own = [word for word in counted.words if word not in (*SPECIAL_WORDS, SEPARATOR)]
        return cls(Vocabulary((*SPECIAL_WORDS, SEPARATOR, *own), tokenizer))

    def encode(self, text: str) -> list[int]:
        """See `TextTokens`."""
        return [self.vocabulary.id_of(word) for word in self._tokenizer(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """See `TextTokens`."""
        known = [int(number) for number in ids if number not in (PADDING, self.start, self.end, self.separator)]
        return self._tokenizer.detokenize(self.vocabulary.decode(known))

    def save(self, folder: Path) -> None:
        """See `TextTokens`."""
        self.vocabulary.save(folder / FILE)

    def digest(self) -> str:
        """See `TextTokens`."""
        return hashlib.sha256(" ".join((self.vocabulary.tokenizer, *self.vocabulary.words)).encode()).hexdigest()

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> WordTokens:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: missing or damaged.
        """
        try:
            return cls(Vocabulary.load(Path(folder) / FILE))
        except DataError as error:
            raise CheckpointError(error.what, where=error.where or folder, remedy=error.remedy) from error


def load_tokens(folder: str | os.PathLike[str], kind: str) -> TextTokens:
    """The tokens of a captioner folder.

    Raises:
        CheckpointError: missing, damaged, or of a kind that is not known.
    """
    if kind == WordTokens.kind:
        return WordTokens.load(folder)
    if kind == "byte-pairs":
        from glrg_tf.recap.byte_pairs import BytePairTokens

        return BytePairTokens.load(folder)
    raise CheckpointError(f"tokens of kind '{kind}' are not known", where=folder, remedy="use a newer version")


def join(tokens: TextTokens, texts: Sequence[str], most: int) -> list[int]:
    """Ids of lower texts in order, separators between; at most `most`.

    Where they are too many, whole texts are left out, evenly over time; one text that alone is too long is cut.
    """
    return join_ids(tokens, [ids for ids in map(tokens.encode, texts) if ids], most)


def join_ids(tokens: TextTokens, encoded: Sequence[list[int]], most: int) -> list[int]:
    """`join` of texts that are ids already, none of them empty."""
    wanted = len(encoded)
    while wanted > 1:
        chosen = [encoded[row] for row in spread(len(encoded), wanted)]
        if sum(map(len, chosen)) + len(chosen) - 1 <= most:
            break
        wanted -= 1
    else:
        chosen = list(encoded[:1])
    joined: list[int] = []
    for ids in chosen:
        joined += [tokens.separator, *ids] if joined else ids
    return joined[:most]


def target(tokens: TextTokens, text: str, max_words: int) -> tuple[list[int], list[int]]:
    """Inputs and labels of a text: start and words, words and end; a text that is cut has no end."""
    ids = tokens.encode(text)
    if len(ids) > max_words:
        return [tokens.start, *ids[: max_words - 1]], ids[:max_words]
    return [tokens.start, *ids], [*ids, tokens.end]


def padded(rows: Sequence[Sequence[int]], length: int = 0) -> np.ndarray:
    """Rows of ids as int32 (N, T), -1 where there is nothing; T is at least 1 and `length`."""
    longest = max([1, length, *map(len, rows)])
    table = np.full((len(rows), longest), PADDING, np.int32)
    for row, ids in enumerate(rows):
        table[row, : len(ids)] = ids
    return table
