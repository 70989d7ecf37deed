"""The fast path against the plain one: same losses, gradients, rewards' gradients and captions.

Plain form: `tests/references`. Bounds are those of the benchmark's promise: losses to 1e-5, gradients to 1e-4 of the
largest entry, captions token for token.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.distributions import dropout_mask
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.captioner.rollout import RolloutInputs, rollout
from glrg_tf.convert import glrg_checkpoint
from glrg_tf.text.vocabulary import Vocabulary
from tests.references import plain_beam, plain_model, plain_steps
from training.objectives import base
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy

VIDEOS, CAPTIONS, WORDS, WIDTH, HIDDEN = 5, 6, 40, 9, 16
SEED = tf.constant([3, 4])
SCHEDULE = {"mixer_from": tf.constant(1), "baseline_size": tf.constant(CAPTIONS)}


def make_model(seed: int = 0, scale: float = 0.5, dropout: float = 0.0, words: int = WORDS) -> CaptionerModel:
    sizes = {"pool_size": HIDDEN, "embedding_size": HIDDEN, "hidden_size": HIDDEN}
    model = CaptionerModel(CaptionerConfig(words, streams=(("all", WIDTH),), dropout=dropout, **sizes))
    random = np.random.default_rng(seed)
    model.set_weights({name: random.normal(0, scale, v.shape) for name, v in model.variables_by_name().items()})
    return model


def make_batch(seed: int = 1) -> base.TensorBatch:
    """Captions of 0 to 28 words that share beginnings; one is clipped and so has no <end>."""
    random = np.random.default_rng(seed)
    token_ids = np.zeros((VIDEOS, CAPTIONS, 30), np.int32)
    for row, length in zip(token_ids.reshape(-1, 30), random.integers(0, 14, VIDEOS * CAPTIONS), strict=True):
        row[0] = 1
        row[1 : 1 + length] = np.where(random.random(length) < 0.6, 3, random.integers(2, WORDS, length))
    token_ids[2, 3, 1:29] = 5
    token_ids[1, 1, 1:] = 7
    features = random.normal(size=(VIDEOS, WIDTH)).astype(np.float32)
    consensus = random.random((VIDEOS, CAPTIONS)).astype(np.float32)
    rows = np.arange(VIDEOS, dtype=np.int32)
    return base.TensorBatch(*map(tf.constant, (features, token_ids, consensus, rows)), schedule=SCHEDULE)


def our_gradients(
    model: CaptionerModel, objective: base.Objective, batch: base.TensorBatch
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    names = list(model.variables_by_name())

    @tf.function
    def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss, _ = objective.loss(model, batch, SEED)
        return loss, [
            tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in model.trainable_variables])
        ]

    loss, gradients = step()
    return loss, dict(zip(names, gradients, strict=True))


def double(model: CaptionerModel) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value, tf.float64) for name, value in model.get_weights().items()}


def assert_same(ours: tuple[tf.Tensor, dict[str, tf.Tensor]], plain: tuple[tf.Tensor, dict[str, tf.Tensor]]) -> None:
    np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5)
    assert ours[1].keys() == plain[1].keys()
    for name, expected in plain[1].items():
        error = np.abs(ours[1][name].numpy() - expected.numpy()).max() / np.abs(expected.numpy()).max()
        assert error < 1e-4, f"gradient of {name} is off by {error:.1e} of its largest entry"


@pytest.mark.parametrize(
    ("objective", "weighted", "columns"),
    [
        (CrossEntropy(), False, 29),
        (DiscriminativeCrossEntropy(), True, 29),
        (DiscriminativeCrossEntropy(compat=True), True, 28),
    ],
    ids=["xe", "dxe", "dxe-release"],
)
def test_teacher_forced_steps(objective, weighted, columns):
    model, batch = make_model(), make_batch()
    weights = tf.cast(batch.consensus, tf.float64) if weighted else None
    features = tf.cast(batch.features, tf.float64)
    plain = plain_steps.caption_gradients(double(model), features, batch.token_ids, weights, columns=columns)
    assert_same(our_gradients(model, objective, batch), plain)


def test_cross_entropy_is_dxe_with_equal_scores():
    model, batch = make_model(), make_batch()
    equal = batch._replace(consensus=tf.ones_like(batch.consensus))
    xe, dxe = (our_gradients(model, o, equal) for o in (CrossEntropy(), DiscriminativeCrossEntropy()))
    assert_same(dxe, xe)


def test_dropout():
    """With the masks that the fast path draws, row by row, handed to the plain one."""
    rate, model, batch = 0.5, make_model(), make_batch()
    labels = tf.reshape(batch.token_ids, [-1, 30])
    inputs = RolloutInputs(labels, None, False, 29, CAPTIONS, rate, SEED)
    with tf.GradientTape() as tape:
        found = rollout(model.decoder_weights(), base.video_gates(model, batch.features, SEED, rate), inputs)
        loss = -tf.reduce_mean(found.log_probs)
    ours = tape.gradient(loss, [v.value for v in model.trainable_variables])
    ours = dict(zip(model.variables_by_name(), map(tf.convert_to_tensor, ours), strict=True))
    output_mask = np.ones((29, VIDEOS * CAPTIONS, HIDDEN))
    for t in range(29):
        here = found.steps.numpy() == t
        rows, captions = found.rows.numpy()[here], found.captions.numpy()[here]
        if len(rows):
            seed = tf.random.experimental.stateless_fold_in(SEED, 2 + t)
            videos = captions // CAPTIONS
            place = rows - np.array([rows[videos == video].min() for video in videos])  # among the video's rows
            mask = dropout_mask([(place.max() + 1) * VIDEOS, HIDDEN], rate, seed).numpy()
            output_mask[t, captions] = mask[place * VIDEOS + videos]
    video_mask = dropout_mask([VIDEOS, HIDDEN], rate, base.stream(SEED, base._VIDEO_DROPOUT))
    masks = tf.cast(video_mask, tf.float64), tf.constant(output_mask)
    features = tf.cast(batch.features, tf.float64)
    assert_same((loss, ours), plain_steps.caption_gradients(double(model), features, batch.token_ids, masks=masks))


def test_scheduled_sampling_with_given_coins():
    """Draws of a model so sure of itself that they are its likeliest words, so that the plain form can repeat them."""
    model, batch = make_model(), make_batch()
    model.set_weights({n: w * 1e5 if n == "logits/kernel" else w for n, w in model.get_weights().items()})
    labels = tf.reshape(batch.token_ids, [-1, 30])
    coins = np.random.default_rng(8).random(labels.shape) < 0.3
    inputs = RolloutInputs(labels, tf.constant(coins), False, 29, CAPTIONS, 0.0, SEED)
    with tf.GradientTape() as tape:
        found = rollout(model.decoder_weights(), model.encode(batch.features), inputs)
        loss = -tf.reduce_mean(found.log_probs)
    ours = tape.gradient(loss, [v.value for v in model.trainable_variables])
    ours = dict(zip(model.variables_by_name(), map(tf.convert_to_tensor, ours), strict=True))
    features = tf.cast(batch.features, tf.float64)

    def plain_loss(weights):
        video = tf.repeat(plain_model.project_video(weights, features), CAPTIONS, axis=0)
        state, fed, total = plain_model.zero_state(len(labels), weights), labels[:, 0], 0.0
        for t in range(29):
            state = plain_model.lstm_step(weights, fed, video, state)
            log_probs = plain_model.word_log_probs(weights, state[0])
            counted = tf.cast(tf.reduce_all(labels[:, : t + 1] > 0, axis=1), tf.float64)
            total += tf.reduce_sum(counted * tf.gather(log_probs, labels[:, t + 1], batch_dims=1))
            fed = tf.where(coins[:, t + 1], tf.argmax(log_probs, axis=1, output_type=tf.int32), labels[:, t + 1])
        return -total / found.log_probs.shape[0]

    assert_same((loss, ours), plain_steps.gradients(double(model), plain_loss))


def fake_reward(token_ids: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
    words = tf.cast(token_ids, tf.float32)
    return tf.reduce_mean(tf.sin(words + tf.cast(video_rows[:, None], tf.float32)), axis=1)


@pytest.mark.parametrize("baseline", ["b1", "b2", "scst"])
def test_reinforcement_step(baseline):
    """The gradient of the samples equals teacher forcing over the same samples with the same advantages."""
    model, batch = make_model(), make_batch()
    found = base.sampled(model, batch, SEED, steps=28, stop_at_end=True)
    sampled = found.token_ids(VIDEOS * CAPTIONS, 28)
    lengths = np.count_nonzero(sampled.numpy(), axis=1)
    assert lengths.min() < 28 and len(np.unique(lengths)) > 3, "the samples should end at different lengths"
    rewards = fake_reward(sampled, np.repeat(np.arange(VIDEOS, dtype=np.int32), CAPTIONS)).numpy()
    rewards = rewards.reshape(VIDEOS, CAPTIONS)
    subtracted = (batch.consensus.numpy() if baseline == "b1" else rewards).mean(axis=1, keepdims=True)
    if baseline == "scst":
        weights = {name: tf.constant(value) for name, value in model.get_weights().items()}
        greedy = plain_model.sample(weights, batch.features, 1, greedy=True)
        subtracted = fake_reward(greedy, np.arange(VIDEOS, dtype=np.int32)).numpy()[:, None]
    rows = plain_model.label_rows(sampled, CAPTIONS)
    advantages, features = tf.constant(rewards - subtracted, tf.float64), tf.cast(batch.features, tf.float64)
    plain = plain_steps.caption_gradients(double(model), features, rows, advantages, columns=28)
    assert_same(our_gradients(model, DiscrepantReward(fake_reward, baseline), batch), plain)


def test_sampling_step_by_step_and_shared_follow_one_distribution():
    model, batch = make_model(scale=0.3), make_batch()
    features = tf.repeat(batch.features[:1], VIDEOS, axis=0)
    weights = {name: tf.constant(value) for name, value in model.get_weights().items()}
    draw_plain = tf.function(lambda: plain_model.sample(weights, features, CAPTIONS))

    @tf.function
    def draw_shared(seed):
        found = base.sampled(model, batch._replace(features=features), seed, steps=28, stop_at_end=True)
        return found.token_ids(VIDEOS * CAPTIONS, 28)

    plain = np.concatenate([draw_plain().numpy() for _ in range(100)])
    shared = np.concatenate([draw_shared(tf.constant([9, i])).numpy() for i in range(100)])
    for position in (0, 1, 5):
        counts = [np.bincount(drawn[:, position], minlength=WORDS) / len(drawn) for drawn in (plain, shared)]
        # 3000 draws of up to 40 words: twice the total variation that equal distributions would show.
        assert np.abs(counts[0] - counts[1]).sum() / 2 < 0.12


MODES = ("greedy", "beam", "normalised", "release")


def assert_same_captions(
    captioner: VideoCaptioner, weights: dict[str, np.ndarray], features: np.ndarray, modes: tuple[str, ...] = MODES
) -> None:
    stepper = plain_beam.PlainStepper(weights)
    normalised = VideoCaptioner(captioner.model, captioner.vocabulary, DecodingConfig(length_normalization=0.7))
    runs = {
        "greedy": (captioner.generate(features, beam_size=1), lambda x: plain_beam.greedy(stepper, x)),
        "beam": (captioner.generate(features), lambda x: plain_beam.corrected_beam(stepper, x)[0].words),
        "normalised": (normalised.generate(features), lambda x: plain_beam.corrected_beam(stepper, x, 5, 0.7)[0].words),
        "release": (
            captioner.generate(features, compat="release"),
            lambda x: plain_beam.release_beam(stepper, x)[0].words,
        ),
    }
    for name in modes:
        ours, search = runs[name]
        different = [i for i, row in enumerate(features) if ours[i][0].token_ids != tuple(search(row))]
        assert not different, (
            f"{name}: {len(different)} of {len(features)} captions differ, first of video {different[0]}"
        )


def test_captions_of_a_random_model():
    model = make_model(scale=0.9)
    captioner = VideoCaptioner(model, Vocabulary(("<end>", "<start>", "<unk>", *(f"w{i}" for i in range(3, WORDS)))))
    features = np.random.default_rng(4).normal(size=(40, WIDTH)).astype(np.float32)
    assert_same_captions(captioner, model.get_weights(), features)


def test_five_best_of_a_random_model():
    model = make_model(scale=0.9)
    captioner = VideoCaptioner(model, Vocabulary(("<end>", "<start>", "<unk>", *(f"w{i}" for i in range(3, WORDS)))))
    stepper = plain_beam.PlainStepper(model.get_weights())
    features = np.random.default_rng(4).normal(size=(10, WIDTH)).astype(np.float32)
    for found, row in zip(captioner.generate(features, num_captions=5), features, strict=True):
        expected = plain_beam.corrected_beam(stepper, row)
        assert [caption.token_ids for caption in found] == [hypothesis.words for hypothesis in expected]
        np.testing.assert_allclose([c.score for c in found], [h.score for h in expected], rtol=1e-4)


@pytest.fixture(scope="module")
def released(shared):
    """A captioner with weights that the original code trained, and the features of all 397 shared videos."""
    sample = shared / "data/glrg_release_sample"
    checkpoint = glrg_checkpoint.read_checkpoint(sample / "model/GL-RG_XE_msrvtt/model.pth")
    weights = glrg_checkpoint.to_weights(checkpoint.tensors)
    model = CaptionerModel(CaptionerConfig(len(weights["logits/bias"])))
    model.set_weights(weights)
    vocabulary = Vocabulary.load_release(sample / "data/metadata/msrvtt_train_vocab.json")
    features = []
    for split in ("train", "val"):
        with h5py.File(sample / f"data/feature/msrvtt_{split}_gl_feats.h5") as file:
            features.append(file["feats"][:])
    return VideoCaptioner(model, vocabulary), weights, np.concatenate(features)


def test_captions_of_some_shared_videos(released):
    captioner, weights, features = released
    assert_same_captions(captioner, weights, features[::16])


@pytest.mark.slow
def test_captions_of_all_shared_videos(released):
    captioner, weights, features = released
    assert len(features) == 397
    assert_same_captions(captioner, weights, features, ("greedy", "beam", "release"))


def test_gradients_on_real_captions(released, shared):
    captioner, weights, features = released
    with h5py.File(shared / "data/glrg_release_sample/data/metadata/msrvtt_train_sequencelabel.h5") as file:
        token_ids = file["labels"][: 4 * 20].astype(np.int32).reshape(4, 20, 30)
    captioner.model.config = CaptionerConfig(len(weights["logits/bias"]), dropout=0.0)
    consensus = np.random.default_rng(0).random((4, 20)).astype(np.float32)
    tensors = map(tf.constant, (features[:4], token_ids, consensus, np.arange(4, dtype=np.int32)))
    batch = base.TensorBatch(*tensors, schedule=SCHEDULE)
    plain = tf.function(plain_steps.caption_gradients)
    watched = {name: tf.constant(value) for name, value in weights.items()}
    ours = our_gradients(captioner.model, DiscriminativeCrossEntropy(), batch)
    assert_same(ours, plain(watched, batch.features, batch.token_ids, batch.consensus))
