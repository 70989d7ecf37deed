"""The plan of a residual network in plain numbers: every convolution with its name, sizes and place. No TensorFlow.

The Keras models (resnet.py), the weights file (weights_file.py) and the converter of PyTorch weights
(glrg_tf/convert/torchvision_backbones.py) all read this one plan, so they cannot disagree.

References: He et al., "Deep Residual Learning" (2016); Xie et al., "Aggregated Residual Transformations" (2017);
Tran et al., "A Closer Look at Spatiotemporal Convolutions" (2018), R3D; torchvision `models/resnet.py`,
`models/video/resnet.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from glrg_tf.errors import ConfigError

MAX_CLASSES = 65_536
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a residual network over images (rank 2) or clips (rank 3)."""

    block: Literal["basic", "bottleneck"]  # two 3x3 convolutions, or 1x1, 3x3, 1x1
    depths: tuple[int, ...]  # blocks a stage
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels a stage; bottlenecks give out four times as many
    groups: int = 1  # of the 3x3 convolution of a bottleneck (32 in ResNeXt)
    group_width: int = 64  # channels a group in the first stage (8 in 32x8d); 64 without groups
    rank: Literal[2, 3] = 2  # axes that convolutions slide over
    stem_width: int = 64  # channels of the first convolution
    stem_kernel: tuple[int, ...] = (7, 7)  # odd sizes, one an axis
    stem_strides: tuple[int, ...] = (2, 2)
    stem_pool: bool = True  # 3x3 maximum with stride 2 after the first convolution

    def __post_init__(self) -> None:
        """Refuses sizes no network can have."""
        if not self.depths or len(self.depths) != len(self.widths) or min(*self.depths, *self.widths) < 1:
            raise ConfigError(f"depths {self.depths} do not fit widths {self.widths}", where="depths")
        if len(self.stem_kernel) != self.rank or len(self.stem_strides) != self.rank:
            raise ConfigError(f"the stem needs {self.rank} sizes", where="stem_kernel")
        if any(size % 2 == 0 or size < 1 for size in self.stem_kernel):
            raise ConfigError("kernels are odd, so that they have a centre", where="stem_kernel")
        if self.block == "basic" and (self.groups, self.group_width) != (1, 64):
            raise ConfigError("only bottlenecks have groups", where="groups")

    @property
    def expansion(self) -> int:
        """Channels a block gives out for each of its width."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def out_channels(self) -> int:
        """Channels of the last map."""
        return self.widths[-1] * self.expansion


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution without bias and the batch normalisation after it.

    Attributes:
        name: of the convolution's layer.
        norm: of the normalisation's layer.
        kernel: size, one number an axis.
        strides: the same.
        groups: groups of channels that do not see each other.
        inputs: channels in.
        outputs: channels out.
    """

    name: str
    norm: str
    kernel: Shape
    strides: Shape
    groups: int
    inputs: int
    outputs: int

    @property
    def kernel_shape(self) -> Shape:
        """Of the kernel as TensorFlow keeps it: sizes, inputs a group, outputs."""
        return (*self.kernel, self.inputs // self.groups, self.outputs)


@dataclasses.dataclass(frozen=True)
class Block:
    """One residual block: convolutions in a row beside the identity or one convolution (`shortcut`)."""

    name: str
    path: tuple[Convolution, ...]
    shortcut: Convolution | None


def stem(config: ResNetConfig) -> Convolution:
    """The first convolution."""
    return Convolution("stem_conv", "stem_bn", config.stem_kernel, config.stem_strides, 1, 3, config.stem_width)


def stages(config: ResNetConfig) -> dict[str, tuple[Block, ...]]:
    """The blocks of `layer1`, `layer2`, ...; all but the first stage halve every axis in their first block."""
    found = {}
    channels = config.stem_width
    for number, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True), start=1):
        blocks = []
        for index in range(depth):
            stride = 2 if number > 1 and index == 0 else 1
            blocks.append(_block(config, f"layer{number}_{index}", channels, width, stride))
            channels = width * config.expansion
        found[f"layer{number}"] = tuple(blocks)
    return found


def convolutions(config: ResNetConfig) -> list[Convolution]:
    """All convolutions in the order of torchvision's state dictionary."""
    found = [stem(config)]
    for blocks in stages(config).values():
        for block in blocks:
            found += [*block.path, *([block.shortcut] if block.shortcut else [])]
    return found


def weight_shapes(config: ResNetConfig, classes: int | None) -> dict[str, Shape]:
    """Our name (`layer/variable`) -> shape of every weight, in order.

    Args:
        config: the network.
        classes: width of the last layer; None leaves that layer out.
    """
    shapes: dict[str, Shape] = {}
    for unit in convolutions(config):
        shapes[f"{unit.name}/kernel"] = unit.kernel_shape
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{unit.norm}/{variable}"] = (unit.outputs,)
    if classes is not None:
        if not 1 <= classes <= MAX_CLASSES:
            raise ConfigError(f"classes must lie in 1..{MAX_CLASSES}, found {classes}", where="classes")
        shapes |= {"fc/kernel": (config.out_channels, classes), "fc/bias": (classes,)}
    return shapes


def _block(config: ResNetConfig, name: str, inputs: int, width: int, stride: int) -> Block:
    rank, outputs = config.rank, width * config.expansion
    one, three, step = (1,) * rank, (3,) * rank, (stride,) * rank

    def unit(number: int, kernel: Shape, strides: Shape, into: int, out: int, groups: int = 1) -> Convolution:
        return Convolution(f"{name}_conv{number}", f"{name}_bn{number}", kernel, strides, groups, into, out)

    if config.block == "basic":
        path = (unit(1, three, step, inputs, width), unit(2, three, one, width, width))
    else:
        inner = width * config.group_width // 64 * config.groups
        # The stride sits on the 3x3 convolution, as in torchvision (the paper has it on the first 1x1).
        path = (
            unit(1, one, one, inputs, inner),
            unit(2, three, step, inner, inner, config.groups),
            unit(3, one, one, inner, outputs),
        )
    shortcut = None
    if stride != 1 or inputs != outputs:
        names = f"{name}_downsample_conv", f"{name}_downsample_bn"
        shortcut = Convolution(*names, one, step, 1, inputs, outputs)
    return Block(name, path, shortcut)
