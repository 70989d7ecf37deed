"""Any classifier of `keras.applications` as a backbone that takes pixels 0..255 and does its own preprocessing."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras

from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io import hdf5

IMAGENET_CLASSES = 1000
_MAX_DEPTH = 8  # groups inside groups in a weights file of Keras


def applications_names() -> list[str]:
    """The names that `applications_backbone` takes."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper())


def applications_backbone(
    name: str,
    input_size: tuple[int, int],
    classes: int | None = IMAGENET_CLASSES,
    weights: str | os.PathLike[str] | None = None,
    *,
    activation: str | None = "softmax",
) -> keras.Model:
    """Builds a classifier of `keras.applications`.

    Args:
        name: of the builder, such as "EfficientNetV2B0".
        input_size: height and width in pixels.
        classes: width of the last layer; None leaves pooling and last layer out.
        weights: None for random ones, "imagenet" for those that Keras downloads (with another number of classes than
            1000 the last layer is random), or a file that Keras saved (`.weights.h5`, `.h5`).
        activation: of the last layer; None for logits.

    Returns:
        float32 (N, H, W, 3) RGB 0..255 -> (N, classes), or the last map (N, H', W', C).

    Raises:
        ConfigError: no such classifier, or an input it cannot take.
        CheckpointError: the weights cannot be had, or do not fit.
    """
    builder, preprocess = _builder(name)
    pretrained = weights == "imagenet"
    own_head = classes is not None and pretrained and classes != IMAGENET_CLASSES
    shape = (*input_size, 3)
    # === Functional Model ===
    inputs = keras.Input(shape, dtype="float32", name="pixels")
    options = {"include_top": classes is not None and not own_head, "weights": "imagenet" if pretrained else None}
    if options["include_top"]:
        options |= {"classes": classes, "classifier_activation": activation}
    network = _build(name, builder, {**options, "input_shape": shape})
    x = network(preprocess(inputs))
    if own_head:
        x = keras.layers.GlobalAveragePooling2D(name="avgpool")(x)
        x = keras.layers.Dense(classes, activation, name="fc")(x)
    if weights is not None and not pretrained:
        _load(network, Path(weights), name)
    return keras.Model(inputs, x, name=name.lower())


def _builder(name: str) -> tuple[Callable[..., keras.Model], Callable[[Any], Any]]:
    """The builder of a network, and the preprocessing of its module."""
    if name not in applications_names():
        remedy = "known: " + ", ".join(applications_names())
        raise ConfigError(f"keras.applications has no classifier '{name}'", where="backbone", remedy=remedy)
    builder = getattr(keras.applications, name)
    return builder, sys.modules[inspect.unwrap(builder).__module__].preprocess_input


def _build(name: str, builder: Callable[..., keras.Model], options: dict[str, Any]) -> keras.Model:
    try:
        return builder(**options)
    except ValueError as error:  # too small an input, or weights of another input size
        raise ConfigError(f"{name}: {_first_line(error)}", where="backbone", remedy="choose another size") from error
    except Exception as error:  # the download: urllib's errors come as plain exceptions
        if options["weights"] is None:
            raise
        remedy = "check the connection, or pass a file of weights; Keras keeps downloads in ~/.keras/models"
        raise CheckpointError(
            f"the ImageNet weights of {name} cannot be had: {_first_line(error)}", remedy=remedy
        ) from (error)


def _load(network: keras.Model, path: Path, name: str) -> None:
    if not path.name.endswith(".h5"):
        raise CheckpointError("weights of keras.applications are .h5 files", where=path, remedy="pass *.weights.h5")
    try:
        with hdf5.open_file(path, error=DataError) as handle:
            _check_group(handle, "", 0)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where or path, remedy=error.remedy) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns where layers keep their random weights
            network.load_weights(path)
    except (ValueError, KeyError, OSError, TypeError, AttributeError, UserWarning) as error:
        remedy = f"pass weights of {name} with the same last layer"
        raise CheckpointError(f"the weights do not fit {name}: {_first_line(error)}", where=path, remedy=remedy) from (
            error
        )


def _check_group(handle: h5py.File, path: str, depth: int) -> None:
    """Refuses links, external storage and impossible sizes before Keras reads the file."""
    if depth > _MAX_DEPTH:
        raise DataError("groups are nested too deeply", where=handle.filename)
    for name in hdf5.names(hdf5.resolve(handle, path) if path else handle, error=DataError):
        inner = f"{path}/{name}" if path else name
        if isinstance(hdf5.resolve(handle, inner, error=DataError), h5py.Group):
            _check_group(handle, inner, depth + 1)
        else:
            hdf5.dataset(handle, inner, kinds="fiub", error=DataError)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
