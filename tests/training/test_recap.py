"""The curriculum of long video: what levels read, learning, exact resume, unified training, what it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.recap.captioner import RecapCaptioner
from tests.recap.made_recap import HIERARCHY, TINY, make_dataset
from training.recap import RecapParts, train_recap
from training.recap_batches import LevelBatches
from training.recap_config import RecapTraining, learning_rate
from training.recap_data import FeatureFolder, examples, load_videos, lower_texts, texts_of
from training.recap_evaluator import evaluate_recap
from training.recap_steps import token_mean
from training.reporting import Reporter

SETTINGS = RecapTraining(
    hierarchy=HIERARCHY, model=TINY, steps=(60, 60, 60), batch_size=8, warmup_steps=5, checkpoint_steps=30,
    learning_rate=3e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory):
    """A run of clips and segments; a later test adds summaries on top of it."""
    out = tmp_path_factory.mktemp("runs") / "a"
    settings = dataclasses.replace(SETTINGS, levels=("clip", "segment"))
    return train_recap(made[0], out, settings, made[1]), out


def test_token_mean_counts_words_alone():
    logits = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32))
    labels = tf.constant([[1, 2, -1], [4, -1, -1]])
    loss, count = token_mean(logits, labels)
    log_probs = tf.nn.log_softmax(logits).numpy()
    expected = -(log_probs[0, 0, 1] + log_probs[0, 1, 2] + log_probs[1, 0, 4]) / 3
    assert float(count) == 3 and float(loss) == pytest.approx(expected, rel=1e-5)
    longer = tf.pad(logits, [[0, 0], [0, 9], [0, 0]]), tf.pad(labels, [[0, 0], [0, 9]], constant_values=-1)
    assert float(token_mean(*longer)[0]) == pytest.approx(float(loss), rel=1e-6)
    assert float(token_mean(logits, tf.fill([2, 3], -1))[0]) == 0.0


def test_a_step_is_keras_adam_with_decoupled_decay():
    import keras

    from training import optimizer as optimizers
    from training.recap_steps import _apply

    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=4).astype(np.float32)]
    ours, theirs = ([keras.Variable(value) for value in start] for _ in range(2))
    fused = optimizers.build(0.1, ours)
    adam = keras.optimizers.AdamW(0.1, weight_decay=0.3, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    adam.build(theirs)
    adam.exclude_from_weight_decay([theirs[1]])
    for _ in range(3):
        gradients = [tf.constant(rng.normal(size=value.shape).astype(np.float32)) for value in start]
        _apply(fused, gradients, ours, tf.constant(0.1), 0.3)
        adam.apply(gradients, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_learning_rate_rises_and_falls():
    rates = [learning_rate(SETTINGS, step, 60) for step in range(60)]
    assert rates[0] < rates[4] == pytest.approx(3e-3) and rates[-1] < 4e-4 and min(rates) > 0


def test_what_levels_read(made):
    videos = load_videos(made[0], HIERARCHY, FeatureFolder(made[1]))
    video = videos[0]
    clips = examples(video, "clip", HIERARCHY, ())
    assert len(clips) == 6 and clips[2].references[0].startswith("a ") and clips[2].features.shape == (2, 6)
    told = video.people("clip")
    segments = examples(video, "segment", HIERARCHY, told)
    assert [len(s.below) for s in segments] == [3, 3] and segments[1].features.shape == (3, 6)
    np.testing.assert_allclose(segments[1].features, video.rows[3:])
    whole = examples(video, "video", HIERARCHY, video.people("segment"))[0]
    assert len(whole.below) == 2 and len(whole.features) == 6
    windows = examples(video, "segment", HIERARCHY, told, written=True)
    assert [w.below for w in windows] == [s.below for s in segments] and not windows[0].references
    assert lower_texts(video, "video", {"segment": {video.id: []}}) == []
    assert [t.text for t in lower_texts(video, "video", {})] == [t.text for t in video.people("segment")]


def test_videos_without_features_teach_by_their_texts(made, tmp_path):
    (tmp_path / "dense").mkdir()
    for name in ("v0", "v11"):
        (tmp_path / "dense" / f"{name}.npy").write_bytes((made[1] / "dense" / f"{name}.npy").read_bytes())
    few, all_of_them = (
        load_videos(made[0], HIERARCHY, FeatureFolder(tmp_path), texts_too=too) for too in (False, True)
    )
    assert [v.id for v in few] == ["v0", "v11"] and len(all_of_them) == 11  # of "val" only what has features
    silent = next(v for v in all_of_them if v.rows is None)
    written = {"segment": {"v0": []}}
    told = examples(silent, "video", HIERARCHY, lower_texts(silent, "video", written))[0]
    assert len(told.below) == 2 and told.features.size == 0 and lower_texts(few[0], "video", written) == []


def test_batches_are_a_function_of_seed_and_step(made):
    videos = load_videos(made[0], HIERARCHY, FeatureFolder(made[1]), ("train",))
    from glrg_tf.recap.text_tokens import WordTokens

    tokens = WordTokens.build(texts_of(videos))
    config = dataclasses.replace(TINY, vocabulary_size=tokens.size, dense_width=6, row_width=6)
    found = [e for v in videos for e in examples(v, "clip", HIERARCHY, ())]
    batches = LevelBatches(found, "clip", config, tokens, 8, seed=1)
    first, again = batches.batch(11), batches.batch(11)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert batches.steps_per_pass == 8 and first["token_ids"].shape == first["labels"].shape == (8, 8)
    seen = np.concatenate([batches.batch(step)["features"][:, 0] for step in range(8)])
    assert len(np.unique(seen, axis=0)) == 60  # every clip in one pass
    assert {row[0] for row in first["token_ids"].tolist()} == {tokens.start}
    told = [e for v in videos for e in examples(v, "segment", HIERARCHY, v.people("clip"))]
    whole, thinned = (LevelBatches(told, "segment", config, tokens, 8, 1, share) for share in (0.0, 0.5))
    words = [int((one.batch(0)["text_ids"] >= 0).sum()) for one in (whole, thinned)]
    assert 0 < words[1] < words[0] == int((thinned.plain(0)["text_ids"] >= 0).sum())
    assert np.array_equal(thinned.batch(3)["text_ids"], thinned.batch(3)["text_ids"])


def test_the_recursion_learns_and_writes(trained, made):
    captioner, out = trained
    videos = load_videos(made[0], HIERARCHY, FeatureFolder(made[1]), ("val",))
    found = {one.level: one for one in evaluate_recap(captioner, videos, metrics=("CIDEr",))}
    assert set(found) == {"clip", "segment"} and found["segment"].scores["CIDEr"] > 0.5
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == ["clip", "clip", "segment", "segment"]
    assert rows[1]["clip_loss"] < rows[0]["clip_loss"] and rows[3]["segment_val_loss"] < 1.0
    written = [json.loads(line) for line in (out / "predictions/after-clip/clip.jsonl").read_text().splitlines()]
    assert len(written) == 12 and len(written[0]["texts"]) == 6
    assert RecapCaptioner.load(out).fingerprint == captioner.fingerprint


def test_a_stopped_run_goes_on_as_if_it_had_not(trained, made, tmp_path):
    settings = dataclasses.replace(SETTINGS, levels=("clip", "segment"))

    class Stop(Reporter):
        steps = 0

        def step_done(self, phase: str, step: int, tokens: float) -> None:
            self.steps += 1

    told = Stop()
    with pytest.raises(KeyboardInterrupt):
        train_recap(made[0], tmp_path / "b", settings, made[1], reporter=told, stop=lambda: told.steps == 71)
    with pytest.raises(ConfigError, match="exists"):
        train_recap(made[0], tmp_path / "b", settings, made[1])
    with pytest.raises(ConfigError, match="other settings"):
        train_recap(made[0], tmp_path / "b", dataclasses.replace(settings, seed=2), made[1], resume=True)
    resumed = train_recap(made[0], tmp_path / "b", settings, made[1], resume=True)
    assert resumed.fingerprint == trained[0].fingerprint


def test_a_higher_level_is_put_on_top(trained, made, tmp_path):
    settings = dataclasses.replace(SETTINGS, levels=("video",), steps=(20, 20, 20))
    captioner = train_recap(made[0], tmp_path / "c", settings, made[1], RecapParts(start=trained[0]))
    assert captioner.levels == ("clip", "segment", "video")
    assert captioner.networks["clip"] is trained[0].networks["clip"]
    text = captioner.describe("video", [np.zeros((6, 6), np.float32)], [["on the snow a ball plays"]])[0]
    assert isinstance(text, str)


def test_unified_training_draws_from_all_levels(made, tmp_path):
    settings = dataclasses.replace(SETTINGS, unified=True, levels=("clip", "segment"), steps=(30, 30, 30))
    captioner = train_recap(made[0], tmp_path / "u", settings, made[1])
    assert captioner.unified and list(captioner.named_networks) == ["unified"]
    last = json.loads((tmp_path / "u" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["clip_loss"] < 2.0 and last["segment_loss"] < 2.5


def test_refusals(made, tmp_path):
    with pytest.raises(FeatureError, match="no dense"):
        train_recap(made[0], tmp_path / "x", SETTINGS)
    alone = dataclasses.replace(SETTINGS, levels=("segment",), model=dataclasses.replace(TINY, inputs="video"))
    with pytest.raises(FeatureError, match="no features"):
        train_recap(made[0], tmp_path / "x", alone)
    with pytest.raises(ConfigError, match="levels"):
        dataclasses.replace(SETTINGS, levels=("video", "clip"))
    with pytest.raises(ConfigError, match="batch_size"):
        dataclasses.replace(SETTINGS, batch_size=0)
    assert not (tmp_path / "x").exists()
