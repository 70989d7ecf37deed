"""The captioner object: folders round-trip, bad folders and bad features are refused with a cause."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import CheckpointError, ConfigError, FeatureError
from glrg_tf.io import atomic
from tests.captioner import conftest


@pytest.fixture(scope="module")
def folder(captioner, tmp_path_factory):
    path = tmp_path_factory.mktemp("captioner") / "saved"
    captioner.save_to_preset(path, card="# Card\n")
    return path


@pytest.mark.parametrize("feature_pool", ["joint", "per_stream"])
def test_folder_round_trip(feature_pool, videos, tmp_path):
    captioner = conftest.build(feature_pool)
    captioner.decoding = DecodingConfig(beam_size=3, length_normalization=0.5)
    captioner.save_to_preset(tmp_path / "c")
    again = VideoCaptioner.from_preset(tmp_path / "c")
    assert again.config == captioner.config and again.decoding == captioner.decoding
    assert again.vocabulary == captioner.vocabulary
    for name, value in captioner.model.get_weights().items():
        np.testing.assert_array_equal(again.model.get_weights()[name], value)
    assert again.generate(videos) == captioner.generate(videos)


def test_run_folder_names_its_best_checkpoint(folder, videos, captioner, tmp_path):
    shutil.copytree(folder, tmp_path / "run" / "checkpoints" / "000003")
    (tmp_path / "run" / "best").write_text("checkpoints/000003\n")
    assert VideoCaptioner.from_preset(tmp_path / "run").generate(videos[:2]) == captioner.generate(videos[:2])


def test_pointer_cannot_leave_the_run(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "best").write_text(f"../{folder}\n")
    with pytest.raises(CheckpointError, match="no captioner there"):
        VideoCaptioner.from_preset(run)


def damaged(folder, target, change):
    shutil.copytree(folder, target)
    change(target)
    return target


def rewrite(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    atomic.write_manifest(folder)


def truncate_weights(folder):
    file = folder / "model.weights.h5"
    file.write_bytes(file.read_bytes()[:-100])


def drop_weight(folder):
    with h5py.File(folder / "model.weights.h5", "a") as handle:
        del handle["lstm/word_kernel"]
    atomic.write_manifest(folder)


def nan_weight(folder):
    with h5py.File(folder / "model.weights.h5", "a") as handle:
        handle["logits/bias"][0] = np.nan
    atomic.write_manifest(folder)


def short_vocabulary(folder):
    words = json.loads((folder / "vocabulary.json").read_text())
    words["words"].pop()
    (folder / "vocabulary.json").write_text(json.dumps(words))
    atomic.write_manifest(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no manifest"),
        (lambda f: (f / "vocabulary.json").unlink(), "missing"),
        (truncate_weights, "differs from its manifest"),
        (lambda f: rewrite(f, version=99), "format 99"),
        (lambda f: rewrite(f, format="other"), "not a captioner"),
        (lambda f: rewrite(f, model={"hiden_size": 8}), "unknown setting"),
        (drop_weight, "missing.*lstm/word_kernel"),
        (nan_weight, "not finite"),
        (short_vocabulary, "disagree"),
    ],
)
def test_damaged_folders_are_refused(folder, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        VideoCaptioner.from_preset(damaged(folder, tmp_path / "c", change))
    assert caught.value.exit_code == 5


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not found"):
        VideoCaptioner.from_preset(tmp_path / "nothing")


def test_saving_does_not_swallow_other_folders(captioner, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no captioner"):
        captioner.save_to_preset(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text("{}")  # a run of `glrg train` has settings, too
    with pytest.raises(ConfigError, match="no captioner"):
        captioner.save_to_preset(run)
    assert (run / "checkpoints").is_dir()


def test_saving_takes_an_empty_folder_or_an_older_captioner(captioner, tmp_path):
    (tmp_path / "made").mkdir()
    captioner.save_to_preset(tmp_path / "made")
    captioner.save_to_preset(tmp_path / "made", card="# Newer\n")
    assert (tmp_path / "made" / "model_card.md").read_text() == "# Newer\n"


@pytest.mark.parametrize("shape", [(2, 8), (9,), (2, 3, 9)])
def test_features_of_another_width_are_refused(captioner, shape):
    with pytest.raises(FeatureError, match="this captioner reads"):
        captioner.generate(np.zeros(shape, np.float32))


def test_features_that_are_not_finite_are_refused(captioner, videos):
    bad = videos.copy()
    bad[3, 1] = np.inf
    with pytest.raises(FeatureError, match="not finite") as caught:
        captioner.generate(bad)
    assert caught.value.where == "row 3"


@pytest.mark.parametrize(("beam", "captions"), [(0, 1), (3, 4), (51, 1), (5, 0)])
def test_impossible_beams_are_refused(captioner, videos, beam, captions):
    with pytest.raises(ConfigError):
        captioner.generate(videos, beam, captions)


def test_no_videos_give_no_captions(captioner):
    assert captioner.generate(np.zeros((0, 9), np.float32)) == []


def test_models_of_one_seed_are_equal_and_functional():
    config = CaptionerConfig(vocabulary_size=6, hidden_size=4, pool_size=4, embedding_size=4)
    from glrg_tf.captioner.model import CaptionerModel

    first, second, third = (CaptionerModel(config, seed=s).get_weights() for s in (1, 1, 2))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != third[name]).any() for name in first)
    model = CaptionerModel(config)
    assert all(type(part).__name__ == "Functional" for part in (model.encoder, model.video_projection, model.decoder))


def test_initial_weights_lie_in_the_released_ranges():
    from glrg_tf.captioner.model import CaptionerModel

    config = CaptionerConfig(vocabulary_size=200)
    weights = CaptionerModel(config).get_weights()
    bounds = {"word_embedding/embeddings": 0.1, "logits/kernel": 0.1, "logits/bias": 0.0}
    bounds |= dict.fromkeys(("lstm/word_kernel", "lstm/recurrent_kernel", "video_gates/kernel"), 512**-0.5)
    bounds |= dict.fromkeys(("feature_pool/kernel", "feature_pool/bias"), 1700**-0.5)
    for name, bound in bounds.items():
        assert abs(np.abs(weights[name]).max() - bound) <= 0.02 * bound + 1e-9, name


def test_parameter_count_of_the_release():
    from glrg_tf.captioner.model import CaptionerModel

    model = CaptionerModel(CaptionerConfig(vocabulary_size=4124))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 8_243_740


def test_decoder_is_a_keras_model_that_saves(captioner, tmp_path):
    import keras

    captioner.model.decoder.save(tmp_path / "decoder.keras")
    again = keras.models.load_model(tmp_path / "decoder.keras")
    inputs = [tf.constant([3]), tf.ones([1, 8]), tf.ones([1, 8]), tf.ones([1, 32])]
    np.testing.assert_allclose(again(inputs)["log_probs"], captioner.model.decoder(inputs)["log_probs"])
