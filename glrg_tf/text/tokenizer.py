"""Tokenizers: caption text to word lists and back.

`release` matches the preprocessing of the GL-RG release (script `standalize_format`; verified on all captions of its
label files). `unicode` is ours: any script, chosen per data set and stored in it.
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Iterable
from typing import Protocol

from glrg_tf.errors import ConfigError

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Scripts written without blanks between words: every character, with its marks, is a token of its own.
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"  # ideographic marks, Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_APOSTROPHES = re.compile("[\u2018\u2019\u02bc\uff07]")


class Tokenizer(Protocol):
    """Splits a caption into words and joins words into text."""

    name: str

    def __call__(self, text: str) -> list[str]:
        """Returns the words of `text`; none for text without any."""
        ...

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Returns `tokens` as text."""
        ...


class ReleaseTokenizer:
    """The release's rule: drop non-ASCII, lower-case, delete punctuation, split on blanks ("Hi-fi!" -> "hifi")."""

    name = "release"

    def __call__(self, text: str) -> list[str]:
        """Returns the words of `text`; none for text without any ASCII word."""
        ascii_only = text if text.isascii() else text.encode("ascii", "ignore").decode("ascii")
        return ascii_only.lower().translate(_DELETE_PUNCTUATION).split()

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Returns `tokens` joined by blanks."""
        return " ".join(tokens)


class UnicodeTokenizer:
    """Words of any script: NFKC, lower-case, runs of letters, marks and digits; apostrophes inside a word stay.

    Scripts that write no blanks (Chinese, Japanese, Thai, Lao, Khmer, Myanmar) give one token a character, the usual
    unit where no dictionary is at hand; `detokenize` joins these again without blanks.
    """

    name = "unicode"

    def __call__(self, text: str) -> list[str]:
        """Returns the words of `text`; none for text without letters or digits."""
        if text.isascii():
            return _ASCII_WORD.findall(text.lower())
        normal = unicodedata.normalize("NFKC", _APOSTROPHES.sub("'", text)).lower()
        return _word_pattern().findall(normal)

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Returns `tokens` joined by blanks, except between two characters of scripts without blanks."""
        text, previous_unspaced = "", True
        for token in tokens:
            unspaced = _unspaced_pattern().match(token) is not None
            text += token if not text or (unspaced and previous_unspaced) else f" {token}"
            previous_unspaced = unspaced
        return text


def get_tokenizer(name: str) -> Tokenizer:
    """Returns the tokenizer called `name`.

    Raises:
        ConfigError: unknown name.
    """
    tokenizers: dict[str, Tokenizer] = {t.name: t for t in (ReleaseTokenizer(), UnicodeTokenizer())}
    if name not in tokenizers:
        raise ConfigError(f"unknown tokenizer '{name}'", remedy="known: " + ", ".join(tokenizers))
    return tokenizers[name]


@functools.cache
def _marks() -> str:
    # Python's \w has letters and digits but no combining marks, which Indic and Arabic words contain; planes 0 and 1
    # hold all of them.
    return "".join(chr(code) for code in range(0x20000) if unicodedata.category(chr(code))[0] == "M")


@functools.cache
def _word_pattern() -> re.Pattern[str]:
    marks = re.escape(_marks())
    letter = rf"(?:(?![{_UNSPACED}])[^\W_]|[{marks}])"
    return re.compile(rf"(?![{marks}])[{_UNSPACED}](?<=[^\W_])[{marks}]*|{letter}+(?:'{letter}+)*")


@functools.cache
def _unspaced_pattern() -> re.Pattern[str]:
    return re.compile(f"[{_UNSPACED}]")
