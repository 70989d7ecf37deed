"""Caption-guided saliency (Ramanishka et al. 2017): how well each word comes out of each visual item alone.

An item is one descriptor: a cell of a frame's map, a moment of the video, a single concept of a vocabulary. Items are
fed to the decoder one by one (in large batches), so no attention layer and no labels are needed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.scorer import SentenceScorer

# What is measured, larger is more salient: "logprob" ln q(w), the reference code; "gain" ln q(w) - ln p(w), against
# the whole video; "kl" -KL(p || q), the paper's general form.
Mode = Literal["logprob", "gain", "kl"]
MODES: tuple[Mode, ...] = ("logprob", "gain", "kl")


def saliency(
    scorer: SentenceScorer,
    items: np.ndarray,
    token_ids: np.ndarray,
    mode: Mode = "logprob",
    whole: np.ndarray | None = None,
) -> np.ndarray:
    """Raw saliency of every item for every word.

    Args:
        scorer: the captioner.
        items: float32 (..., D) descriptors.
        token_ids: int32 (n,), the sentence.
        mode: what is measured.
        whole: float32 (L, D), all descriptors of the video in order; needed by "gain" and "kl".

    Returns:
        float32 (..., n), at most 0 in the modes "logprob" and "kl".

    Raises:
        ConfigError: an unknown mode, `whole` missing, or descriptors of another width.
    """
    if mode not in MODES:
        raise ConfigError(f"no mode '{mode}'", where="--mode", remedy="one of " + ", ".join(MODES))
    items = np.asarray(items, np.float32)
    if items.shape[-1] != scorer.item_size:
        raise ConfigError(f"items of width {items.shape[-1]}, the captioner reads {scorer.item_size}")
    rows = items.reshape(-1, 1, items.shape[-1])
    if mode == "logprob":
        values = scorer.log_probs(rows, token_ids)
    elif whole is None:
        raise ConfigError(f"mode '{mode}' compares with the whole video", remedy="pass its descriptors")
    elif mode == "gain":
        values = scorer.log_probs(rows, token_ids) - scorer.log_probs(whole[None], token_ids)
    else:
        values = -scorer.divergences(rows, token_ids, scorer.distributions(whole, token_ids))
    return values.reshape(*items.shape[:-1], len(token_ids))


def soft_mean(raw: np.ndarray) -> np.ndarray:
    """What the four half-moved views over a place say together: ln of the mean of exp over 2 x 2 cells of a fine map.

    A point of a frame lies under four cells of a fine map (cells.py), each whole; their mean probability is the
    point's. The last row and column are repeated.

    Args:
        raw: float32 (..., h, w), logarithms.

    Returns:
        float32 (..., h, w); a cell stands half a cell further down and right than before.
    """
    padded = np.pad(raw, [(0, 0)] * (raw.ndim - 2) + [(0, 1), (0, 1)], mode="edge")
    parts = np.stack([padded[..., i : i + raw.shape[-2], j : j + raw.shape[-1]] for i in (0, 1) for j in (0, 1)])
    top = parts.max(axis=0)
    return (top + np.log(np.exp(parts - top).mean(axis=0))).astype(np.float32)
