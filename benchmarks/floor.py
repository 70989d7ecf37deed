"""The floor: how long the unavoidable arithmetic takes at the machine's own matrix-product rate.

Counted are the matrix products of a form that does nothing twice; everything else (activations, gathers, softmax,
Adam, sampling, the reward) is free, so no implementation reaches the floor. Two FLOPs a multiplication and addition.

For a training step over captions with P distinct (video, prefix) positions in all, S of them with a next one, W
distinct words among the inputs, B videos, feature width D, width H, vocabulary V:

    video      B · (2·D·H · 2  +  2·H·4H · 3)     the feature pool needs no gradient of its input
    words      W · 2·H·4H · 3                     one projection a distinct word, not one a position
    recurrent  S · 2·H·4H · 3                     one product for all positions that go on from the same state
    logits     P · 2·H·V  · 3

Factor 3 is one forward and two backward products. Reinforcement adds the forward arithmetic of nothing: the
activations of the sampling serve the gradient; SCST adds the greedy captions' forward steps.
A decoding step is charged the recurrent product and the logits of each hypothesis of the best caption's length; the
word's part of the gates is free (it could be a constant table).
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a captioner: V, D and H."""

    vocabulary: int
    features: int = 1700
    hidden: int = 512


@dataclasses.dataclass(frozen=True)
class Positions:
    """What a batch of captions asks for.

    Attributes:
        valid: positions with an input token, over all captions.
        distinct: distinct (video, prefix) positions, P.
        sources: those that another position goes on from, S.
        words: distinct input words, W.
        videos: B.
    """

    valid: int
    distinct: int
    sources: int
    words: int
    videos: int


def count_positions(token_ids: np.ndarray) -> Positions:
    """Counts of label rows int32 (B, G, L): <start>, words, zeros.

    A label row that ends without a zero has no target after its last word, which is therefore no input.
    """
    inputs = np.asarray(token_ids)[:, :, :-1]
    alive = np.cumprod(inputs > 0, axis=2).astype(bool)
    distinct = sources = 0
    for video, living in zip(inputs, alive, strict=True):
        prefixes = {tuple(row[: t + 1]) for row, live in zip(video, living, strict=True) for t in np.flatnonzero(live)}
        distinct += len(prefixes)
        sources += len({prefix[:-1] for prefix in prefixes if len(prefix) > 1})
    videos = len(inputs)
    return Positions(int(alive.sum()), distinct, sources, len(np.unique(inputs[alive])), videos)


def training_flops(positions: Positions, sizes: Sizes) -> float:
    """FLOPs of one step over `positions` (see the module's formula)."""
    gates = 2.0 * sizes.hidden * 4 * sizes.hidden
    video = positions.videos * (2.0 * sizes.features * sizes.hidden * 2 + gates * 3)
    logits = 2.0 * sizes.hidden * sizes.vocabulary
    return video + 3 * (positions.words * gates + positions.sources * gates + positions.distinct * logits)


def decoding_flops(rows: int, videos: int, sizes: Sizes) -> float:
    """FLOPs of decoding `videos` videos with `rows` (live hypothesis, step) pairs in all.

    The first step of each video has no recurrent product, which is neglected.
    """
    gates = 2.0 * sizes.hidden * 4 * sizes.hidden
    video = videos * (2.0 * sizes.features * sizes.hidden + gates)
    return video + rows * (gates + 2.0 * sizes.hidden * sizes.vocabulary)
