"""Ids to text in graphs, letter for letter as the tokenizer joins them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from export.detokenizer import Detokenizer, joined_without_blank
from export.onnx_text import write_text
from glrg_tf.errors import ExportError
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary
from tests.export.conftest import MIXED, WORDS


@pytest.mark.parametrize(("words", "tokenizer"), [(WORDS[:12], "release"), (MIXED, "unicode")])
def test_text_is_the_tokenizers(words, tokenizer):
    vocabulary = Vocabulary(words, tokenizer)
    ids = np.random.default_rng(1).integers(0, len(words), (400, 2, 7)).astype(np.int32)
    ids[:50] = np.maximum(ids[:50], 2)  # without <end>, whole rows
    ids[0, 0], ids[0, 1] = 0, 1  # nothing, and nothing but <start>
    texts = tf.function(Detokenizer(vocabulary))(tf.constant(ids)).numpy()
    for row, found in zip(ids.reshape(-1, 7), texts.ravel(), strict=True):
        assert found.decode() == get_tokenizer(tokenizer).detokenize(vocabulary.decode(row))


def test_scripts_without_blanks_are_known():
    known = dict(zip(MIXED, joined_without_blank(Vocabulary(MIXED, "unicode")), strict=True))
    assert [word for word, joined in known.items() if joined] == ["的", "人", "が", "走", "คน"]


def test_onnx_with_text_refuses_them(tmp_path):
    with pytest.raises(ExportError, match="joined without blanks"):
        write_text(tmp_path / "none.onnx", tmp_path / "out.onnx", Vocabulary(MIXED, "unicode"))
