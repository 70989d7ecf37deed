"""Settings of a training run: one `PhaseConfig` a phase, together a `RunConfig`."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from glrg_tf import config as settings
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import ConfigError
from glrg_tf.metrics.reward_names import check_reward

PhaseName = Literal["xe", "dxe", "dr"]
Selection = Literal["probability", "minimum_risk", "content"]
PHASES: tuple[PhaseName, ...] = ("xe", "dxe", "dr")


@dataclasses.dataclass(frozen=True)
class PhaseConfig:
    """One phase: an objective with its optimisation. Defaults are the released XE run."""

    epochs: int = 100  # most passes over the training videos
    patience: int = 15  # epochs without a better validation score before stopping; 0 never stops early
    batch_size: int = 32  # videos a step, over all replicas
    captions_per_video: int = 20  # G, captions (or samples) a video
    learning_rate: float = 3e-4  # Adam's
    learning_rate_decay: float = 1.0  # factor applied every `learning_rate_decay_epochs`
    learning_rate_decay_epochs: int = 200  # epochs between decays
    warmup_steps: int = 0  # steps of linear rise from 0 to the learning rate
    clip_norm: float = 0.25  # global norm of the gradient; 0 leaves it alone
    ema_decay: float = 0.0  # weights are averaged with this decay for validation and export; 0: off
    selection: Literal["auto", "validation", "last"] = "auto"  # which checkpoint is best; auto: see training/loop.py
    selection_window: int = 5  # epochs whose validation scores are averaged when the best one is chosen
    # Scheduled sampling (teacher-forced objectives)
    sampling: Literal["off", "inverse_sigmoid", "rise_fall"] = "off"  # release's schedule, or the paper's up then down
    sampling_start: int = 0  # epoch from which inputs may be drawn
    sampling_k: float = 100.0  # slope of the inverse sigmoid, epochs
    sampling_max: float = 0.25  # largest probability that an input is drawn
    # Consensus weights (dxe) and reward (dr)
    consensus_metric: Literal["CIDEr", "Bleu_4", "METEOR", "ROUGE_L"] = "CIDEr"  # m(S) of a reference
    baseline: Literal["b1", "b2", "scst", "loo", "none"] = "b2"  # what a reward is compared with
    baseline_size: int = 20  # Q: scores that b1 and b2 average; -1 anneals as the release, 0 no baseline
    reward: tuple[tuple[str, float], ...] = (("CIDEr-D", 1.0),)  # name (metrics/reward_names.py) and weight
    reward_end: bool = True  # whether <end> counts as a word of the reward
    mixer_from: int = 1  # first step whose input is sampled; -1 anneals from 29 to 1
    compat: Literal["off", "release"] = "off"  # "release" also where the release is wrong (specs section 15)
    save_every: int = 0  # steps between checkpoints inside an epoch; 0: only at its end
    keep_checkpoints: int = 2  # newest checkpoints kept beside the best one
    # How a step is computed; docs/gpu.md
    compile: Literal["auto", "off", "xla"] = "auto"  # XLA in static shapes; "auto": where a GPU is visible
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the decoder's matrix products

    def __post_init__(self) -> None:
        """Refuses settings no phase can run with."""
        positive = ("epochs", "batch_size", "captions_per_video", "learning_rate", "learning_rate_decay_epochs")
        for name in (*positive, "selection_window", "keep_checkpoints"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, found {getattr(self, name)}", where=name)
        for name in ("patience", "clip_norm", "warmup_steps", "sampling_start", "save_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, found {getattr(self, name)}", where=name)
        if not 0.0 <= self.ema_decay < 1.0 or not 0.0 <= self.sampling_max <= 1.0:
            raise ConfigError("ema_decay lies in [0, 1) and sampling_max in [0, 1]", where="ema_decay, sampling_max")
        if self.baseline == "loo" and self.captions_per_video < 2:
            raise ConfigError("the leave-one-out baseline needs two samples a video", where="captions_per_video")
        if not self.reward or any(weight < 0 for _, weight in self.reward):
            raise ConfigError("reward needs at least one metric, no negative weights", where="reward")
        for name, _ in self.reward:
            check_reward(name)
        if self.mixer_from == 0 or self.mixer_from < -1:
            raise ConfigError("mixer_from is -1 (annealed) or at least 1", where="mixer_from")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run besides its data and seed."""

    model: CaptionerConfig = CaptionerConfig()
    min_count: int = 3  # a word needs this many occurrences in the training captions
    decoding_beam: int = 5  # beam of the final scores; validation keeps at most 5 hypotheses
    decoding_selection: Selection = "probability"  # which of the beam's captions is best
    decoding_word_bias: float = 0.0  # exponent of the foretold odds of words that steer the search; 0: none
    content_ridge: float = 0.2  # ridge of what foretells captions' content (training/content.py)
    length_normalization: float = 1.0  # exponent of the length in the beam's ranking; 0 favours short captions
    xe: PhaseConfig = PhaseConfig()
    dxe: PhaseConfig = PhaseConfig()
    dr: PhaseConfig = PhaseConfig(epochs=50, learning_rate=1e-4)

    def phase(self, name: PhaseName) -> PhaseConfig:
        """Settings of one phase."""
        return getattr(self, name)


def override(config: RunConfig, assignments: list[str]) -> RunConfig:
    """Applies `key=value` texts; `train.KEY` sets KEY in every phase, `dr.KEY` in one.

    Raises:
        ConfigError: no '=', unknown key (the nearest known one is named) or wrong type.
    """
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"'{assignment}' is no key=value", remedy="example: --set train.learning_rate=1e-4")
        head, _, rest = key.strip().partition(".")
        if head == "train" and rest:
            for phase in PHASES:
                try:
                    config = settings.override(config, f"{phase}.{rest}", value.strip())
                except ConfigError as error:
                    raise ConfigError(
                        error.what.replace(f"{phase}.", "train."),
                        where="--set",
                        remedy=(error.remedy or "").replace(f"{phase}.", "train.") or None,
                    ) from None
        else:
            config = settings.override(config, key.strip(), value.strip())
    return config


def from_dict(values: dict[str, Any]) -> RunConfig:
    """A `RunConfig` from the plain values of `to_dict`."""
    return settings.from_dict(RunConfig, values)
