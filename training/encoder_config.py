"""Settings of an encoder's training. What the paper leaves open (optimiser, epochs, sizes) is ours."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from glrg_tf.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class EncoderTraining:
    """How one encoder is trained."""

    epochs: int = 12  # passes; the learning rate falls to its end over all of them
    patience: int = 6  # epochs without a better validation score before stopping; 0 never stops early
    batch_size: int = 32  # positions a step
    draws: int = 4  # random key frames of each video an epoch
    learning_rate: float = 3e-3  # AdamW's highest
    warmup: float = 0.1  # share of the steps in which the learning rate rises
    weight_decay: float = 1e-3  # AdamW's, on kernels
    clip_norm: float = 1.0  # global norm of the gradient; 0 leaves it alone
    label_smoothing: float = 0.0  # moved from the targets to all labels (softmax only)
    targets: Literal["any", "share"] = "any"  # long range: a word is there if any caption has it, or by their share
    shift: float = 0.06  # augmentation: frames move by up to this share of a side
    flip: bool = False  # augmentation: mirror half of the clips; wrong where labels know left from right
    val_positions: int = 4  # key frames of each video that validation looks at
    memory_mb: int = 1024  # decoded frames kept in memory; videos beyond it are decoded again for every draw
    workers: int = 2  # threads that decode

    def __post_init__(self) -> None:
        """Refuses settings no training can run with."""
        for name in ("epochs", "batch_size", "draws", "learning_rate", "val_positions", "workers"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, found {getattr(self, name)}", where=name)
        for name in ("patience", "weight_decay", "clip_norm", "memory_mb"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative, found {getattr(self, name)}", where=name)
        for name, most in (("warmup", 1.0), ("label_smoothing", 1.0), ("shift", 0.5)):
            if not 0.0 <= getattr(self, name) < most:
                raise ConfigError(f"{name} must lie in [0, {most})", where=name)


def learning_rate(settings: EncoderTraining, step: int, total: int) -> float:
    """Linear rise, then half a cosine down to a hundredth: a pure function of the step (0-based)."""
    rise = max(1, round(settings.warmup * total))
    if step < rise:
        return settings.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, total - rise)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def default_training(kind: str, preset: str) -> EncoderTraining:
    """The settings a kind of encoder begins with: nano for minutes on a processor, paper for a GPU."""
    if preset == "paper":
        # With published weights below the last layers; on many videos. Not measured: no such data at hand.
        flip = kind == "keyframe"
        return EncoderTraining(
            epochs=30, draws=1, learning_rate=3e-4, weight_decay=1e-2, shift=0.1, flip=flip, memory_mb=8192, workers=8
        )
    chosen = EncoderTraining()
    if kind == "keyframe":
        return dataclasses.replace(chosen, epochs=30, flip=True)
    return chosen
