"""The feature pool: from the vocabularies of a video to one embedding (GL-RG eq. 4).

Departures:
- `joint` is what the released code does: one linear map over the concatenation, then ReLU.
- `per_stream` is the paper: one linear map a stream to a common size, concatenated, then ReLU.
- `feature_map="root"` takes square roots of the probabilities first, which neither does. The distance of two such
  vectors is Hellinger's distance of the distributions: a stream of softmax outputs has length 1 however flat they are,
  and what is seen with little confidence counts. On the keyframe stream alone a captioner learns far sooner
  (docs/extraction.md); with the 300 sigmoids of the long range, which are large, it is not needed.
- In `joint`, streams beyond the release's three (`semantic`, a user's own) begin with zero weights and the rest as if
  they were not there: a captioner with a further stream begins as the one without it. Drawn like the others they made
  the start smaller for all and cost a small captioner 7 CIDEr even when they held zeros only (docs/visual-glove.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from glrg_tf.captioner.presets import RELEASE_STREAMS, CaptionerConfig


def _uniform(fan_in: int) -> keras.initializers.Initializer:
    """PyTorch's default for a linear layer: uniform within 1/sqrt(fan_in), bias included."""
    bound = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)


def build_encoder(config: CaptionerConfig) -> keras.Model:
    """Functional encoder: features float32 (B, D) -> video embedding float32 (B, E_v).

    E_v is `pool_size` for `joint` and `pool_size` times the number of streams for `per_stream`.
    Dropout is applied by the objectives, outside, from a stateless seed: a resumed run repeats its masks.
    """
    # === Layers ===
    if config.feature_pool == "joint":
        pools = {"feature_pool": _pool_layer("feature_pool", config.pool_size, *_first_streams(config))}
    else:
        pools = {name: _pool_layer(f"feature_pool_{name}", config.pool_size, width) for name, width in config.streams}
    # === Functional Model ===
    features = given = keras.Input((config.feature_size,), name="features")
    if config.feature_map == "root":
        features = keras.ops.sqrt(keras.ops.relu(given))
    if config.feature_pool == "joint":
        pooled = pools["feature_pool"](features)
    else:
        parts, start = [], 0
        for name, width in config.streams:
            parts.append(pools[name](features[:, start : start + width]))
            start += width
        pooled = keras.layers.Concatenate(name="concatenate_streams")(parts) if len(parts) > 1 else parts[0]
    return keras.Model(given, pooled, name="encoder")


def build_video_projection(config: CaptionerConfig, embedding_width: int) -> keras.Model:
    """Functional projection: video embedding float32 (B, E_v) -> the video's part of the gates (B, 4H).

    It is the visual half of the LSTM's input kernel, applied once a video instead of once a caption a step.
    """
    video_embedding = keras.Input((embedding_width,), name="video_embedding")
    layer = keras.layers.Dense(
        4 * config.hidden_size,
        use_bias=False,
        kernel_initializer=_uniform(config.hidden_size),
        name="video_gates",
    )
    return keras.Model(video_embedding, layer(video_embedding), name="video_projection")


def _pool_layer(name: str, units: int, fan_in: int, rows: np.ndarray | None = None) -> keras.layers.Dense:
    initializer = _uniform(fan_in)
    kernel = initializer if rows is None else OnRows(initializer, rows.tolist())
    return keras.layers.Dense(
        units, activation="relu", kernel_initializer=kernel, bias_initializer=initializer.clone(), name=name
    )


def _first_streams(config: CaptionerConfig) -> tuple[int, np.ndarray | None]:
    """Width of the release's streams together, and their columns bool (D,); all of them where there are no others."""
    known = dict(RELEASE_STREAMS)
    rows = np.repeat([name in known for name, _ in config.streams], [width for _, width in config.streams])
    return (config.feature_size, None) if rows.all() or not rows.any() else (int(rows.sum()), rows)


@keras.saving.register_keras_serializable("glrg_tf")
class OnRows(keras.initializers.Initializer):
    """An initializer's values on some rows of a matrix, zeros on the others.

    Args:
        inner: makes the values.
        rows: bool (D,), which rows they are for.
    """

    def __init__(self, inner: keras.initializers.Initializer, rows: Sequence[bool]) -> None:
        self.inner, self.rows = keras.initializers.get(inner), [bool(row) for row in rows]

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        """The matrix float32 (D, units)."""
        rows = np.array(self.rows)
        drawn = self.inner((int(rows.sum()), shape[1]), dtype)
        places = np.maximum(np.cumsum(rows) - 1, 0)
        return keras.ops.where(rows[:, None], keras.ops.take(drawn, places, axis=0), 0.0)

    def get_config(self) -> dict[str, Any]:
        """See `keras.initializers.Initializer`: models are cloned and saved by it."""
        return {"inner": keras.initializers.serialize(self.inner), "rows": self.rows}
