"""The backbones by name: their plans, their inputs and what their published weights expect. No TensorFlow."""

from __future__ import annotations

import dataclasses

from glrg_tf.encoders.backbones.resnet_config import ResNetConfig
from glrg_tf.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of torchvision.

    Attributes:
        name: torchvision's name.
        config: its plan.
        input_shape: its usual input without the batch: (H, W, 3), or (T, H, W, 3); T may be any number.
        classes: of its published weights.
        labels: what the classes are.
        mean: of each channel of 0..1 pixels in training.
        deviation: standard deviation of each channel of 0..1 pixels in training.
    """

    name: str
    config: ResNetConfig
    input_shape: tuple[int | None, ...]
    classes: int
    labels: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
_IMAGE, _CLIP = (224, 224, 3), (None, 112, 112, 3)


def _images(name: str, config: ResNetConfig) -> Architecture:
    return Architecture(name, config, _IMAGE, 1000, "ImageNet-1k", *_IMAGENET)


ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry
    for entry in (
        _images("resnext101_32x8d", ResNetConfig("bottleneck", (3, 4, 23, 3), groups=32, group_width=8)),
        _images("resnext50_32x4d", ResNetConfig("bottleneck", (3, 4, 6, 3), groups=32, group_width=4)),
        _images("resnet18", ResNetConfig("basic", (2, 2, 2, 2))),
        Architecture(
            "r3d_18",
            ResNetConfig("basic", (2, 2, 2, 2), rank=3, stem_kernel=(3, 7, 7), stem_strides=(1, 2, 2), stem_pool=False),
            _CLIP,
            400,
            "Kinetics-400",
            *_KINETICS,
        ),
    )
}


def architecture(name: str) -> Architecture:
    """Returns the architecture of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"there is no backbone '{name}'", remedy="known: " + ", ".join(ARCHITECTURES))
    return ARCHITECTURES[name]
