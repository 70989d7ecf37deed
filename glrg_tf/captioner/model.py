"""The captioner's networks held together: encoder, video projection and decoder, each a functional Keras model."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, build_decoder
from glrg_tf.captioner.feature_pool import build_encoder, build_video_projection
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import CheckpointError, ConfigError


class CaptionerModel:
    """Encoder and decoder of one captioner.

    Attributes:
        encoder: features float32 (B, D) -> video embedding (B, E_v).
        video_projection: video embedding -> video gates (B, 4H).
        decoder: the decoding step (see `decoder.build_decoder`).

    Args:
        config: sizes; `vocabulary_size` must be set.
        seed: seeds the initial weights, so that two models of one seed are equal.

    Example:
        >>> model = CaptionerModel(CaptionerConfig(vocabulary_size=1944), seed=1)
        >>> model.encoder.summary()
    """

    def __init__(self, config: CaptionerConfig, seed: int = 0) -> None:
        if config.vocabulary_size < 4:
            raise ConfigError("the vocabulary is empty", where="model.vocabulary_size")
        self.config = config
        keras.utils.set_random_seed(seed)
        self.encoder = build_encoder(config)
        self.video_projection = build_video_projection(config, self.encoder.output_shape[-1])
        self.decoder = build_decoder(config)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """All weights, in the fixed order of `variables_by_name`."""
        return list(self.variables_by_name().values())

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """Weights by `layer/variable`, e.g. `lstm/recurrent_kernel`; the order is fixed."""
        named: dict[str, keras.Variable] = {}
        for part in (self.encoder, self.video_projection, self.decoder):
            for layer in part.layers:
                for variable in layer.weights:
                    named[f"{layer.name}/{variable.name}"] = variable
        return named

    def decoder_weights(self) -> DecoderWeights:
        """The decoder's tensors, converted from variables once."""
        named = self.variables_by_name()
        order = (
            "word_embedding/embeddings",
            "lstm/word_kernel",
            "lstm/recurrent_kernel",
            "logits/kernel",
            "logits/bias",
        )
        return DecoderWeights(*(tf.convert_to_tensor(named[name]) for name in order))

    def encode(self, features: tf.Tensor) -> tf.Tensor:
        """Video gates float32 (B, 4H) of features (B, D), without dropout."""
        return self.video_projection(self.encoder(features))

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all weights by name."""
        return {name: variable.numpy().copy() for name, variable in self.variables_by_name().items()}

    def set_weights(self, values: Mapping[str, np.ndarray], where: str = "weights") -> None:
        """Assigns all weights or none.

        Raises:
            CheckpointError: a name is missing or unknown, a shape differs, or a value is not finite.
        """
        named = self.variables_by_name()
        missing, unknown = sorted(named.keys() - values.keys()), sorted(values.keys() - named.keys())
        if missing or unknown:
            raise CheckpointError(f"weights do not match the model: missing {missing}, unknown {unknown}", where=where)
        for name, variable in named.items():
            if tuple(values[name].shape) != tuple(variable.shape):
                raise CheckpointError(
                    f"{name} has shape {tuple(values[name].shape)}, the model wants {tuple(variable.shape)}",
                    where=where,
                )
            if not np.all(np.isfinite(values[name])):
                raise CheckpointError(f"{name} holds values that are not finite", where=where)
        for name, variable in named.items():
            variable.assign(values[name])
