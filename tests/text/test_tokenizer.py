"""Tokenizers: the release's rule, words of any script, and back to text."""

from __future__ import annotations

import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.text.tokenizer import ReleaseTokenizer, UnicodeTokenizer, get_tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man is High-Fiving!", ["a", "man", "is", "highfiving"]),
        ("  don't\tstop \n", ["dont", "stop"]),
        ("a na\u00efve caf\u00e9", ["a", "nave", "caf"]),
        ("3.5 x 2", ["35", "x", "2"]),
        ("\u4e00\u4e2a\u7537\u4eba", []),
        ("... !?", []),
        ("", []),
    ],
)
def test_release_rule(text: str, words: list[str]) -> None:
    assert ReleaseTokenizer()(text) == words


def test_release_rule_deletes_exactly_the_32_ascii_marks() -> None:
    marks = "".join(chr(c) for c in range(33, 127) if not chr(c).isalnum())
    assert len(marks) == 32
    assert ReleaseTokenizer()("a" + marks + "b") == ["ab"]


@pytest.mark.parametrize(
    ("text", "words", "back"),
    [
        ("Don\u2019t stop, it's 3.5!", ["don't", "stop", "it's", "3", "5"], "don't stop it's 3 5"),
        ("Ein M\u00e4dchen l\u00e4uft \u00fcber", ["ein", "m\u00e4dchen", "l\u00e4uft", "\u00fcber"], None),
        ("\u4e00\u4e2a\u7537\u4eba\u3002", ["\u4e00", "\u4e2a", "\u7537", "\u4eba"], "\u4e00\u4e2a\u7537\u4eba"),
        ("\u72ac cat \u72ac", ["\u72ac", "cat", "\u72ac"], "\u72ac cat \u72ac"),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902"],
            None,
        ),
        (
            "\u0631\u064e\u062c\u064f\u0644\u064c \u064a\u0639\u0632\u0641",
            ["\u0631\u064e\u062c\u064f\u0644\u064c", "\u064a\u0639\u0632\u0641"],
            None,
        ),
        ("\ud55c\uad6d\uc5b4 \ubb38\uc7a5", ["\ud55c\uad6d\uc5b4", "\ubb38\uc7a5"], None),
        ("\uff26\uff55\uff4c\uff4c", ["full"], "full"),
        ("cafe\u0301", ["caf\u00e9"], None),
        ("\U0001f600 ...", [], ""),
        ("", [], ""),
    ],
)
def test_words_of_any_script(text: str, words: list[str], back: str | None) -> None:
    tokenizer = UnicodeTokenizer()
    assert tokenizer(text) == words
    assert tokenizer.detokenize(words) == (" ".join(words) if back is None else back)
    assert tokenizer(tokenizer.detokenize(words)) == words


def test_ascii_captions_read_the_same_on_the_quick_path() -> None:
    text = "The dog's ball -- it's red_blue, 2 o'clock"
    assert UnicodeTokenizer()(text) == UnicodeTokenizer()(text + " \u00e9")[:-1]


def test_detokenize_joins_by_blanks() -> None:
    assert ReleaseTokenizer().detokenize(["a", "man"]) == "a man"


def test_tokenizers_are_found_by_name() -> None:
    assert get_tokenizer("release").name == "release"
    assert get_tokenizer("unicode").name == "unicode"
    with pytest.raises(ConfigError, match="unknown tokenizer 'ptb'"):
        get_tokenizer("ptb")
