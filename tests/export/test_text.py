"""Ids to text in graphs, letter for letter as the tokenizer joins them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tensorflow as tf

from export import runners
from export.detokenizer import Detokenizer, joined_without_blank
from export.onnx_text import write_text
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


@pytest.mark.parametrize(("words", "tokenizer"), [(WORDS[:12], "release"), (MIXED, "unicode")])
def test_text_in_onnx_too(words, tokenizer, tmp_path):
    """`write_text` on a graph that hands ids through, for ids as a search gives them: nothing after <end>."""
    vocabulary = Vocabulary(words, tokenizer)
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.INT32, ["B", 2, 7]) for n in ("ids", "token_ids")]
    node = onnx.helper.make_node("Identity", ["ids"], ["token_ids"])
    graph = onnx.helper.make_graph([node], "ids", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "ids.onnx")
    run = runners.open_onnx(write_text(tmp_path / "ids.onnx", tmp_path / "text.onnx", vocabulary), 1)
    ids = np.random.default_rng(1).integers(1, len(words), (300, 2, 7)).astype(np.int32)
    for row, length in zip(ids.reshape(-1, 7), np.random.default_rng(2).integers(0, 8, 600), strict=True):
        row[length:] = 0
    for row, found in zip(ids.reshape(-1, 7), run(ids)["captions"].ravel(), strict=True):
        assert found == get_tokenizer(tokenizer).detokenize(vocabulary.decode(row))
