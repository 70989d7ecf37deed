"""Everything scheduled, as pure functions of epoch and step."""

from __future__ import annotations

import math

from training.config import PhaseConfig


def learning_rate(config: PhaseConfig, step: int, epoch: int) -> float:
    """Adam's learning rate at a step: warm-up, then decay by steps of whole epochs."""
    rate = config.learning_rate * config.learning_rate_decay ** (epoch // config.learning_rate_decay_epochs)
    if step < config.warmup_steps:
        rate *= (step + 1) / config.warmup_steps
    return rate


def sampling_probability(config: PhaseConfig, epoch: int) -> float:
    """Probability that an input word is drawn from the model instead of the caption.

    `inverse_sigmoid` is the release's: min(1 - k / (k + exp(e / k)), p_max), e epochs after the start.
    `rise_fall` is the paper's (eq. 6: up, then down): a triangle over the remaining epochs that peaks in the middle.
    """
    since = epoch - config.sampling_start
    if config.sampling == "off" or since < 0:
        return 0.0
    if config.sampling == "inverse_sigmoid":
        k = config.sampling_k
        return min(1.0 - k / (k + math.exp(min(since / k, 700.0))), config.sampling_max)
    length = max(config.epochs - config.sampling_start, 1)
    return config.sampling_max * max(0.0, 1.0 - abs(2.0 * since / length - 1.0))


def mixer_from(config: PhaseConfig, epoch: int, max_length: int = 30) -> int:
    """First step whose input is sampled; -1 anneals by one step every two epochs (release `train.py`)."""
    if config.mixer_from > 0:
        return config.mixer_from
    return max(1, max_length - math.ceil((epoch + 1) / 2))


def baseline_size(config: PhaseConfig, epoch: int) -> int:
    """Q, how many scores b1 and b2 average; -1 anneals upwards by one every five epochs, at most G - 1."""
    if config.baseline_size >= 0:
        return min(config.baseline_size, config.captions_per_video)
    return min(math.ceil((epoch + 1) / 5), config.captions_per_video - 1)
