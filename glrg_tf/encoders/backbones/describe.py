"""Tables of a backbone's layers and their shapes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.architectures import architecture
from glrg_tf.encoders.backbones.load import build_backbone

STAGES = ("stem", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: of the layer.
        kind: of layer, with kernel, strides and groups where it has them.
        output: its shape without the batch; None where any size goes.
        parameters: trained numbers (without the running averages of batch normalisation).
        stage: of STAGES, the part of the network it belongs to.
    """

    name: str
    kind: str
    output: tuple[int | None, ...]
    parameters: int
    stage: str


def describe(arch: str, *, input_shape: Sequence[int | None] | None = None) -> list[LayerRow]:
    """The layers of a backbone in order, for an input (3D networks: of 16 frames where nothing else is said).

    Raises:
        ConfigError: no such architecture.
    """
    if input_shape is None:
        input_shape = tuple(16 if size is None else size for size in architecture(arch).input_shape)
    model = build_backbone(arch, input_shape=input_shape)
    return [_row(layer) for layer in model.layers]


def stage_rows(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """One row a stage: the shape it gives out, and the parameters of all its layers."""
    found = []
    for stage in STAGES:
        members = [row for row in rows if row.stage == stage]
        if members:
            last = members[-1]
            blocks = sum(row.kind == "Add" for row in members)
            kind = f"{blocks} blocks" if blocks else ", ".join(row.kind for row in members if row.kind != "ReLU")
            found.append(LayerRow(stage, kind, last.output, sum(row.parameters for row in members), stage))
    return found


def _row(layer: keras.layers.Layer) -> LayerRow:
    kind = type(layer).__name__
    if hasattr(layer, "kernel_size"):
        kind = f"{_times(layer.kernel_size)} convolution"
        if math.prod(layer.strides) > 1:
            kind += f", stride {_times(layer.strides)}"
        if layer.groups > 1:
            kind += f", {layer.groups} groups"
    trained = sum(math.prod(variable.shape) for variable in layer.trainable_variables)
    head = layer.name.partition("_")[0]
    return LayerRow(layer.name, kind, tuple(layer.output.shape[1:]), trained, head if head in STAGES else "input")


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) if len(set(sizes)) > 1 else "x".join([str(sizes[0])] * len(sizes))
