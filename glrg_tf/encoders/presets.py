"""What an encoder is made of, in settings: streams, their sizes and the two named sets of three.

`nano` trains in minutes on a processor and stays below 5 MB; `paper` has the backbones and widths of the paper
(GL-RG section 3.1: K = 300 words, J = 400 actions, M = 1000 classes). The paper names ResNeXt and 3D-ResNet-18 only:
the 2D networks, the input sizes and the layers after them are ours.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Literal

from glrg_tf.errors import ConfigError
from glrg_tf.video.sampling import FramePlan

Kind = Literal["long_range", "short_range", "keyframe", "classifier"]
Plan = Literal["long_range", "short_range", "keyframe"]

_MAX_SIDE = 1024  # pixels of an input
_MAX_WIDTH = 65536


@dataclasses.dataclass(frozen=True)
class StreamSpec:
    """One vocabulary: which frames it sees, through which network, onto which labels."""

    name: str  # of the stream in features.h5 and in a captioner
    kind: Kind = "keyframe"  # the network; "classifier" is a file of the user's
    plan: Plan = "keyframe"  # the frames of one position: t-n, t, t+n | t-10..t+10 | t
    frames: int = 1  # k, frames a position
    input_size: tuple[int, int] = (96, 96)  # height and width in pixels
    width: int = 16  # D of the stream
    labels: tuple[str, ...] = ()  # one a column; empty where nobody named them
    preset: Literal["nano", "paper", "custom"] = "nano"  # layer sizes; "custom" for files
    backbone: str = ""  # of keras.applications; empty takes the preset's own
    activation: Literal["sigmoid", "softmax"] = "sigmoid"  # independent labels, or one of them
    fit: Literal["stretch", "crop"] = "stretch"  # whole frame, or its largest centred part of the input's shape
    normalise: Literal["unit", "imagenet", "kinetics", "none"] = "unit"  # of 0..255 pixels before the first layer
    file: str = ""  # of kind "classifier": name of the file in the folder
    drop_first: bool = False  # of kind "classifier": leave output 0 (background) out and divide by the rest
    logits: bool = False  # of kind "classifier": the file's outputs still need the activation

    def __post_init__(self) -> None:
        """Refuses streams no network can have."""
        where = f"streams.{self.name}"
        if not self.name or not self.name.replace("_", "").replace("-", "").isalnum() or not self.name.isascii():
            raise ConfigError(f"'{self.name}' is no stream name", where="streams", remedy="letters, digits, _ and -")
        if not 1 <= self.width <= _MAX_WIDTH:
            raise ConfigError(f"width must lie in 1..{_MAX_WIDTH}, found {self.width}", where=where)
        if not all(16 <= side <= _MAX_SIDE for side in self.input_size):
            raise ConfigError(f"input_size must lie in 16..{_MAX_SIDE}, found {self.input_size}", where=where)
        if self.labels and len(self.labels) != self.width:
            raise ConfigError(f"{len(self.labels)} labels for a width of {self.width}", where=where)
        if not 1 <= self.frames <= 64:
            raise ConfigError(f"frames must lie in 1..64, found {self.frames}", where=where)
        natural = {"long_range": 3, "keyframe": 1}.get(self.plan, self.frames)
        if self.frames != natural:
            raise ConfigError(f"plan '{self.plan}' has {natural} frames a position, found {self.frames}", where=where)
        if self.kind != "classifier" and self.plan != self.kind:
            raise ConfigError(f"a '{self.kind}' network reads the plan of that name, found '{self.plan}'", where=where)


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The settings of a bundle: where to look in a video, and what looks there."""

    plan: FramePlan
    streams: tuple[StreamSpec, ...]

    def __post_init__(self) -> None:
        """Refuses bundles whose parts do not fit."""
        names = [spec.name for spec in self.streams]
        if not names or len(set(names)) != len(names):
            raise ConfigError("streams need distinct names, at least one", where="streams")
        for spec in self.streams:
            if spec.plan == "short_range" and spec.frames != self.plan.short_frames:
                raise ConfigError(
                    f"the stream reads {spec.frames} frames, the plan takes {self.plan.short_frames}",
                    where=f"streams.{spec.name}",
                    remedy="set plan.short_frames to what the encoder was trained with",
                )

    @property
    def width(self) -> int:
        """Sum of the streams' widths."""
        return sum(spec.width for spec in self.streams)


def nano_spec(kind: Kind, labels: tuple[str, ...] = (), width: int | None = None) -> StreamSpec:
    """The small stream of a kind, for the given labels."""
    sizes = {"long_range": (3, (64, 64), 64), "short_range": (8, (64, 64), 16), "keyframe": (1, (96, 96), 32)}
    frames, size, default = sizes[kind]
    chosen = len(labels) or width or default
    return StreamSpec(kind, kind, kind, frames, size, chosen, labels)  # type: ignore[arg-type]


def paper_spec(kind: Kind, labels: tuple[str, ...] = (), width: int | None = None) -> StreamSpec:
    """The paper's stream of a kind: 300 words, 400 actions, 1000 classes where no labels are given."""
    common = StreamSpec("long_range", "long_range", "long_range", 3, (224, 224), len(labels) or width or 300, labels)
    common = dataclasses.replace(common, preset="paper", fit="crop", normalise="imagenet")
    if kind == "long_range":
        return common
    name: Kind = kind
    replaced = {"name": name, "kind": name, "plan": name, "activation": "softmax"}
    if kind == "short_range":
        wide = len(labels) or width or 400
        return dataclasses.replace(
            common, frames=16, input_size=(112, 112), width=wide, normalise="kinetics", **replaced
        )
    return dataclasses.replace(common, frames=1, width=len(labels) or width or 1000, **replaced)


def with_backbone(spec: StreamSpec, backbone: str) -> StreamSpec:
    """The stream on another 2D network: one of torchvision's that we build, or any of keras.applications.

    Raises:
        ConfigError: no such network.
    """
    from glrg_tf.encoders.backbones.applications import applications_names
    from glrg_tf.encoders.backbones.architectures import ARCHITECTURES

    known = [name for name, entry in ARCHITECTURES.items() if entry.config.rank == 2]
    if backbone not in known and backbone not in applications_names():
        near = difflib.get_close_matches(backbone, [*known, *applications_names()], n=1)
        remedy = (
            f"did you mean '{near[0]}'?" if near else "known: " + ", ".join([*known, "those of keras.applications"])
        )
        raise ConfigError(f"no backbone '{backbone}'", where="backbone", remedy=remedy)
    if spec.kind == "short_range":  # its 3D network keeps its normalisation
        return dataclasses.replace(spec, backbone=backbone)
    own = backbone not in known  # networks of keras.applications normalise pixels themselves
    return dataclasses.replace(spec, backbone=backbone, normalise="none" if own else "imagenet")


def preset(name: str) -> EncoderConfig:
    """The bundle settings of a preset name.

    Raises:
        ConfigError: no such preset.
    """
    kinds: tuple[Kind, ...] = ("long_range", "short_range", "keyframe")
    if name == "nano":
        return EncoderConfig(FramePlan(), tuple(nano_spec(kind) for kind in kinds))
    if name == "paper":
        return EncoderConfig(FramePlan(short_frames=16), tuple(paper_spec(kind) for kind in kinds))
    raise ConfigError(f"no encoder preset '{name}'", remedy="presets: " + ", ".join(PRESETS))


PRESETS = ("nano", "paper")
