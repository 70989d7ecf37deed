"""3D-ResNet-18, the short-range encoder's backbone over clips (GL-RG section 3.1; Tran et al. 2018, R3D)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.load import build_backbone


def build_r3d_18(
    *,
    input_shape: Sequence[int | None] = (None, 112, 112, 3),
    include_top: bool = True,
    classes: int = 400,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds 3D-ResNet-18: 33,371,472 parameters, 40.7 GFLOPs (multiply-adds) a clip of 16 frames.

    Args:
        input_shape: (T, H, W, 3); sizes may be None.
        include_top: whether pooling and the last layer are there; without it the output is (N, T/8, H/16, W/16, 512).
        classes: width of the last layer.
        include_preprocessing: whether the model takes pixels 0..255 and normalises them itself.

    Returns:
        float32 (N, T, H, W, 3) -> logits (N, classes).

    Example:
        >>> model = build_r3d_18(include_top=False)
        >>> model.output_shape
        (None, None, 7, 7, 512)
    """
    return build_backbone(
        "r3d_18",
        input_shape=input_shape,
        include_top=include_top,
        classes=classes,
        include_preprocessing=include_preprocessing,
    )
