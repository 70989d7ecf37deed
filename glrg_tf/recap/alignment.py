"""Alignment of a context with the decoder: learned queries that look at features, or at the texts below.

Fact sheet video-recap, section 4 ("qformer"): LayerNorm of the queries; each layer self-attention over the queries, in
every `cross_every`-th layer cross-attention to the context, feed-forward; post-norm, GELU, LayerNorm ε 1e-12.

Departs from the reference, whose BERT weights never load:
- every layer is our own, started at normal(0.02), and trainable (`trainable="paper"` trains the cross-attention only);
- `shared_mapper` shares the layers between features and texts, each keeps its own queries.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from glrg_tf.recap import layers
from glrg_tf.recap.settings import RecapConfig


class LearnedQueries(keras.layers.Layer):
    """n learned vectors, the same for every sample."""

    def __init__(self, count: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count, self.width = count, width

    def build(self, shape: Any) -> None:
        """Makes the queries: normal, of standard deviation W^-1/2."""
        start = keras.initializers.RandomNormal(self.width**-0.5)
        self.queries = self.add_weight(shape=(self.count, self.width), initializer=start, name="queries")
        self.built = True

    def call(self, context: Any) -> Any:
        """(B, S, W) -> (B, n, W): only B is looked at."""
        return ops.broadcast_to(self.queries[None], (ops.shape(context)[0], self.count, self.width))

    def compute_output_shape(self, shape: Any) -> Any:
        """(B, n, W)."""
        return (shape[0], self.count, self.width)


class AlignmentLayer(keras.layers.Layer):
    """Self-attention over queries, perhaps a look at the context, feed-forward; post-norm."""

    def __init__(self, config: RecapConfig, crosses: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = config.width
        self.attention = layers.SelfAttention(config.width, config.heads, name="self")
        self.cross = layers.CrossAttention(config.width, config.heads, name="cross") if crosses else None
        self.forward = layers.FeedForward(config.width, layers.gelu, name="forward")
        self.norm_self, self.norm_forward = _norm("norm_self"), _norm("norm_forward")
        self.norm_cross = _norm("norm_cross") if crosses else None
        self.dropout = keras.layers.Dropout(config.dropout)

    def build(self, shape: Any, *_: Any) -> None:
        """Makes the weights."""
        for part in (self.attention, self.cross, self.forward, self.norm_self, self.norm_cross, self.norm_forward):
            if part is not None:
                part.build((None, None, self.width))
        self.built = True

    def call(self, queries: Any, context: Any, seen: Any, training: bool = False) -> Any:
        """(B, n, W) looks at (B, S, W)."""
        x = self.norm_self(queries + self.dropout(self.attention(queries), training=training))
        if self.cross is not None:
            x = self.norm_cross(x + self.dropout(self.cross(x, context, seen), training=training))
        return self.norm_forward(x + self.dropout(self.forward(x), training=training))

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """As the queries."""
        return shape


class Alignment:
    """The layers between queries and context; `build` makes a functional model of them with its own queries."""

    def __init__(self, config: RecapConfig, name: str) -> None:
        self.config = config
        self.norm = _norm(f"{name}_norm")
        self.layers = [
            AlignmentLayer(config, number % config.cross_every == 0, name=f"{name}_{number}")
            for number in range(config.mapper_layers)
        ]

    def model(self, name: str, count: int) -> keras.Model:
        """Context float32 (B, S, W), seen float32 (B, S) -> queries float32 (B, count, W)."""
        width = self.config.width
        context = keras.Input((None, width), name="context")
        seen = keras.Input((None,), name="seen")
        x = self.norm(LearnedQueries(count, width, name=f"{name}_queries")(context))
        x = keras.layers.Dropout(self.config.dropout)(x)
        for layer in self.layers:
            x = layer(x, context, seen)
        return keras.Model([context, seen], x, name=name)


def _norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=1e-12, name=name)
