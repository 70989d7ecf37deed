"""One optimisation step of an encoder: on one device, or on replicas that share the batch and give the same numbers.

Losses are divided by what the global batch holds, gradients summed and then clipped, and everything random belongs to a
place of the global batch (encoder_replicas.py; the draws of frames and their augmentation in encoder_frames.py).
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import CheckpointError, ConfigError
from training import optimizer as optimizers
from training.distribution import Workers, first_place
from training.encoder_config import EncoderTraining
from training.encoder_frames import Batch
from training.encoder_replicas import replicated


class EncoderStep:
    """The compiled step, its optimizer, and where replicas need it a copy of the network for each.

    Args:
        stream: what is trained; with replicas it is brought up to date by `export` alone.
        settings: batch size, optimizer, loss.
        seed: dropout is a function of (seed, step, place in the global batch).
        strategy: replicas; None is one device.

    Attributes:
        places: of the global batch that are this worker's to build.

    Raises:
        ConfigError: fewer positions in a batch than replicas.
    """

    def __init__(
        self,
        stream: StreamEncoder,
        settings: EncoderTraining,
        seed: int,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self._replicas = strategy.num_replicas_in_sync if strategy is not None else 1
        self._strategy = strategy if self._replicas > 1 else None
        if settings.batch_size < self._replicas:
            what = f"a batch of {settings.batch_size} positions cannot be shared by {self._replicas} replicas"
            raise ConfigError(what, where="batch_size", remedy="--set batch_size=N, or fewer replicas")
        self._stream, self._settings, self._seed = stream, settings, seed
        mine = Workers(self._strategy).mine(self._replicas)  # this worker's replicas
        self.places = slice(self._first(mine[0]), self._first(mine[-1] + 1))
        with self._strategy.scope() if self._strategy is not None else contextlib.nullcontext():
            self.model = stream.model
            if self._strategy is not None:
                self.model = replicated(stream.model, settings.batch_size)
            self._logits = keras.Model(self.model.input, self.model.get_layer("logits").output)
            self.optimizer = _optimizer(settings)
            self.optimizer.build(self.model.trainable_variables)
        layers = self.model._flatten_layers(include_self=False)
        self._random = [layer.seed_generator for layer in layers if hasattr(layer, "seed_generator")]
        shape = (settings.batch_size, stream.spec.frames, *stream.spec.input_size, 3)
        signature = [tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((shape[0], stream.spec.width), tf.float32)]
        self.compiled = (
            tf.function(self._distributed, autograph=False)
            if self._strategy is not None
            else tf.function(self._step, input_signature=signature, autograph=False)
        )

    def __call__(self, batch: Batch, step: int, learning_rate: float) -> float:
        """Trains on a batch, `places` of the global one; returns the loss of the global batch."""
        for number, generator in enumerate(self._random):  # so a resumed run is the same run
            generator.state.assign(np.array([(self._seed + 7919 * number) % 2**32, step], np.uint32))
        self.optimizer.learning_rate.assign(learning_rate)
        return float(self.compiled(self._shared(batch.clips), self._shared(batch.targets)))

    def export(self) -> None:
        """Brings the stream's network up to date."""
        if self._strategy is not None:
            for ours, theirs in zip(self._stream.model.variables, self.model.variables, strict=True):
                ours.assign(self._local(theirs))

    def adopt(self) -> None:
        """Takes over the weights of the stream's network."""
        if self._strategy is not None:
            for ours, theirs in zip(self._stream.model.variables, self.model.variables, strict=True):
                theirs.assign(ours.numpy())

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's state, for a checkpoint."""
        values = (self._local(variable) for variable in self.optimizer.variables)
        return {f"optimizer/{number:04d}": np.asarray(value, np.float64) for number, value in enumerate(values)}

    def restore(self, slots: dict[str, np.ndarray], where: object) -> None:
        """Sets the optimizer's state.

        Raises:
            CheckpointError: it is of another network or optimizer.
        """
        for number, variable in enumerate(self.optimizer.variables):
            value = slots.get(f"optimizer/{number:04d}")
            if value is None or value.shape != tuple(variable.shape):
                raise CheckpointError("the optimizer's state does not fit", where=where, remedy="train again")
            variable.assign(value.astype(str(variable.dtype)))

    # === One replica ===
    def _step(self, clips: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses, count = self._losses(self._logits(tf.cast(clips, tf.float32), training=True), targets)
            if self._strategy is not None:
                count = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)
            loss = losses / tf.maximum(count, 1.0)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        gradients, _ = optimizers.global_gradients(gradients, self._settings.clip_norm)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return loss

    def _losses(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum of losses and of what they are divided by.

        Binary cross-entropy: all labels of all rows; cross-entropy: the rows that have a label.
        """
        if self._stream.spec.activation == "sigmoid":
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
            return tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32)
        total = tf.reduce_sum(targets, axis=1, keepdims=True)
        wanted = targets / tf.maximum(total, 1e-6)
        smooth = self._settings.label_smoothing
        wanted = (1 - smooth) * wanted + smooth / self._stream.spec.width
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=wanted, logits=logits)
        labelled = tf.cast(total[:, 0] > 0, tf.float32)
        return tf.reduce_sum(losses * labelled), tf.reduce_sum(labelled)

    # === Replicas ===
    def _distributed(self, clips: Any, targets: Any) -> tf.Tensor:
        strategy: Any = self._strategy
        losses = strategy.run(self._step, args=(clips, targets))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _shared(self, values: np.ndarray) -> Any:
        """The rows of each replica of this worker."""
        if self._strategy is None:
            return values

        def of_replica(context: tf.distribute.ValueContext) -> tf.Tensor:
            replica = context.replica_id_in_sync_group
            return tf.constant(values[slice(*(self._first(r) - self.places.start for r in (replica, replica + 1)))])

        return self._strategy.experimental_distribute_values_from_function(of_replica)

    def _first(self, replica: int) -> int:
        return int(first_place(int(replica), self._replicas, self._settings.batch_size))

    def _local(self, variable: keras.Variable) -> np.ndarray:
        """A variable's value here: nothing is asked of other workers."""
        if self._strategy is None:
            return variable.numpy()
        return self._strategy.experimental_local_results(variable.value)[0].numpy()


def _optimizer(settings: EncoderTraining) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
