"""What a network reads, as arrays: rows sampled and padded, lower texts joined; the same for training and use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glrg_tf.errors import FeatureError
from glrg_tf.recap.hierarchy import CLIP
from glrg_tf.recap.sampling import sample_rows
from glrg_tf.recap.settings import RecapConfig
from glrg_tf.recap.text_tokens import padded

_SHORTEST = 64  # tokens of lower texts: what is shorter is padded to it
Arrays = dict[str, np.ndarray]


def feature_arrays(config: RecapConfig, level: str, features: Sequence[np.ndarray], length: int = 0) -> Arrays:
    """Rows of several samples, padded: `features` float32 (B, S, D) and `seen` float32 (B, S).

    Args:
        config: of the network.
        level: clips give their tokens (P, D), the levels above rows (S, D).
        features: float32 (S, D) a sample; S may be 0.
        length: S is at least this.

    Raises:
        FeatureError: another width, values that are not finite, or too many tokens of a clip.
    """
    width = config.dense_width if level == CLIP else config.row_width
    most = config.max_clip_tokens if level == CLIP else config.max_rows
    chosen = []
    for number, rows in enumerate(features):
        if rows.size == 0:
            rows = np.zeros((0, width), np.float32)  # nothing was seen there
        if rows.ndim != 2 or rows.shape[1] != width:
            what = f"features of shape {rows.shape}, level '{level}' reads (S, {width})"
            raise FeatureError(what, where=f"sample {number}", remedy="use those of the encoder it was trained with")
        if not np.isfinite(rows).all():
            raise FeatureError("features that are not finite", where=f"sample {number}", remedy="extract them again")
        if level == CLIP and len(rows) > most:
            raise FeatureError(f"{len(rows)} tokens of a clip, at most {most} are read", where=f"sample {number}")
        chosen.append(np.asarray(rows, np.float32) if level == CLIP else sample_rows(rows, most, config.sampling)[0])
    longest = max([1, length, *map(len, chosen)])
    values = np.zeros((len(chosen), longest, width), np.float32)
    seen = np.zeros((len(chosen), longest), np.float32)
    for number, rows in enumerate(chosen):
        values[number, : len(rows)], seen[number, : len(rows)] = rows, 1.0
    return {"features": values, "seen": seen}


def read_arrays(
    config: RecapConfig,
    level: str,
    features: Sequence[np.ndarray],
    below: Sequence[Sequence[int]],
    *,
    rows: int = 0,
    words: int = 0,
) -> Arrays:
    """Everything that a level reads of several samples, by the names of `RecapNetwork.conditioning`.

    Args:
        config: of the network.
        level: of the samples.
        features: tokens of clips or rows, float32 (S, D) a sample; unused where the level reads none.
        below: ids of the texts below of each sample (text_tokens.join); unused where the level reads none.
        rows: rows are padded to at least this.
        words: lower texts are padded to at least this.

    Raises:
        FeatureError: features of another width, or not finite.
    """
    arrays: Arrays = {}
    if config.reads_video(level):
        arrays |= feature_arrays(config, level, features, rows)
    if config.reads_text(level):
        arrays["text_ids"] = padded(below, words)
    return arrays


def text_length(config: RecapConfig, below: Sequence[int]) -> int:
    """The padded length of a sample's lower texts in use: 64, 128, …, `max_text`; a function of the sample alone."""
    length = min(_SHORTEST, config.max_text)
    while length < min(len(below), config.max_text):
        length = min(2 * length, config.max_text)
    return length
