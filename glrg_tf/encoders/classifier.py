"""A user's own image classifier as a stream: a LiteRT, ONNX or Keras file.

What a file gives becomes probabilities of the stream's labels in this order:
  1. pixels 0..255, resized by `fit`, are normalised as the classifier was trained ("unit", "imagenet", "none" ...);
  2. a quantised file is fed and read through its own scale and zero point;
  3. `drop_first` leaves output 0 out: many ImageNet classifiers put "background" before the 1000 classes;
  4. `logits` applies the activation; else, after dropping, softmax outputs are divided by what is left, so that a row
     is again a distribution.

A Keras file becomes part of the graph and can be exported; LiteRT and ONNX files run beside TensorFlow and cannot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from glrg_tf.encoders import layers
from glrg_tf.encoders.classifier_files import FrameClassifier, LiteRTClassifier, OnnxClassifier
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import CheckpointError, ConfigError

SUFFIXES = (".tflite", ".onnx", ".keras")
_SMALLEST_SUM = 1e-6  # a row that is all background stays near zero instead of dividing by nothing


@dataclasses.dataclass(frozen=True)
class FileDescription:
    """What a classifier file says of itself."""

    input_size: tuple[int, int]  # height and width in pixels
    outputs: int  # classes, background included
    logits: bool  # whether outputs lie outside 0..1 (found by running it on a probe)


def describe(file: Path, normalise: str) -> FileDescription:
    """Looks into a classifier file and runs it on a probe.

    Raises:
        ConfigError: not a suffix we read, no such file, or no such normalisation.
        CheckpointError: the file is refused.
    """
    if normalise not in ("unit", "none", *layers.CHANNELS):
        known = ", ".join(("unit", "none", *layers.CHANNELS))
        raise ConfigError(f"'{normalise}' is not a value of 'normalise'", remedy="one of: " + known)
    model = _open(file)
    if isinstance(model, keras.Model):
        size, outputs = _keras_shapes(model, file)
    else:
        size, outputs = model.input_size, model.outputs
    probe = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.float32)
    values = np.asarray(model(normalised(probe, normalise)), np.float32)
    return FileDescription(size, outputs, bool(values.min() < -1e-6 or values.max() > 1 + 1e-3))


def load_classifier(spec: StreamSpec, file: Path) -> StreamEncoder:
    """The stream of a classifier file.

    Raises:
        CheckpointError: the file is refused, or its sizes are not those of `spec`.
    """
    model = _open(file)
    if isinstance(model, keras.Model):
        size, outputs = _keras_shapes(model, file)
    else:
        size, outputs = model.input_size, model.outputs
    wanted = spec.width + int(spec.drop_first)
    if outputs != wanted or size != spec.input_size:
        raise CheckpointError(
            f"the file reads {size[0]}x{size[1]} and has {outputs} outputs, stream '{spec.name}' wants "
            f"{spec.input_size[0]}x{spec.input_size[1]} and {wanted}",
            where=file,
        )
    network = _keras_stream(spec, model) if isinstance(model, keras.Model) else _file_stream(spec, model)
    return StreamEncoder(spec, network, source=file)


def normalised(pixels: np.ndarray, how: str) -> np.ndarray:
    """`layers.normalise` in NumPy: float32 (..., 3) of 0..255."""
    if how == "none":
        return pixels
    if how == "unit":
        return pixels * np.float32(1 / 127.5) - np.float32(1)
    mean, deviation = (np.asarray(values, np.float32) for values in layers.CHANNELS[how])
    return (pixels / np.float32(255) - mean) / deviation


def finish(values: np.ndarray, spec: StreamSpec) -> np.ndarray:
    """A file's outputs as probabilities of the labels: float32 (N, outputs) -> (N, D); steps 3 and 4 above."""
    values = values[:, 1:] if spec.drop_first else values
    if not spec.logits:
        if spec.drop_first and spec.activation == "softmax":
            values = values / np.maximum(values.sum(axis=1, keepdims=True), _SMALLEST_SUM)
        return values.astype(np.float32)
    if spec.activation == "sigmoid":
        return (1 / (1 + np.exp(-np.clip(values, -80, 80)))).astype(np.float32)
    grown = np.exp(values - values.max(axis=1, keepdims=True))
    return (grown / grown.sum(axis=1, keepdims=True)).astype(np.float32)


def _open(file: Path) -> FrameClassifier | keras.Model:
    suffix = file.suffix.lower()
    if suffix == ".tflite":
        return LiteRTClassifier(file)
    if suffix == ".onnx":
        return OnnxClassifier(file)
    if suffix == ".keras":
        from glrg_tf.encoders.keras_file import load_keras_file

        return load_keras_file(file)
    raise ConfigError(f"'{file.suffix}' is no classifier file", where=file, remedy="one of " + ", ".join(SUFFIXES))


def _file_stream(spec: StreamSpec, model: FrameClassifier) -> Callable[[np.ndarray], np.ndarray]:
    def run(clips: np.ndarray) -> np.ndarray:
        positions, frames = clips.shape[:2]
        images = normalised(clips.reshape(-1, *clips.shape[2:]), spec.normalise)
        return finish(model(images), spec).reshape(positions, frames, -1).mean(axis=1)

    return run


def _keras_shapes(model: keras.Model, file: Path) -> tuple[tuple[int, int], int]:
    shape, output = model.input_shape, model.output_shape
    plain = isinstance(shape, tuple) and isinstance(output, tuple) and all(not isinstance(n, tuple) for n in shape)
    if not plain or len(shape) != 4 or shape[3] != 3 or len(output) != 2 or output[1] is None:
        raise CheckpointError(
            f"the model maps {shape} to {output}, a classifier maps (n, h, w, 3) to (n, classes)",
            where=file,
            remedy="save the model with its pooling and its last layer",
        )
    return (shape[1] or 224, shape[2] or 224), int(output[1])


def _keras_stream(spec: StreamSpec, model: keras.Model) -> keras.Model:
    frames = layers.frames_input(spec)
    x = layers.fold_frames(layers.normalise(frames, spec.normalise))
    x = model(x, training=False)
    x = x[:, 1:] if spec.drop_first else x
    if spec.logits:
        x = keras.layers.Activation(spec.activation, dtype="float32", name="probabilities")(x)
    elif spec.drop_first and spec.activation == "softmax":
        x = x / keras.ops.maximum(keras.ops.sum(x, axis=1, keepdims=True), _SMALLEST_SUM)
    x = keras.ops.mean(layers.unfold_frames(x, spec.frames), axis=1)
    return keras.Model(frames, x, name=spec.name)
