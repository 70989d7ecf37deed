"""An S2VT-style captioner: one LSTM reads the visual descriptors in order, then says the sentence.

The model that caption-guided saliency was made for (Ramanishka et al. 2017, fact sheet section 2; after Venugopalan et
al. 2015): descriptors and words have halves of the LSTM's input of their own; while one speaks, the other is zero.

It shares the decoder, its one step and the search with the GL-RG captioner. The visual half of the input kernel is the
layer "video_gates" and the LSTM's bias is its bias; while the sentence is said the visual input is zero, so what is
added to the gates is that bias alone.

Departs from the reference: (a) the first word is asked for with a start token whose embedding is held at zero, which
is the reference's zero vector; (b) a sentence ends with `<end>`, not with a full stop; (c) any number of descriptors.
"""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, build_decoder, lstm_cell
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import ConfigError
from glrg_tf.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class S2VTConfig:
    """Sizes; the defaults are the reference's."""

    vocabulary_size: int = 0  # V, specials included; 0 until a vocabulary is known
    streams: tuple[tuple[str, int], ...] = (("keyframe", 1000),)  # name and width of what a descriptor is made of
    visual_size: int = 1300  # width of the linear map of a descriptor
    embedding_size: int = 300  # word embedding width E
    hidden_size: int = 1300  # LSTM width H
    dropout: float = 0.5  # on the LSTM's input and output, training only
    max_length: int = 26  # label positions: <start>, words, <end>

    def __post_init__(self) -> None:
        """Refuses sizes no model can have, by the rules of the other captioner."""
        CaptionerConfig(
            streams=self.streams,
            pool_size=self.visual_size,
            embedding_size=self.embedding_size,
            hidden_size=self.hidden_size,
            dropout=self.dropout,
            max_length=self.max_length,
        )

    @property
    def feature_size(self) -> int:
        """D, the sum of the stream widths."""
        return sum(width for _, width in self.streams)

    @property
    def stream_names(self) -> tuple[str, ...]:
        """The stream names in column order."""
        return tuple(name for name, _ in self.streams)


class S2VTModel(CaptionerModel):
    """Networks of an S2VT captioner.

    Attributes:
        encoder: descriptors float32 (B, F, D) -> visual embeddings (B, F, E_v), linear.
        video_projection: visual embeddings -> their part of the gates (B, F, 4H), the LSTM's bias with it.
        decoder: the decoding step, as every captioner's (see `decoder.build_decoder`).

    Args:
        config: sizes; `vocabulary_size` must be set.
        seed: seeds the initial weights.
    """

    def __init__(self, config: S2VTConfig, seed: int = 0) -> None:
        if config.vocabulary_size < 4:
            raise ConfigError("the vocabulary is empty", where="model.vocabulary_size")
        self.config = config  # type: ignore[assignment]  # what is read of it is the same
        keras.utils.set_random_seed(seed)
        # === Layers ===
        visual = keras.layers.Dense(config.visual_size, name="visual_embedding")
        gates = keras.layers.Dense(4 * config.hidden_size, bias_initializer=_forget_first, name="video_gates")
        # === Functional Models ===
        descriptors = keras.Input((None, config.feature_size), name="descriptors")
        self.encoder = keras.Model(descriptors, visual(descriptors), name="encoder")
        embedded = keras.Input((None, config.visual_size), name="visual")
        self.video_projection = keras.Model(embedded, gates(embedded), name="video_projection")
        self.decoder = build_decoder(config)  # type: ignore[arg-type]

    def decoder_weights(self) -> DecoderWeights:
        """The decoder's tensors; the start token reads as zeros."""
        weights = super().decoder_weights()
        spoken = 1.0 - tf.one_hot([Vocabulary.START], self.config.vocabulary_size, axis=0)
        return weights._replace(embedding=weights.embedding * spoken)

    def speaking_gates(self) -> tf.Tensor:
        """What the silent visual half adds to the gates of every word: the LSTM's bias, float32 (4H,)."""
        return tf.convert_to_tensor(self.video_projection.get_layer("video_gates").bias)

    def read(self, descriptors: tf.Tensor, mask: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads descriptors in order, the word half silent.

        Args:
            descriptors: float32 (B, F, D).
            mask: float32 (B, F, E_v) dropout of the visual embeddings, or None.

        Returns:
            The state after the last one: hidden and cell float32 (B, H).
        """
        embedded = self.encoder(descriptors)
        gates = self.video_projection(embedded if mask is None else embedded * mask)
        recurrent_kernel, width = self.decoder_weights().recurrent_kernel, self.config.hidden_size
        zeros = tf.zeros([tf.shape(gates)[0], width])
        shapes = (tf.TensorShape([]), tf.TensorShape([None, width]), tf.TensorShape([None, width]))

        def body(t: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            state = lstm_cell(gates[:, t] + tf.matmul(hidden, recurrent_kernel), cell)
            return t + 1, state.hidden, state.cell

        steps = tf.shape(gates)[1]
        _, hidden, cell = tf.while_loop(lambda t, *_: t < steps, body, (0, zeros, zeros), shape_invariants=shapes)
        return hidden, cell

    def start(self, descriptors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decoder state before the first word: hidden, cell (B, H) and the constant gates (B, 4H)."""
        hidden, cell = self.read(descriptors)
        return hidden, cell, tf.tile(self.speaking_gates()[None], [tf.shape(hidden)[0], 1])


def _forget_first(shape: tuple[int, ...], dtype: str | None = None) -> tf.Tensor:
    """The LSTM's initial bias: 1 for the forget gate, else 0; gates in the order i, f, c, o."""
    quarter = shape[0] // 4
    return tf.concat([tf.zeros(quarter), tf.ones(quarter), tf.zeros(2 * quarter)], axis=0)
