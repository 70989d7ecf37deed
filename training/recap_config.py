"""How a captioner of long video is trained."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from glrg_tf.errors import ConfigError
from glrg_tf.recap.hierarchy import LEVELS, Hierarchy
from glrg_tf.recap.settings import NANO, RecapConfig


@dataclasses.dataclass(frozen=True)
class RecapTraining:
    """Settings of `training.recap.train_recap`; everything but `seed` decides what is learned."""

    levels: tuple[str, ...] = LEVELS  # trained one after the other, lowest first
    unified: bool = False  # one network for all levels, batches of the levels in turn
    hierarchy: Hierarchy = Hierarchy()  # lengths of clips and segments
    model: RecapConfig = NANO  # sizes; vocabulary and widths of features are filled in
    steps: tuple[int, int, int] = (600, 600, 600)  # of the stage of each level; a unified stage: of each active level
    batch_size: int = 32  # examples a step
    learning_rate: float = 1e-3  # Adam's highest, after warm-up; it falls by a cosine to a tenth
    warmup_steps: int = 50
    weight_decay: float = 0.01  # of matrices
    clip_norm: float = 1.0  # of the gradient
    below: Literal["written", "people"] = "written"  # which texts a level learns from
    pseudo: bool = False  # learn from a machine's texts where people wrote none of segments or the whole
    text_dropout: float = 0.0  # share of the lower texts that a step does not see: for few examples
    texts_too: bool = False  # videos without features teach the levels above clips by their texts alone
    min_count: int = 1  # of a word, to be in the vocabulary
    row_streams: tuple[str, ...] = ()  # streams that rows are made of; none named: all
    checkpoint_steps: int = 200  # between checkpoints
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuses settings that nothing can be trained with."""
        if not self.levels or list(self.levels) != [level for level in LEVELS if level in self.levels]:
            raise ConfigError(f"levels {list(self.levels)}", where="levels", remedy="some of clip, segment, video")
        for name in ("batch_size", "learning_rate", "clip_norm", "min_count", "checkpoint_steps"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, found {getattr(self, name)}", where=name)
        if not 0.0 <= self.text_dropout < 1.0:
            raise ConfigError(f"text_dropout must lie in 0..1, found {self.text_dropout}", where="text_dropout")
        if min(self.steps) < 1 or self.warmup_steps < 0 or self.weight_decay < 0:
            raise ConfigError("steps must be above 0, warm-up and decay at least 0", where="steps")

    def stage_steps(self, level: str) -> int:
        """Steps of a level's stage."""
        return self.steps[LEVELS.index(level)]


def learning_rate(settings: RecapTraining, step: int, total: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth."""
    warm = min(settings.warmup_steps, total // 2)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    return settings.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
