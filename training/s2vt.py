"""Training of an S2VT captioner by cross-entropy: the same batches, token mean, optimiser and decoding step as GL-RG.

Matches the reference code of caption-guided saliency (fact sheet, section 5: Adam 5e-4, dropout 0.5) except:
(a) an epoch shows every video with some of its captions, as our other objectives; (b) dropout is on the visual
embeddings and on the LSTM's output, not on word embeddings; (c) gradients are clipped; (d) the epoch with the lowest
validation loss, taken without dropout and with the end token, is kept, and training stops when it rises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.captioner import decoding
from glrg_tf.captioner.decoder import vocabulary_logits
from glrg_tf.captioner.distributions import dropout_mask
from glrg_tf.captioner.rollout import Rollout
from glrg_tf.captioner.s2vt import S2VTConfig, S2VTModel
from glrg_tf.captioner.s2vt_captioner import S2VTCaptioner
from glrg_tf.data.batches import CaptionBatches
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary
from training import optimizer as optimizers
from training.material import Split, build_vocabulary, open_split
from training.objectives.base import stream, token_mean

_READING, _SPEAKING = 1, 2  # random streams of a step


@dataclasses.dataclass(frozen=True)
class S2VTTraining:
    """How an S2VT captioner is trained."""

    epochs: int = 30  # passes over the videos
    patience: int = 5  # epochs without a lower validation loss before stopping
    batch_size: int = 16  # videos a step
    captions_per_video: int = 6  # of each video in a step
    learning_rate: float = 5e-4  # Adam's, as the reference
    clip_norm: float = 5.0  # of the gradient
    min_count: int = 3  # of a word, to be in the vocabulary
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuses numbers that nothing can be trained with."""
        for name in ("epochs", "patience", "batch_size", "captions_per_video", "learning_rate", "min_count"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, found {getattr(self, name)}", where=name)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    epoch: int
    loss: float  # mean cross-entropy a token, with dropout
    val_loss: float  # without


def train_s2vt(
    dataset: CaptionDataset,
    config: S2VTConfig,
    settings: S2VTTraining | None = None,
    progress: Callable[[Epoch], object] | None = None,
) -> tuple[S2VTCaptioner, list[Epoch]]:
    """Trains on a dataset whose features.h5 keeps one vector a position (`glrg extract --per-position`).

    Raises:
        DataError: no captions or features; no vocabulary.
        FeatureError: streams of other widths than the config's, or of one vector a video.
    """
    settings = settings or S2VTTraining()
    train, val = (open_split(dataset, name, config) for name in ("train", "val"))  # type: ignore[arg-type]
    for name in config.stream_names:
        if not train.store.has_positions(name):
            raise FeatureError(
                f"stream '{name}' has one vector a video, an S2VT captioner reads one a position",
                where=dataset.folder / "features.h5",
                remedy="extract with `glrg extract … --per-position`",
            )
    vocabulary = build_vocabulary(dataset, train, settings.min_count)
    config = dataclasses.replace(config, vocabulary_size=len(vocabulary))
    model = S2VTModel(config, settings.seed)
    batches, checks = (_batches(split, dataset, vocabulary, config, settings) for split in (train, val))
    optimizer = optimizers.build(settings.learning_rate, model.trainable_variables)
    step = build_step(model, optimizer, settings)
    history: list[Epoch] = []
    best, kept = np.inf, model.get_weights()
    for epoch in range(settings.epochs):
        first = epoch * batches.steps_per_epoch
        numbers = range(first, first + batches.steps_per_epoch)
        losses = [float(step(*_tensors(batches, number), tf.constant(number))) for number in numbers]
        held = [float(loss_of(model, *_tensors(checks, n))[0]) for n in range(checks.steps_per_epoch)]
        history.append(Epoch(epoch, float(np.mean(losses)), float(np.mean(held))))
        if progress is not None:
            progress(history[-1])
        if history[-1].val_loss < best:
            best, kept = history[-1].val_loss, model.get_weights()
        elif epoch - int(np.argmin([past.val_loss for past in history])) >= settings.patience:
            break
    model.set_weights(kept)
    return S2VTCaptioner(model, vocabulary), history


def build_step(
    model: S2VTModel, optimizer: optimizers.FusedAdam, settings: S2VTTraining
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Compiles one optimisation step: descriptors (B, F, D), token ids (B, G, L), step number -> loss."""
    variables: list[keras.Variable] = model.trainable_variables

    @tf.function(reduce_retracing=True)
    def step(descriptors: tf.Tensor, token_ids: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        rng = tf.random.experimental.stateless_fold_in(tf.constant([settings.seed, 0]), number)
        with tf.GradientTape() as tape:
            loss, _ = loss_of(model, descriptors, token_ids, rng)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        gradients, _ = optimizers.global_gradients([tf.convert_to_tensor(g) for g in gradients], settings.clip_norm)
        optimizer.apply(gradients, variables)
        return loss

    return step


def loss_of(
    model: S2VTModel, descriptors: tf.Tensor, token_ids: tf.Tensor, rng: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean cross-entropy of the words and ends of all captions, and their number.

    Args:
        model: networks.
        descriptors: float32 (B, F, D).
        token_ids: int32 (B, G, L) label rows: <start>, words, 0, ...
        rng: int32 (2,), seed of the dropout; None leaves it out.
    """
    rate, captions = model.config.dropout if rng is not None else 0.0, tf.shape(token_ids)[1]
    mask = None
    if rate:
        rows = tf.shape(descriptors)[0] * tf.shape(descriptors)[1]
        width = model.config.visual_size  # type: ignore[attr-defined]
        mask = dropout_mask([rows, width], rate, stream(rng, _READING))
        mask = tf.reshape(mask, [tf.shape(descriptors)[0], tf.shape(descriptors)[1], width])
    hidden, cell = (tf.repeat(state, captions, axis=0) for state in model.read(descriptors, mask))
    labels = tf.reshape(token_ids, [-1, token_ids.shape[2]])
    weights = model.decoder_weights()
    table, alive = decoding.word_table(weights), tf.ones(tf.shape(labels)[:1], tf.bool)
    log_probs, valid = [], []
    for t in range(token_ids.shape[2] - 1):
        _, hidden, cell = decoding.step(weights, table, labels[:, t], hidden, cell, model.speaking_gates()[None])
        seen = hidden
        if rate:
            seed = stream(rng, _SPEAKING + t)
            seen = hidden * dropout_mask([tf.shape(hidden)[0], model.config.hidden_size], rate, seed)
        every = tf.nn.log_softmax(vocabulary_logits(seen, weights))
        log_probs.append(tf.where(alive, tf.gather(every, labels[:, t + 1], batch_dims=1), 0.0))
        valid.append(alive)
        alive = tf.logical_and(alive, labels[:, t + 1] != Vocabulary.END)
    picked, counted = tf.reshape(tf.stack(log_probs), [-1]), tf.reshape(tf.stack(valid), [-1])
    nothing = tf.zeros([0], tf.int32)
    rollout = Rollout(picked, nothing, nothing, nothing, nothing, tf.constant(0), counted)
    return token_mean(rollout, tf.ones_like(picked))


def _tensors(batches: CaptionBatches, number: int) -> tuple[tf.Tensor, tf.Tensor]:
    batch = batches.batch(number)
    return tf.constant(batch.features), tf.constant(batch.token_ids)


def _batches(
    split: Split, dataset: CaptionDataset, vocabulary: Vocabulary, config: S2VTConfig, settings: S2VTTraining
) -> CaptionBatches:
    tokenizer = get_tokenizer(dataset.tokenizer)
    words = [[tokenizer(text) for text in captions] for captions in split.captions]
    length = min(config.max_length, 2 + max(len(tokens) for captions in words for tokens in captions))
    ids = [np.stack([vocabulary.encode(tokens, length) for tokens in captions]) for captions in words]

    def positions(rows: np.ndarray) -> np.ndarray:
        videos = [
            np.concatenate([split.store.positions(split.ids[row], name) for name in split.streams], axis=1)
            for row in rows
        ]
        return np.stack(videos)

    scores = [np.ones(len(rows), np.float32) for rows in ids]
    return CaptionBatches(positions, ids, scores, settings.batch_size, settings.captions_per_video, settings.seed)
