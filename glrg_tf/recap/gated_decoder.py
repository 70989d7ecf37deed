"""The text decoder: GPT-2's blocks, before each of them a gated look at the aligned queries.

    x <- x + tanh(a)·CrossAttention(LN x, Z);  x <- x + tanh(b)·MLP'(LN x);  then the ordinary block

(fact sheet video-recap, section 5). The gates a and b start at 0, so training begins as the plain language model; MLP'
has a squared ReLU; the output map is the word embedding, transposed.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from glrg_tf.recap import layers
from glrg_tf.recap.settings import RecapConfig

_EPSILON = 1e-5  # of GPT-2's LayerNorms


class GatedCrossAttention(keras.layers.Layer):
    """The unit before a block."""

    def __init__(self, config: RecapConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = config.width
        self.norm_cross, self.norm_forward = _norm("norm_cross"), _norm("norm_forward")
        self.cross = layers.CrossAttention(config.width, config.heads, name="cross")
        self.forward = layers.FeedForward(config.width, layers.squared_relu, name="forward")
        self.dropout = keras.layers.Dropout(config.dropout)

    def build(self, shape: Any, *_: Any) -> None:
        """Makes the weights; both gates are closed."""
        for part in (self.norm_cross, self.cross, self.norm_forward, self.forward):
            part.build((None, None, self.width))
        self.gate_cross = self.add_weight(shape=(), initializer="zeros", name="gate_cross")
        self.gate_forward = self.add_weight(shape=(), initializer="zeros", name="gate_forward")
        self.built = True

    def look_at(self, conditioning: Any, heard: Any) -> tuple[Any, Any, Any]:
        """Keys and values of Z (B, n, W), and where one may look: `heard` (B, n); once a text, whatever its length."""
        return *self.cross.keys(conditioning), heard[:, None, None, :]

    def step(self, x: Any, looked_at: tuple[Any, Any, Any], training: bool = False) -> Any:
        """(B, T, W) with what `look_at` has made of Z."""
        found = self.cross.look(self.norm_cross(x), *looked_at)
        x = x + ops.tanh(self.gate_cross) * self.dropout(found, training=training)
        return x + ops.tanh(self.gate_forward) * self.forward(self.norm_forward(x))

    def call(self, x: Any, conditioning: Any, heard: Any, training: bool = False) -> Any:
        """(B, T, W) looks at Z (B, n, W), of which `heard` (B, n) says 1 where there is something."""
        return self.step(x, self.look_at(conditioning, heard), training=training)

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """As the first input."""
        return shape


class DecoderBlock(keras.layers.Layer):
    """A block of GPT-2: pre-norm, causal self-attention, feed-forward."""

    def __init__(self, config: RecapConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = config.width
        self.norm_self, self.norm_forward = _norm("norm_self"), _norm("norm_forward")
        self.attention = layers.SelfAttention(config.width, config.heads, causal=True, name="self")
        self.forward = layers.FeedForward(config.width, layers.gelu_tanh, name="forward")
        self.dropout = keras.layers.Dropout(config.dropout)

    def build(self, shape: Any) -> None:
        """Makes the weights."""
        for part in (self.norm_self, self.attention, self.norm_forward, self.forward):
            part.build((None, None, self.width))
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        """(B, T, W) -> (B, T, W)."""
        x = x + self.dropout(self.attention(self.norm_self(x)), training=training)
        return x + self.dropout(self.forward(self.norm_forward(x)), training=training)

    def step(self, x: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        """One further place (B, 1, W) after those of the cache (B, H, T, d): its output and the longer cache."""
        query, new_key, new_value = self.attention.project(self.norm_self(x))
        key, value = ops.concatenate([key, new_key], axis=2), ops.concatenate([value, new_value], axis=2)
        x = x + self.attention.output_map(layers.attend(query, key, value))
        return x + self.forward(self.norm_forward(x)), key, value


class WordEmbedding(keras.layers.Layer):
    """Words and their places; its transpose is the output map."""

    def __init__(self, config: RecapConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def build(self, shape: Any) -> None:
        """Makes both tables."""
        sizes, start = self.config, keras.initializers.RandomNormal
        self.words = self.add_weight(shape=(sizes.vocabulary_size, sizes.width), initializer=start(0.02), name="words")
        self.places = self.add_weight(shape=(sizes.positions, sizes.width), initializer=start(0.01), name="places")
        self.built = True

    def call(self, token_ids: Any, first: Any = 0) -> Any:
        """int32 (B, T) -> float32 (B, T, W); negative ids are padding and read as id 0."""
        places = ops.take(self.places, ops.arange(ops.shape(token_ids)[1]) + first, axis=0)
        return ops.take(self.words, ops.maximum(token_ids, 0), axis=0) + places[None]

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """(B, T, W)."""
        return (*shape, self.config.width)

    def logits(self, x: Any) -> Any:
        """(B, T, W) -> (B, T, V)."""
        return ops.matmul(x, ops.transpose(self.words))


class Logits(keras.layers.Layer):
    """The final LayerNorm and the tied output map."""

    def __init__(self, embedding: WordEmbedding, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = _norm("norm")
        self._embedding = [embedding]  # in a list: its weights are the embedding's, not ours
        self._width = embedding.config.width

    def build(self, shape: Any) -> None:
        """Makes the LayerNorm."""
        self.norm.build((None, None, self._width))
        self.built = True

    def call(self, x: Any) -> Any:
        """(B, T, W) -> (B, T, V)."""
        return self._embedding[0].logits(self.norm(x))


class GatedDecoder:
    """The layers of the decoder, and the two functional models of them."""

    def __init__(self, config: RecapConfig) -> None:
        self.config = config
        self.embedding = WordEmbedding(config, name="embedding")
        self.embedding.build((None, None))
        self.units = [GatedCrossAttention(config, name=f"gated_{n}") for n in range(config.decoder_layers)]
        self.blocks = [DecoderBlock(config, name=f"block_{n}") for n in range(config.decoder_layers)]
        self.logits = Logits(self.embedding, name="logits")
        self.dropout = keras.layers.Dropout(config.dropout)

    def model(self) -> keras.Model:
        """Tokens int32 (B, T), Z float32 (B, n, W), heard float32 (B, n) -> logits float32 (B, T, V)."""
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        conditioning = keras.Input((None, self.config.width), name="conditioning")
        heard = keras.Input((None,), name="heard")
        x = self.dropout(self.embedding(token_ids))
        for unit, block in zip(self.units, self.blocks, strict=True):
            x = block(unit(x, conditioning, heard))
        return keras.Model([token_ids, conditioning, heard], self.logits(x), name="decoder")

    def language_model(self) -> keras.Model:
        """The same blocks without the gated units: tokens int32 (B, T) -> logits float32 (B, T, V)."""
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        x = self.dropout(self.embedding(token_ids))
        for block in self.blocks:
            x = block(x)
        return keras.Model(token_ids, self.logits(x), name="language_model")


def _norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name=name)
