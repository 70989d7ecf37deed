"""Attention in two halves, so that keys and values of what does not change are computed once."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_NEVER = -1e9  # added to the scores of what may not be looked at


def split_heads(values: Any, heads: int) -> Any:
    """(B, T, W) -> (B, H, T, W/H)."""
    shape = ops.shape(values)
    return ops.transpose(ops.reshape(values, (-1, shape[1], heads, values.shape[-1] // heads)), (0, 2, 1, 3))


def attend(query: Any, key: Any, value: Any, allowed: Any = None) -> Any:
    """Scaled dot-product attention.

    Args:
        query: float32 (B, H, T, d).
        key: float32 (B, H, S, d).
        value: float32 (B, H, S, d).
        allowed: float32, broadcast to (B, H, T, S): 1 where a query may look; None: everywhere. A query that may look
            nowhere gets zeros.

    Returns:
        float32 (B, T, H·d).
    """
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) * (query.shape[-1] ** -0.5)
    weights = ops.softmax(scores) if allowed is None else ops.softmax(scores + (1.0 - allowed) * _NEVER) * allowed
    mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
    shape = ops.shape(mixed)
    return ops.reshape(mixed, (-1, shape[1], mixed.shape[2] * mixed.shape[3]))


class SelfAttention(keras.layers.Layer):
    """Multi-head attention of a sequence to itself.

    Args:
        width: of the sequence.
        heads: number of heads.
        causal: whether a place sees only itself and what is before it.
    """

    def __init__(self, width: int, heads: int, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.heads, self.causal = width, heads, causal
        self.joined = keras.layers.Dense(3 * width, name="qkv")
        self.output_map = keras.layers.Dense(width, name="out")

    def build(self, shape: Any) -> None:
        """Makes the weights."""
        self.joined.build((None, None, self.width))
        self.output_map.build((None, None, self.width))
        self.built = True

    def project(self, x: Any) -> tuple[Any, Any, Any]:
        """Query, key and value of `x` (B, T, W): each (B, H, T, d)."""
        parts = ops.split(self.joined(x), 3, axis=-1)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        return query, key, value

    def call(self, x: Any) -> Any:
        """(B, T, W) -> (B, T, W)."""
        query, key, value = self.project(x)
        allowed = None
        if self.causal:
            places = ops.arange(ops.shape(x)[1])
            allowed = ops.cast(places[:, None] >= places[None, :], "float32")[None, None]
        return self.output_map(attend(query, key, value, allowed))

    def compute_output_shape(self, shape: Any) -> Any:
        """As the input."""
        return shape


class CrossAttention(keras.layers.Layer):
    """Multi-head attention of a sequence to a context."""

    def __init__(self, width: int, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        names = {"query": width, "key_value": 2 * width, "out": width}
        made = [keras.layers.Dense(size, name=name) for name, size in names.items()]
        self.query_map, self.joined, self.output_map = made

    def build(self, shape: Any, context: Any = None) -> None:
        """Makes the weights."""
        for layer in (self.query_map, self.joined, self.output_map):
            layer.build((None, None, self.width))
        self.built = True

    def keys(self, context: Any) -> tuple[Any, Any]:
        """Key and value of a context (B, S, W): each (B, H, S, d); once a context, however often it is looked at."""
        key, value = ops.split(self.joined(context), 2, axis=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def look(self, x: Any, key: Any, value: Any, allowed: Any = None) -> Any:
        """(B, T, W) looks at a context's keys and values -> (B, T, W)."""
        return self.output_map(attend(split_heads(self.query_map(x), self.heads), key, value, allowed))

    def call(self, x: Any, context: Any, seen: Any = None) -> Any:
        """(B, T, W) looks at (B, S, W), of which `seen` (B, S) says 1 where there is something."""
        key, value = self.keys(context)
        return self.look(x, key, value, None if seen is None else seen[:, None, None, :])

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """As the first input."""
        return shape


class FeedForward(keras.layers.Layer):
    """W -> 4W -> W with an activation between."""

    def __init__(self, width: int, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.activation = width, activation
        self.wide = keras.layers.Dense(4 * width, name="wide")
        self.narrow = keras.layers.Dense(width, name="narrow")

    def build(self, shape: Any) -> None:
        """Makes the weights."""
        self.wide.build((None, None, self.width))
        self.narrow.build((None, None, 4 * self.width))
        self.built = True

    def call(self, x: Any) -> Any:
        """(B, T, W) -> (B, T, W)."""
        return self.narrow(self.activation(self.wide(x)))


def squared_relu(x: Any) -> Any:
    """max(x, 0)²."""
    return ops.square(ops.relu(x))


def gelu(x: Any) -> Any:
    """GELU, exact (BERT's)."""
    return ops.gelu(x, approximate=False)


def gelu_tanh(x: Any) -> Any:
    """GELU by tanh (GPT-2's)."""
    return ops.gelu(x, approximate=True)
