"""Backbones small enough for tests, and state dictionaries by the rule of the golden file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from glrg_tf.convert.torchvision_backbones import key_table
from glrg_tf.encoders.backbones.architectures import Architecture
from glrg_tf.encoders.backbones.resnet_config import ResNetConfig

_CHANNELS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TINY = {
    entry.name: entry
    for entry in (
        Architecture(
            "tiny_resnext",
            ResNetConfig("bottleneck", (1, 2), (8, 16), groups=4, group_width=16, stem_width=8),
            (37, 34, 3),
            7,
            "nothing",
            *_CHANNELS,
        ),
        Architecture(
            "tiny_r3d",
            ResNetConfig(
                "basic",
                (1, 1),
                (8, 12),
                rank=3,
                stem_width=8,
                stem_kernel=(3, 7, 7),
                stem_strides=(1, 2, 2),
                stem_pool=False,
            ),
            (None, 18, 21, 3),
            5,
            "nothing",
            *_CHANNELS,
        ),
    )
}


def normal(name: str, shape: Iterable[int]) -> np.ndarray:
    """Standard normal numbers that depend on a name."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(shape), dtype=np.float32)


def tensor(name: str, shape: Iterable[int]) -> np.ndarray:
    """The golden file's value of a state dictionary's key."""
    value = normal(name, shape)
    if name.endswith("running_var"):
        return 1 + np.float32(0.1) * np.abs(value)
    if value.ndim >= 2:
        return value * np.float32(np.sqrt(0.5 / np.prod(value.shape[1:])))
    if name.endswith("weight"):
        return 1 + np.float32(0.1) * value
    return np.float32(0.1) * value


def state(arch: str, classes: int | None = None) -> dict[str, np.ndarray]:
    """A state dictionary of an architecture."""
    return {row.source: tensor(row.source, row.source_shape) for row in key_table(arch, classes)}
