"""ResNet-18, the small 2D backbone (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.load import build_backbone


def build_resnet18(
    *,
    input_shape: Sequence[int | None] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds ResNet-18: 11,689,512 parameters, 1.8 GFLOPs (multiply-adds) an image.

    Args:
        input_shape: (H, W, 3); sizes may be None.
        include_top: whether pooling and the last layer are there; without it the output is (N, H/32, W/32, 512).
        classes: width of the last layer.
        include_preprocessing: whether the model takes pixels 0..255 and normalises them itself.

    Returns:
        float32 (N, H, W, 3) -> logits (N, classes).

    Example:
        >>> model = build_resnet18(include_top=False)
        >>> model.output_shape
        (None, 7, 7, 512)
    """
    return build_backbone(
        "resnet18",
        input_shape=input_shape,
        include_top=include_top,
        classes=classes,
        include_preprocessing=include_preprocessing,
    )
