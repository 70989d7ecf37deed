"""The names of rewards: the built-in ones, and those that a program of one's own adds (docs/extending.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from glrg_tf.text.vocabulary import Vocabulary


class HostReward(Protocol):
    """A reward computed outside the graph."""

    def score_numpy(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """Float64 (N,) of int (N, T) captions of int (N,) video rows."""


BUILT_IN = ("CIDEr-D", "Bleu_4", "ROUGE_L", "METEOR")
# References as word ids (video row -> captions -> ids), and the captioner's vocabulary.
Build = Callable[[Sequence[Sequence[Sequence[int]]], "Vocabulary"], HostReward]
_OWN: dict[str, Build] = {}


def register_reward(name: str, build: Build) -> None:
    """Makes a reward known under `name`, for `--set 'dr.reward=[["NAME",1.0]]'` in this process.

    Args:
        name: not one of `BUILT_IN`.
        build: gives an object with `score_numpy(token_ids (N, T), video_rows (N,)) -> (N,)`.

    Raises:
        ConfigError: the name is taken by a built-in reward.
    """
    if name in BUILT_IN:
        raise ConfigError(f"'{name}' is a built-in reward", where="register_reward", remedy="choose another name")
    _OWN[name] = build


def known_rewards() -> tuple[str, ...]:
    """All names, the built-in ones first."""
    return (*BUILT_IN, *_OWN)


def own_reward(name: str) -> Build:
    """What builds the registered reward `name`.

    Raises:
        ConfigError: no such reward; the known ones are named.
    """
    check_reward(name)
    return _OWN[name]


def check_reward(name: str) -> None:
    """Refuses an unknown name.

    Raises:
        ConfigError: no such reward; the known ones are named.
    """
    if name not in known_rewards():
        known = ", ".join(known_rewards())
        raise ConfigError(f"unknown reward '{name}'", where="reward", remedy=f"one of: {known}, or `register_reward`")
