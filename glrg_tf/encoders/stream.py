"""One stream of an encoder: frames of a position in, the probabilities of one vocabulary out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.encoders import keyframe, layers, long_range, model_weights, short_range
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.resize import resize_frames
from glrg_tf.errors import CheckpointError, ConfigError, ExportError
from glrg_tf.io import atomic
from glrg_tf.io.atomic import sha256_file

BUILDERS: dict[str, Callable[[StreamSpec], keras.Model]] = {
    "long_range": long_range.build_long_range,
    "short_range": short_range.build_short_range,
    "keyframe": keyframe.build_keyframe,
}
_FRAMES_AT_ONCE = 128  # frames that pass a network together: enough to fill a processor, little enough memory


class StreamEncoder:
    """A network with its settings.

    Args:
        spec: name, frames, size, labels.
        model: functional Keras model, float32 (N, k, h, w, 3) RGB 0..255 -> (N, D) probabilities; or, for files that
            run outside TensorFlow, a function of the same shapes on NumPy arrays.
        source: the user's file the model came from, copied along by `EncoderBundle.save`.
    """

    def __init__(
        self, spec: StreamSpec, model: keras.Model | Callable[[np.ndarray], np.ndarray], source: Path | None = None
    ) -> None:
        self.spec, self.source = spec, source
        self.model: Any = model
        self._sha256 = sha256_file(source) if source else ""  # of the file that was loaded, whatever becomes of it
        self._functions: dict[bool, Callable[[tf.Tensor], tf.Tensor]] = {}

    @classmethod
    def build(cls, spec: StreamSpec, seed: int = 1) -> StreamEncoder:
        """A stream of a named kind with random weights, a pure function of `seed`."""
        if spec.kind not in BUILDERS:
            raise ConfigError(f"a stream of kind '{spec.kind}' needs a file", where=f"streams.{spec.name}")
        model = BUILDERS[spec.kind](spec)
        if spec.preset == "nano" and not spec.backbone:
            layers.initialise(model, seed)
        return cls(spec, model)

    @property
    def file_name(self) -> str:
        """What the stream is kept in, in an encoder folder."""
        return self.spec.name + (self.source.suffix.lower() if self.source else ".weights.h5")

    @property
    def exportable(self) -> bool:
        """Whether the stream runs inside a TensorFlow graph."""
        return isinstance(self.model, keras.Model)

    def probabilities(self, clips: tf.Tensor) -> tf.Tensor:
        """The stream inside a graph: (N, k, H, W, 3), any size and number type -> float32 (N, D).

        Raises:
            ExportError: the stream's file runs outside TensorFlow.
        """
        if not isinstance(self.model, keras.Model):
            raise ExportError(
                f"stream '{self.spec.name}' is a file that runs outside TensorFlow", remedy="use a Keras classifier"
            )
        return self.model(resize_frames(clips, self.spec.input_size, self.spec.fit), training=False)

    def encode(self, clips: np.ndarray) -> np.ndarray:
        """The stream of many positions.

        Args:
            clips: uint8 (N, k, H, W, 3), or float of the input size (resized already).

        Returns:
            float32 (N, D).

        Raises:
            ConfigError: another number of frames a position, or floats that are not of the input size.
        """
        clips = np.asarray(clips)
        wanted = (self.spec.frames, *self.spec.input_size, 3)
        if clips.ndim != 5 or clips.shape[1] != self.spec.frames or clips.shape[-1] != 3 or 0 in clips.shape[1:]:
            raise ConfigError(f"clips of shape {clips.shape}, stream '{self.spec.name}' reads (N, *{wanted})")
        ready = clips.dtype != np.uint8
        if ready and clips.shape[1:] != wanted:
            raise ConfigError(f"resized clips of shape {clips.shape}, stream '{self.spec.name}' reads (N, *{wanted})")
        step = max(1, _FRAMES_AT_ONCE // self.spec.frames)
        parts = [self._run(clips[start : start + step], ready) for start in range(0, len(clips), step)]
        return np.concatenate(parts) if parts else np.zeros((0, self.spec.width), np.float32)

    def _run(self, clips: np.ndarray, ready: bool) -> np.ndarray:
        if ready not in self._functions:
            self._functions[ready] = self._function(ready)
        result = self._functions[ready](clips.astype(np.float32) if ready else clips)
        if isinstance(self.model, keras.Model):
            return np.asarray(result)
        return np.asarray(self.model(np.asarray(result)), np.float32)

    def _function(self, ready: bool) -> Callable[[Any], tf.Tensor]:
        """Resize (unless done) and, where it is a Keras model, the network, compiled once for all sizes."""
        inside = isinstance(self.model, keras.Model)
        size = self.spec.input_size if ready else (None, None)
        signature = tf.TensorSpec((None, self.spec.frames, *size, 3), tf.float32 if ready else tf.uint8)

        @tf.function(input_signature=[signature], autograph=False)
        def function(clips: tf.Tensor) -> tf.Tensor:
            if not ready:
                clips = resize_frames(clips, self.spec.input_size, self.spec.fit)
            return self.model(clips, training=False) if inside else clips

        return function

    # === For saliency ===
    @property
    def feature_map(self) -> keras.Model:
        """Up to the last map: float32 (N, 1, h, w, 3) -> (N, h', w', C); streams of kind "keyframe" only.

        Raises:
            ConfigError: the stream has no map of classes.
        """
        if self.spec.kind != "keyframe" or not isinstance(self.model, keras.Model):
            raise ConfigError(f"stream '{self.spec.name}' has no class map", remedy="use a keyframe encoder")
        return keyframe.feature_map(self.model)

    def classify_cells(self, cells: tf.Tensor) -> tf.Tensor:
        """Class probabilities of each cell of a map: float32 (N, h', w', C) -> (N, h', w', D)."""
        return keyframe.classify_cells(self.model, cells, self.spec.activation)

    def digest(self) -> str:
        """sha256 of the weights or of the file."""
        return self._sha256 or model_weights.digest(self.model)

    def write(self, folder: Path) -> None:
        """Writes the weights, or a copy of the file, into an encoder folder.

        Raises:
            CheckpointError: the file is no longer the one that was loaded.
        """
        if self.source is None:
            model_weights.write(folder / self.file_name, self.model)
            return
        content = self.source.read_bytes()
        if hashlib.sha256(content).hexdigest() != self._sha256:
            raise CheckpointError("the classifier has changed since it was loaded", where=self.source)
        atomic.write_bytes(folder / self.file_name, content)
