"""Builds a backbone by name, with the weights of a file where one is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from glrg_tf.encoders.backbones.architectures import architecture
from glrg_tf.encoders.backbones.resnet import build_resnet
from glrg_tf.encoders.backbones.weights_file import read_weights
from glrg_tf.errors import CheckpointError


def build_backbone(
    arch: str,
    *,
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    classes: int | None = None,
    include_preprocessing: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a backbone of torchvision with random weights.

    Args:
        arch: resnext101_32x8d, resnext50_32x4d, resnet18 or r3d_18.
        input_shape: without the batch; None takes the architecture's own.
        include_top: whether pooling and the last layer (logits) are there.
        classes: width of the last layer; None takes that of the published weights.
        include_preprocessing: whether the model takes pixels 0..255 and normalises them itself.
        name: of the model.

    Returns:
        float32 (N, [T,] H, W, 3) -> logits (N, classes), or the last map.

    Raises:
        ConfigError: no such architecture.
    """
    known = architecture(arch)
    return build_resnet(
        known.config,
        input_shape=known.input_shape if input_shape is None else input_shape,
        classes=(classes or known.classes) if include_top else None,
        preprocessing=(known.mean, known.deviation) if include_preprocessing else None,
        name=name or arch,
    )


def load_backbone(
    arch: str,
    weights_file: str | os.PathLike[str],
    *,
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    include_preprocessing: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a backbone with the weights of a file that `glrg convert torchvision` wrote.

    Args: as `build_backbone`; the number of classes is the file's.

    Raises:
        ConfigError: no such architecture.
        CheckpointError: the file is damaged, or holds another architecture.
    """
    architecture(arch)
    origin, weights = read_weights(weights_file)
    if origin.arch != arch:
        raise CheckpointError(
            f"the file holds weights of {origin.arch}, not of {arch}",
            where=weights_file,
            remedy=f"build {origin.arch}, or convert the weights of {arch}",
        )
    model = build_backbone(
        arch,
        input_shape=input_shape,
        include_top=include_top,
        classes=origin.classes,
        include_preprocessing=include_preprocessing,
        name=name,
    )
    assign_weights(model, weights)
    return model


def assign_weights(model: keras.Model, weights: Mapping[str, np.ndarray], *, prefix: str = "") -> None:
    """Sets the weights of the layers `prefix + layer` from `layer/variable` -> array; all or none.

    Args:
        model: any model that holds the layers of a backbone, and perhaps others; the last layer (`fc`) may be absent.
        weights: from `read_weights`.
        prefix: of the layers' names (see `resnet_maps`).

    Raises:
        CheckpointError: a weight finds no layer, or a layer of another shape.
    """
    variables = {f"{layer.name}/{v.name}": v for layer in model.layers for v in layer.weights}
    chosen = []
    for name, value in weights.items():
        variable = variables.get(prefix + name)
        if variable is None and name.startswith("fc/"):
            continue
        if variable is None or tuple(variable.shape) != value.shape:
            found = "no such weight" if variable is None else f"shape {tuple(variable.shape)}"
            raise CheckpointError(f"'{name}' has shape {value.shape}, the model has {found}", where=model.name)
        chosen.append((variable, value))
    for variable, value in chosen:
        variable.assign(value)
