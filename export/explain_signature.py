"""The signatures of saliency: each visual item alone, a sentence forced, the log-probability of each word.

| signature | takes | gives |
|---|---|---|
| `explain` | `features` float32 (B, M, D), `token_ids` int32 (B, T) | `log_probs` float32 (B, M, T) |
| `explain_frames` | `frames` uint8 (B, F, H, W, 3), `token_ids` | `log_probs` float32 (B, P, T, h, w) |

Token ids are those of the signature `beam`, or words' places in vocabulary.json. Items are rows of features: positions
of a video, single concepts, cells. `explain_frames` makes its own: the cells of the P key frames, the other streams
empty. Behind a sentence's end the values are 0. Scaling to maps is the client's (docs/explain.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import tensorflow as tf

from glrg_tf.captioner import decoding
from glrg_tf.captioner.rollout import START_ID
from glrg_tf.encoders import keyframe
from glrg_tf.encoders.positions import frame_indices
from glrg_tf.encoders.resize import resize_frames

if TYPE_CHECKING:
    import keras

    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.encoders.stream import StreamEncoder
    from glrg_tf.video.sampling import FramePlan

Function = tf.types.experimental.ConcreteFunction


class CaptionModule(Protocol):
    """What these signatures need of `signatures.CaptionModule`, which cannot be imported here: it imports us."""

    @property
    def feature_size(self) -> int: ...  # noqa: D102

    @property
    def model(self) -> CaptionerModel: ...  # noqa: D102

    @property
    def stream_encoders(self) -> tuple[StreamEncoder, ...]: ...  # noqa: D102

    @property
    def plan(self) -> FramePlan: ...  # noqa: D102

    def columns_of(self, stream: str) -> tuple[int, int]: ...  # noqa: D102

    def weights_scope(self) -> keras.StatelessScope: ...  # noqa: D102


def explain(module: CaptionModule) -> Function:
    """Items and a sentence -> how well each item alone predicts each word."""
    width = module.feature_size

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, width], tf.float32, name="features"),
            tf.TensorSpec([None, None], tf.int32, name="token_ids"),
        ],
        autograph=False,
    )
    def explain(features: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        shape = tf.shape(features)
        words = tf.repeat(token_ids, shape[1], axis=0)
        with module.weights_scope():
            log_probs = _forced(module, tf.reshape(features, [-1, width]), words)
        return {"log_probs": tf.reshape(log_probs, [shape[0], shape[1], tf.shape(token_ids)[1]])}

    return explain.get_concrete_function()


def explain_frames(module: CaptionModule) -> Function | None:
    """Frames and a sentence -> the same for every cell of every key frame; None without a map of classes."""
    stream = _map_stream(module)
    if stream is None:
        return None
    spec, plan, network = stream.spec, module.plan, stream.feature_map
    height, width = int(network.output_shape[1]), int(network.output_shape[2])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, None, 3], tf.uint8, name="frames"),
            tf.TensorSpec([None, None], tf.int32, name="token_ids"),
        ],
        autograph=False,
    )
    def explain_frames(frames: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        batch, words = tf.shape(frames)[0], tf.shape(token_ids)[1]
        places = tf.reshape(frame_indices(plan, "keyframe", tf.shape(frames)[1]), [-1])
        shown = tf.gather(frames, places, axis=1)  # (B, P, H, W, 3)
        shown = tf.reshape(resize_frames(shown, spec.input_size, spec.fit), [-1, 1, *spec.input_size, 3])
        cells = plan.positions * height * width
        with module.weights_scope():
            classes = keyframe.classify_cells(stream.model, network(shown, training=False), spec.activation)
            classes = tf.reshape(classes, [batch, cells, spec.width])
            items = _placed(classes, module.columns_of(spec.name), module.feature_size)
            log_probs = _forced(module, items, tf.repeat(token_ids, cells, axis=0))
        found = tf.reshape(log_probs, [batch, plan.positions, height, width, words])
        return {"log_probs": tf.transpose(found, [0, 1, 4, 2, 3])}

    return explain_frames.get_concrete_function()


def _map_stream(module: CaptionModule) -> StreamEncoder | None:
    return next((stream for stream in module.stream_encoders if stream.spec.kind == "keyframe"), None)


def _placed(classes: tf.Tensor, columns: tuple[int, int], width: int) -> tf.Tensor:
    """Rows of features (B*C, D) with the cells' classes (B, C, M) in their columns and zeros elsewhere."""
    items = tf.pad(classes, [[0, 0], [0, 0], [columns[0], width - columns[1]]])
    return tf.reshape(items, [-1, width])


def _forced(module: CaptionModule, items: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """Log-probabilities (N, T) of the words (N, T) given items (N, D); 0 behind the first <end>."""
    model = module.model
    weights, gates = model.decoder_weights(), model.encode(items)
    rows, count = tf.shape(items)[0], tf.shape(token_ids)[1]
    size, width = weights.embedding.shape[0], weights.recurrent_kernel.shape[0]
    token_ids = tf.clip_by_value(token_ids, 0, size - 1)  # what a gather makes of other numbers is not ours to choose
    table = decoding.word_table_for(weights, rows)
    zeros = tf.zeros([rows, width])

    def body(t, token, alive, hidden, cell, kept):
        logits, hidden, cell = decoding.step(weights, table, token, hidden, cell, gates)
        token = token_ids[:, t]
        picked = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
        # Not a TensorArray: its operations are not among those every server has.
        kept = tf.concat([kept, tf.where(alive, picked, 0.0)[:, tf.newaxis]], axis=1)
        return t + 1, token, tf.logical_and(alive, token != 0), hidden, cell, kept

    shapes = (tf.TensorShape([]), *(tf.TensorShape([None]),) * 2, *(tf.TensorShape([None, width]),) * 2)
    end = tf.while_loop(
        lambda t, *_: t < count,
        body,
        (0, tf.fill([rows], START_ID), tf.ones([rows], tf.bool), zeros, zeros, tf.zeros([rows, 0])),
        shape_invariants=(*shapes, tf.TensorShape([None, None])),
    )
    return end[5]
