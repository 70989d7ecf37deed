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
