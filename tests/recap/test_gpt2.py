"""GPT-2's byte pairs and weights, from files made here in the published form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.recap.byte_pairs import END_OF_TEXT, BytePairTokens, byte_letters
from glrg_tf.recap.gpt2 import load_gpt2, names
from glrg_tf.recap.model import RecapNetwork
from glrg_tf.recap.text_tokens import load_tokens, target
from tests.recap.made_recap import tiny

MERGES = (("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("Ġw", "o"), ("o", "w"))


def tokens() -> BytePairTokens:
    listed = [*byte_letters().values(), *("".join(pair) for pair in MERGES), END_OF_TEXT]
    return BytePairTokens({token: number for number, token in enumerate(listed)}, MERGES)


def test_merges_in_the_order_of_their_ranks():
    made = tokens()
    ids = made.encode("hello world")
    assert [made._tokens[n] for n in ids] == ["hello", "Ġwo", "r", "l", "d"]  # "ow" comes too late
    assert made.decode(ids) == "hello world"


@pytest.mark.parametrize("text", ["it's 3½ o'clock!  two", "naïve café – 你好", "a\n\nb", "x²+1", "", "  lead"])
def test_every_text_comes_back(text):
    made = tokens()
    assert made.decode(made.encode(text)) == text.replace("\n", "").strip()


def test_words_are_cut_as_gpt2_cuts_them():
    from glrg_tf.recap.byte_pairs import _pattern

    found = _pattern().findall("it's 3½ o'clock!  two_x")
    assert found == ["it", "'s", " 3½", " o", "'", "clock", "!", " ", " two", "_", "x"]


def test_begin_and_end_are_one_and_the_first_id_is_a_word(tmp_path):
    made = tokens()
    inputs, labels = target(made, "!", 5)
    assert inputs == [made.start, made.encode("!")[0]] and labels[-1] == made.end == made.start
    assert made.encode("!") == [0]
    made.save(tmp_path)
    assert load_tokens(tmp_path, "byte-pairs").digest() == made.digest()


def test_files_of_the_release(tmp_path):
    made = tokens()
    (tmp_path / "vocab.json").write_text(json.dumps(made._ids))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in MERGES), ""]
    (tmp_path / "merges.txt").write_text("\n".join(lines))
    read = BytePairTokens.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert read.digest() == made.digest()
    (tmp_path / "merges.txt").write_text("zz yy\n")
    with pytest.raises(DataError, match="pair"):
        BytePairTokens.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")
    (tmp_path / "vocab.json").write_text(json.dumps({"zz": 0, "yy": 1, "zzyy": 2}))
    with pytest.raises(DataError, match="byte-pair"):
        BytePairTokens.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")


def test_a_token_that_no_bytes_give_is_refused():
    made = tokens()
    with pytest.raises(DataError, match="'two words' is made of letters that are no bytes"):
        BytePairTokens({**made._ids, "two words": made.size}, MERGES)


def safetensors(values: dict[str, np.ndarray]) -> bytes:
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in values.items():
        kind = {"float32": "F32", "float16": "F16", "uint8": "U8"}[str(value.dtype)]
        place = [len(data), len(data) + value.nbytes]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": place}
        data += value.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_published_weights_go_where_they_belong(tmp_path, prefix, ending):
    network, source = (RecapNetwork(tiny(decoder_layers=2), seed=seed) for seed in (1, 2))
    values = {f"{prefix}{theirs}": source.get_weights()[ours] for theirs, ours in names(2).items()}
    values[f"{prefix}h.0.attn.bias"] = np.zeros((1, 1, 4, 4), np.uint8)
    file = tmp_path / f"model{ending}"
    if ending == ".npz":
        np.savez(file, **values)
    else:
        file.write_bytes(safetensors(values))
    load_gpt2(network, file)
    ids = np.array([[1, 5, 7]], np.int32)
    expected = np.asarray(source.language_model(ids))
    np.testing.assert_array_equal(np.asarray(network.language_model(ids)), expected)
    np.testing.assert_array_equal(network.get_weights()["gated_0/gate_cross"], 0.0)


def headed(header: dict) -> bytes:
    """A file of this header and twelve bytes."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * 12


def test_damaged_weights_are_refused(tmp_path):
    network = RecapNetwork(tiny(), seed=1)
    before = network.get_weights()
    good = {theirs: before[ours] * 2 for theirs, ours in names(1).items()}
    file = tmp_path / "model.safetensors"
    whole = safetensors(good)
    for content in (
        b"",
        b"\xff" * 20,
        whole[:-5],
        safetensors(dict(list(good.items())[1:])),
        b"\2" + b"\0" * 7 + b"[]",
        headed(dict.fromkeys(good, {"dtype": "F32", "shape": 3, "data_offsets": [0, 12]})),
        headed(dict.fromkeys(good, {"dtype": ["F32"], "shape": [3], "data_offsets": [0, 12]})),
        headed(dict.fromkeys(good, "F32")),
    ):
        file.write_bytes(content)
        with pytest.raises(CheckpointError):
            load_gpt2(network, file)
    with pytest.raises(CheckpointError, match="no file"):
        load_gpt2(network, tmp_path / "none")
    for content in (b"", b"no archive", b"PK\5\6" + b"\0" * 18):
        (tmp_path / "model.npz").write_bytes(content)
        with pytest.raises(CheckpointError):
            load_gpt2(network, tmp_path / "model.npz")
    assert all(np.array_equal(before[name], value) for name, value in network.get_weights().items())
