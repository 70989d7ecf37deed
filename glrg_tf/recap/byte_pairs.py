"""GPT-2's byte-pair tokens, from the user's own vocab.json and merges.txt (MIT, published with GPT-2).

Byte level: every text has tokens, and decoding gives it back byte for byte. Begin and end are both <|endoftext|>; a
line break stands between lower texts; there is no padding id (text_tokens.py).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import atomic, documents

FILE = "bpe.json"
END_OF_TEXT = "<|endoftext|>"
_MAX_BYTES = 2**25  # GPT-2's vocabulary has 1 MB
_MOST_TOKENS = 2**20


class BytePairTokens:
    """Byte pairs of GPT-2.

    Args:
        vocabulary: token -> id, ids 0 … N-1.
        merges: pairs of tokens, the most frequent first.

    Raises:
        DataError: not such a vocabulary.
    """

    kind = "byte-pairs"

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        letters = byte_letters()
        missing = [token for token in (END_OF_TEXT, *letters.values()) if token not in vocabulary]
        known = set(letters.values())
        strange = next((token for token in vocabulary if not known.issuperset(token)), None)
        if missing or strange is not None or sorted(vocabulary.values()) != list(range(len(vocabulary))):
            what = f"'{missing[0]}' is missing" if missing else "ids are not 0 … N-1"
            what = what if strange is None else f"'{strange[:40]}' is made of letters that are no bytes"
            raise DataError(f"no byte-pair vocabulary: {what}", remedy="vocab.json and merges.txt of GPT-2")
        self._ids, self._merges = dict(vocabulary), [tuple(pair) for pair in merges]
        self._tokens = {number: token for token, number in self._ids.items()}
        self._ranks = {pair: rank for rank, pair in enumerate(self._merges)}
        self._letters = letters
        self._bytes = {letter: byte for byte, letter in letters.items()}
        self.size = len(self._ids)
        self.start = self.end = self._ids[END_OF_TEXT]
        self.separator = self._ids[letters[ord("\n")]]
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def from_files(cls, vocabulary: str | os.PathLike[str], merges: str | os.PathLike[str]) -> BytePairTokens:
        """Reads GPT-2's vocab.json and merges.txt.

        Raises:
            DataError: missing or damaged.
        """
        value = documents.read_json(vocabulary, max_bytes=_MAX_BYTES)
        lines = documents.read_text(merges, max_bytes=_MAX_BYTES).split("\n")
        pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        return _checked(cls, {"vocabulary": value, "merges": pairs}, vocabulary)

    def encode(self, text: str) -> list[int]:
        """See `TextTokens`."""
        ids: list[int] = []
        for word in _pattern().findall(text):
            if word not in self._cache:
                if len(self._cache) > _MOST_TOKENS:
                    self._cache.clear()
                letters = [self._letters[byte] for byte in word.encode("utf-8", "replace")]
                self._cache[word] = [self._ids[token] for token in self._merged(letters)]
            ids += self._cache[word]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """See `TextTokens`."""
        known = [
            self._tokens[int(n)] for n in ids if int(n) in self._tokens and int(n) not in (self.end, self.separator)
        ]
        return bytes(self._bytes[letter] for letter in "".join(known)).decode("utf-8", "replace").strip()

    def _merged(self, parts: list[str]) -> list[str]:
        while len(parts) > 1:
            ranked = [(self._ranks.get(pair, sys.maxsize), pair) for pair in zip(parts, parts[1:], strict=False)]
            rank, best = min(ranked)
            if rank == sys.maxsize:
                break
            joined, place = [], 0
            while place < len(parts):
                found = tuple(parts[place : place + 2]) == best
                joined.append("".join(parts[place : place + 2]) if found else parts[place])
                place += 2 if found else 1
            parts = joined
        return parts

    def digest(self) -> str:
        """See `TextTokens`."""
        return hashlib.sha256(json.dumps([self._ids, self._merges], sort_keys=True).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """See `TextTokens`."""
        atomic.write_json(folder / FILE, {"vocabulary": self._ids, "merges": [list(pair) for pair in self._merges]})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> BytePairTokens:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: missing or damaged.
        """
        try:
            return _checked(cls, documents.read_json(Path(folder) / FILE, max_bytes=_MAX_BYTES), Path(folder) / FILE)
        except DataError as error:
            raise CheckpointError(error.what, where=error.where or folder, remedy=error.remedy) from error


def _checked(cls: type[BytePairTokens], value: object, where: object) -> BytePairTokens:
    if isinstance(value, dict):
        vocabulary, merges = value.get("vocabulary"), value.get("merges")
        sound = isinstance(vocabulary, dict) and all(type(number) is int for number in vocabulary.values())
        pairs = isinstance(merges, list) and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in merges
        )
        if sound and pairs:
            known = vocabulary.keys()
            lost = next((pair for pair in merges if "".join(pair) not in known or not known >= set(pair)), None)
            if lost is None:
                return cls(vocabulary, [(first, second) for first, second in merges])
            raise DataError(f"the pair {lost} is not in the vocabulary", where=where, remedy="files of one model")
    raise DataError("no byte-pair vocabulary", where=where, remedy="vocab.json and merges.txt of GPT-2")


@functools.cache
def byte_letters() -> dict[int, str]:
    """GPT-2's printable letter of each byte: itself where it is printable Latin-1, else one from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {byte: chr(byte) for byte in plain}
    others = [byte for byte in range(256) if byte not in letters]
    return letters | {byte: chr(256 + number) for number, byte in enumerate(others)}


@functools.cache
def _pattern() -> re.Pattern[str]:
    r"""GPT-2's words, `'s|'t|…| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, without the regex package."""
    numbers = "".join(re.escape(chr(c)) for c in range(0x20000) if unicodedata.category(chr(c)) in ("Nl", "No"))
    letter, number = rf"(?:(?![{numbers}])[^\W\d_])", rf"[\d{numbers}]"
    other = rf"(?:(?!{letter}|{number})\S)"
    return re.compile(rf"'s|'t|'re|'ve|'m|'ll|'d| ?{letter}+| ?{number}+| ?{other}+|\s+(?!\S)|\s+")
