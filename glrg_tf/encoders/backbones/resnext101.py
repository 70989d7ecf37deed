"""ResNeXt-101 32x8d, the keyframe encoder's backbone (GL-RG section 3.1; Xie et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.load import build_backbone


def build_resnext101_32x8d(
    *,
    input_shape: Sequence[int | None] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds ResNeXt-101 with 32 groups of 8 channels: 88,791,336 parameters, 16.4 GFLOPs (multiply-adds) an image.

    Args:
        input_shape: (H, W, 3); sizes may be None.
        include_top: whether pooling and the last layer are there; without it the output is (N, H/32, W/32, 2048).
        classes: width of the last layer.
        include_preprocessing: whether the model takes pixels 0..255 and normalises them itself.

    Returns:
        float32 (N, H, W, 3) -> logits (N, classes).

    Example:
        >>> model = build_resnext101_32x8d(include_top=False)
        >>> model.output_shape
        (None, 7, 7, 2048)
    """
    return build_backbone(
        "resnext101_32x8d",
        input_shape=input_shape,
        include_top=include_top,
        classes=classes,
        include_preprocessing=include_preprocessing,
    )
