"""Converting original checkpoints: every tensor in its place, and everything that does not fit refused."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from glrg_cli.main import main
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.convert import glrg_checkpoint
from glrg_tf.convert.glrg_captioner import convert_release
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io.atomic import verify_manifest
from tests.convert.made_checkpoint import checkpoint, checkpoint_tensors, vocabulary, write_checkpoint
from tests.io.torch_files import Raw, write_legacy

SIZES = {"words": 20, "embedding": 8, "pool": 6, "hidden": 7}


def _convert(folder, **options):
    return convert_release(folder / "model.pth", folder / "vocab.json", folder / "out", **options)


@pytest.mark.parametrize("zipped", [False, True])
def test_every_tensor_in_its_place(tmp_path, zipped):
    tensors = checkpoint_tensors(**SIZES)
    write_checkpoint(tmp_path, tensors, zipped=zipped)
    found, report = _convert(tmp_path)
    weights = VideoCaptioner.from_preset(tmp_path / "out").model.get_weights()
    np.testing.assert_array_equal(weights["word_embedding/embeddings"], tensors["embed.weight"])
    np.testing.assert_array_equal(weights["logits/kernel"], tensors["logit.weight"].T)
    np.testing.assert_array_equal(weights["logits/bias"], tensors["logit.bias"])
    np.testing.assert_array_equal(weights["feature_pool/kernel"], tensors["feat_pool.feat_list.0.0.weight"].T)
    np.testing.assert_array_equal(weights["feature_pool/bias"], tensors["feat_pool.feat_list.0.0.bias"])
    np.testing.assert_array_equal(weights["lstm/word_kernel"], tensors["core.rnn.weight_ih_l0"][:, :8].T)
    np.testing.assert_array_equal(weights["video_gates/kernel"], tensors["core.rnn.weight_ih_l0"][:, 8:].T)
    np.testing.assert_array_equal(weights["lstm/recurrent_kernel"], tensors["core.rnn.weight_hh_l0"].T)
    assert {line.target for line in report} == weights.keys()
    assert found.sizes == {"V": 20, "E": 8, "P": 6, "D": 1700, "H": 7}


def test_what_the_folder_says_of_its_origin(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES), drop_prob_lm=0.25)
    found, _ = _convert(tmp_path)
    verify_manifest(tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["converted_from"]["sha256"] == found.sha256
    assert config["converted_from"]["infos"] == {"epoch": 3, "best_score": 0.25}
    assert config["model"]["dropout"] == 0.25 and config["decoding"]["max_words"] == 28
    assert found.sha256 in (tmp_path / "out/model_card.md").read_text("utf-8")


def test_vocabulary_from_the_label_file(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["vocab"] = np.array([word.encode() for word in vocabulary(20)])
    convert_release(tmp_path / "model.pth", tmp_path / "labels.h5", tmp_path / "out")
    assert list(VideoCaptioner.from_preset(tmp_path / "out").vocabulary.words) == vocabulary(20)


def test_vocabulary_of_numpy_strings(tmp_path):
    """The original takes its vocabulary from h5py: in Python 2 the words are NumPy strings."""
    words = {}
    for index, word in enumerate(vocabulary(20)):
        size = len(word)
        kind = f"cnumpy\ndtype\nU{chr(len(str(size)) + 1)}S{size}K\x00K\x01\x87R".encode("latin-1")
        kind += b"(K\x03U\x01|NNNK" + bytes([size]) + b"K\x01K\x00tb"
        scalar = b"cnumpy.core.multiarray\nscalar\n" + kind + b"U" + bytes([size]) + word.encode() + b"\x86R"
        words[index] = Raw(scalar)
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES), vocab=words)
    found, _ = _convert(tmp_path)
    assert found.words == tuple(vocabulary(20))


def test_settings_may_be_missing(tmp_path):
    write_legacy(tmp_path / "model.pth", {"model": checkpoint_tensors(**SIZES)})
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary(20)), "utf-8")
    found, _ = _convert(tmp_path)
    assert found.words is None


def test_the_review_copy_without_kinetics(tmp_path):
    """Its MSVD features are 1300 wide: 300 + 1000."""
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES, features=1300))
    _convert(tmp_path)
    captioner = VideoCaptioner.from_preset(tmp_path / "out")
    assert captioner.config.streams == (("long_range", 300), ("keyframe", 1000))


# === Refusals ===


def _without(key):
    def change(tensors):
        del tensors[key]

    return change


def _with(key, value):
    def change(tensors):
        tensors[key] = value

    return change


def _reshaped(key):
    def change(tensors):
        tensors[key] = tensors[key][..., :-1]

    return change


def _poisoned(key):
    def change(tensors):
        tensors[key].flat[3] = np.nan

    return change


BROKEN = {
    "missing": (_without("core.rnn.weight_hh_l0"), "missing: core.rnn.weight_hh_l0"),
    "unknown": (_with("manet.f_h_m.weight", np.ones((2, 2), np.float32)), "unknown: manet"),
    "second layer": (_with("core.rnn.weight_ih_l1", np.ones((2, 2), np.float32)), "unknown: core.rnn.weight_ih_l1"),
    "no array": (_with("logit.bias", "text"), "not a tensor"),
    "whole numbers": (_with("logit.bias", np.arange(20)), "not a tensor"),
    "another rank": (_with("logit.bias", np.ones((20, 1), np.float32)), "not a tensor"),
    "empty": (_with("logit.bias", np.ones(0, np.float32)), "empty"),
    "unknown width": (_with("feat_pool.feat_list.0.0.weight", np.ones((6, 1699), np.float32)), "width 1699"),
    **{f"shape of {key}": (_reshaped(key), "shape|width") for key in glrg_checkpoint.AXES},
    **{f"nan in {key}": (_poisoned(key), "not finite") for key in glrg_checkpoint.AXES},
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tensors(tmp_path, name):
    change, message = BROKEN[name]
    tensors = checkpoint_tensors(**SIZES)
    content = checkpoint(tensors)
    change(content["model"])
    write_legacy(tmp_path / "model.pth", content)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary(20)), "utf-8")
    with pytest.raises(CheckpointError, match=message):
        _convert(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "manet"},
        {"rnn_type": "gru"},
        {"num_layers": 2},
        {"vocab_size": 21},
        {"feat_dims": [1300]},
        {"feat_dims": [1700, 2048]},
        {"rnn_size": 8},
        {"seq_length": 2},
        {"seq_length": 10**9},
        {"drop_prob_lm": 1.5},
        {"vocab": {0: "<end>", 5: "x"}},
        {"vocab": {i: 5 for i in range(20)}},
        {"model_type": {"a": 1}},
    ],
)
def test_contradicting_settings(tmp_path, options):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES), **options)
    with pytest.raises(CheckpointError):
        _convert(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [[], {"model": None}, {"state_dict": {}}, {"model": {}}, 5])
def test_not_a_checkpoint(tmp_path, content):
    write_legacy(tmp_path / "model.pth", content)
    with pytest.raises(CheckpointError):
        _convert(tmp_path)


def test_a_vocabulary_of_another_split(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary(12)), "utf-8")
    with pytest.raises(CheckpointError, match="20 words, the vocabulary 12") as caught:
        _convert(tmp_path)
    assert "train split" in caught.value.remedy


def test_a_vocabulary_in_another_order(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    words = vocabulary(20)
    words[7], words[8] = words[8], words[7]
    (tmp_path / "vocab.json").write_text(json.dumps(words), "utf-8")
    with pytest.raises(CheckpointError, match="word 7"):
        _convert(tmp_path)


def test_a_damaged_vocabulary(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    (tmp_path / "vocab.json").write_text('["no", "specials"]', "utf-8")
    with pytest.raises(DataError):
        _convert(tmp_path)


def test_an_existing_output_is_kept(tmp_path):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError):
        _convert(tmp_path)


def test_command_line(tmp_path, capsys):
    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES))
    words = ["convert", "glrg-release", str(tmp_path / "model.pth"), "--vocabulary", str(tmp_path / "vocab.json")]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert len(value["tensors"]) == 8 and value["vocabulary_checked"] and "lstm/word_kernel" in printed.err
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "model.pth").write_bytes((tmp_path / "model.pth").read_bytes()[:-5])
    assert main([*words, "--out", str(tmp_path / "out2")]) == 5
    assert "what to do" in capsys.readouterr().err and not (tmp_path / "out2").exists()
    (tmp_path / "model.pth").unlink()
    assert main([*words, "--out", str(tmp_path / "out2")]) == 5


def test_features_of_the_review_copy(tmp_path):
    """The lines that docs/release-bridge.md gives for its 1300-wide feature files."""
    from glrg_tf.data.feature_layout import write_features
    from glrg_tf.data.feature_store import FeatureStore

    write_checkpoint(tmp_path, checkpoint_tensors(**SIZES, features=1300))
    _convert(tmp_path)
    captioner = VideoCaptioner.from_preset(tmp_path / "out")
    feats = np.random.default_rng(0).random((3, 1300), np.float32)
    values = {"long_range": feats[:, :300], "keyframe": feats[:, 300:]}
    write_features(tmp_path / "features.h5", ["vid1301", "vid1302", "vid1303"], values)
    store = FeatureStore(tmp_path / "features.h5")
    np.testing.assert_array_equal(store.read(store.ids, captioner.config.stream_names), feats)
    store.close()
    assert main(["caption", str(tmp_path / "out"), str(tmp_path / "features.h5"), "--quiet"]) == 0
