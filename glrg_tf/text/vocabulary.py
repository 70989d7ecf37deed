"""The word list of a captioner: ids to words and back, built from captions or loaded from the release.

The release's own lists are in Python 2 hash order and cannot be rebuilt: `load_release` reads them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from glrg_tf.errors import DataError
from glrg_tf.io import atomic, documents

SPECIAL_WORDS = ("<end>", "<start>", "<unk>")
MAX_LENGTH = 30  # positions of a label row: <start>, up to 28 words and <end>, as in the release
_MAX_BYTES = 64 * 2**20  # a vocabulary file above this is not one


class Vocabulary:
    """An immutable word list; ids 0 `<end>` (also padding), 1 `<start>`, 2 `<unk>`, then the words.

    Args:
        words: all words, the three special ones first.
        tokenizer: name of the tokenizer whose words these are.

    Raises:
        DataError: special words missing or displaced, duplicate or blank words.
    """

    END, START, UNK = 0, 1, 2

    def __init__(self, words: Iterable[str], tokenizer: str = "release") -> None:
        self.words: tuple[str, ...] = tuple(words)
        self.tokenizer = tokenizer
        _check_words(self.words)
        self._ids = {word: index for index, word in enumerate(self.words)}

    @classmethod
    def build(cls, token_lists: Iterable[Sequence[str]], min_count: int = 3, tokenizer: str = "release") -> Vocabulary:
        """Returns the words that occur at least `min_count` times, by falling count, then alphabetically."""
        counts = Counter(word for tokens in token_lists for word in tokens)
        frequent = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL_WORDS]
        return cls((*SPECIAL_WORDS, *sorted(frequent, key=lambda word: (-counts[word], word))), tokenizer)

    def __len__(self) -> int:
        """Returns the number of ids, special ones included."""
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        """Equal words in equal order, of the same tokenizer."""
        return isinstance(other, Vocabulary) and (self.words, self.tokenizer) == (other.words, other.tokenizer)

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash((self.words, self.tokenizer))

    def __contains__(self, word: str) -> bool:
        """Whether `word` has an id of its own."""
        return word in self._ids

    def id_of(self, word: str) -> int:
        """Returns the id of `word`, `UNK` for a word that has none."""
        return self._ids.get(word, self.UNK)

    def encode(self, tokens: Sequence[str], max_length: int = MAX_LENGTH) -> np.ndarray:
        """Returns the label row of a caption, clipped as in the release: a clipped caption has no `<end>`.

        Returns:
            int32 (max_length,): `<start>`, word ids, `<end>`, zeros.
        """
        row = np.zeros(max_length, np.int32)
        ids = [self._ids.get(word, self.UNK) for word in tokens[: max_length - 1]]
        row[0] = self.START
        row[1 : 1 + len(ids)] = ids
        return row

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Returns the words of `ids` up to the first `<end>`, without `<start>`.

        Raises:
            DataError: an id outside the vocabulary.
        """
        words = []
        for index in ids:
            if index == self.END:
                break
            if not 0 <= index < len(self.words):
                raise DataError(
                    f"token id {int(index)} is outside the vocabulary of {len(self)} words",
                    remedy="use the vocabulary that the captioner was trained with",
                )
            if index != self.START:
                words.append(self.words[index])
        return words

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON `{"words": [...], "tokenizer": name}`, atomically."""
        atomic.write_json(path, {"words": list(self.words), "tokenizer": self.tokenizer})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Reads what `save` wrote.

        Raises:
            DataError: missing or damaged file.
        """
        value = documents.read_json(path, max_bytes=_MAX_BYTES)
        if not isinstance(value, dict) or not isinstance(value.get("words"), list):
            raise DataError(
                "not a vocabulary file: no list 'words'", where=path, remedy='expected {"words": [...], "tokenizer": …}'
            )
        return _from_list(value["words"], path, str(value.get("tokenizer", "release")))

    @classmethod
    def load_release(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Reads a release `*_vocab.json` (a list), the `vocab` of a `*_sequencelabel.h5`, or our own format.

        Raises:
            DataError: missing or damaged file, not a vocabulary.
        """
        if os.fspath(path).endswith((".h5", ".hdf5")):
            from glrg_tf.io import hdf5

            with hdf5.open_file(path, error=DataError) as handle:
                return _from_list(hdf5.read_strings(hdf5.dataset(handle, "vocab", error=DataError)), path)
        value = documents.read_json(path, max_bytes=_MAX_BYTES)
        return _from_list(value, path) if isinstance(value, list) else cls.load(path)


def _check_words(words: tuple[str, ...]) -> None:
    if words[:3] != SPECIAL_WORDS:
        found = ", ".join(map(repr, words[:3])) or "nothing"
        raise DataError(
            f"a vocabulary begins with {', '.join(SPECIAL_WORDS)}; this one with {found}",
            remedy="pass the *_vocab.json of the release or a vocabulary.json of ours, unchanged",
        )
    for word in words:
        if not isinstance(word, str) or not word or word.split() != [word]:
            raise DataError(f"{word!r} is no word: empty, not text, or with blanks", remedy="restore the vocabulary")
    if len(set(words)) != len(words):
        twice = next(word for word, count in Counter(words).items() if count > 1)
        raise DataError(f"the word '{twice}' occurs twice in the vocabulary", remedy="restore the vocabulary")


def _from_list(words: Sequence[Any], path: object, tokenizer: str = "release") -> Vocabulary:
    try:
        return Vocabulary(words, tokenizer)
    except DataError as error:
        raise DataError(error.what, where=path, remedy=error.remedy) from None
    except TypeError:
        raise DataError("the vocabulary holds something other than words", where=path) from None
