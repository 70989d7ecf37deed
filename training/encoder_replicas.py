"""An encoder's network on many devices: what looks at a whole batch must look at the *global* one.

Two kinds of layers do. Batch normalisation (in every network of ours: its statistics are trained with, none is frozen)
takes mean and variance over the places of all replicas, in two passes as one device does. Dropout draws the mask of the
global batch on every replica and takes the rows of its own places. With them a step is the same function of the global
batch however it is shared, up to the order of sums.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from training.distribution import first_place


class GlobalBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the places of all replicas.

    Keras' own `synchronized=True` takes E(x²) - E(x)², which loses digits where a channel's mean is far from zero.
    """

    def _moments(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        axes = list(self._reduction_axes)
        count = _summed(tf.cast(tf.size(inputs) // tf.shape(inputs)[self.axis], inputs.dtype))
        mean = _summed(tf.reduce_sum(inputs, axes)) / count
        shape = [1] * len(inputs.shape)
        shape[self.axis] = -1
        distances = tf.math.squared_difference(inputs, tf.reshape(mean, shape))
        return mean, _summed(tf.reduce_sum(distances, axes)) / count


class GlobalDropout(keras.layers.Dropout):
    """Dropout whose mask is a function of the seed and the place in the global batch.

    Args:
        places: in the global batch; the first axis of the input is a multiple of those that are here.
        options: of `keras.layers.Dropout`.
    """

    def __init__(self, places: int, **options: Any) -> None:
        super().__init__(**options)
        self._places = places

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drops by the mask of one device's dropout on the whole batch; the state is the trainer's to move."""
        if not training or not self.rate:
            return inputs
        context = tf.distribute.get_replica_context()
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        first, end = (first_place(part, replicas, self._places) for part in (replica, replica + 1))
        shape = tf.shape(inputs)
        each = shape[0] // (end - first)
        whole = tf.concat([[self._places * each], shape[1:]], axis=0)
        noise = [
            side if side else whole[axis] for axis, side in enumerate(self.noise_shape or [None] * len(inputs.shape))
        ]
        state = tf.convert_to_tensor(self.seed_generator.state.value)
        seed = tf.cast(tf.math.floormod(state, tf.int32.max - 1), tf.int32)  # as keras.random.dropout
        mask = tf.nn.experimental.stateless_dropout(
            tf.ones(whole, inputs.dtype), rate=self.rate, seed=seed, noise_shape=noise
        )
        return inputs * mask[first * each : end * each]


def replicated(model: keras.Model, places: int) -> keras.Model:
    """A copy of a network for the replicas of the strategy in whose scope this is called; weights included.

    Args:
        model: functional, its layers not yet under a strategy.
        places: positions in the global batch.
    """

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        options = layer.get_config()
        if type(layer) is keras.layers.BatchNormalization:
            return GlobalBatchNormalization.from_config(options)
        if type(layer) is keras.layers.Dropout:
            return GlobalDropout(places, **options)
        return type(layer).from_config(options)

    twin = keras.models.clone_model(model, clone_function=copy, recursive=True)
    for ours, theirs in zip(model.variables, twin.variables, strict=True):
        theirs.assign(ours.numpy())
    return twin


def _summed(values: tf.Tensor) -> tf.Tensor:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
