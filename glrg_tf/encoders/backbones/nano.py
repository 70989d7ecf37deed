"""Small residual networks over images and clips, for tests and for training on a processor."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.resnet import build_resnet
from glrg_tf.encoders.backbones.resnet_config import ResNetConfig


def nano_config(
    rank: int, *, depths: Sequence[int] = (1, 1, 1), widths: Sequence[int] = (16, 32, 64), groups: int = 1
) -> ResNetConfig:
    """The plan of a small network: a 3-pixel stem with stride 2, then stages of basic blocks.

    Args:
        rank: 2 for images, 3 for clips (time is halved by every stage but the first).
        depths: blocks a stage.
        widths: channels a stage, each four times as many with groups.
        groups: 1 for basic blocks, more for bottlenecks with a grouped 3x3 convolution of 64 / groups channels a group.
    """
    return ResNetConfig(
        block="basic" if groups == 1 else "bottleneck",
        depths=tuple(depths),
        widths=tuple(widths),
        groups=groups,
        group_width=64 if groups == 1 else 64 // groups,
        rank=rank,  # type: ignore[arg-type]
        stem_width=widths[0],
        stem_kernel=(3,) * rank,
        stem_strides=(2, 2) if rank == 2 else (1, 2, 2),
        stem_pool=False,
    )


def build_nano(
    config: ResNetConfig,
    *,
    input_shape: Sequence[int | None],
    classes: int | None,
    pixels: bool = False,
    name: str = "nano",
) -> keras.Model:
    """Builds a small network.

    Args:
        config: from `nano_config`.
        input_shape: (H, W, 3) or (T, H, W, 3); sizes may be None.
        classes: width of the last layer (logits); None for the last map.
        pixels: whether inputs are 0..255 and mapped to -1..1 by the model.
        name: of the model.
    """
    preprocessing = ((0.5,) * 3, (0.5,) * 3) if pixels else None
    return build_resnet(config, input_shape=input_shape, classes=classes, preprocessing=preprocessing, name=name)
