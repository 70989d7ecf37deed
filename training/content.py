"""Fits the content prior (glrg_tf/captioner/content.py): ridge regression from features to captions' tf-idf vectors.

Each stream is centred and scaled to a mean squared length of 1, so that the streams weigh alike however wide they
are. With X the scaled features (J, D), Y the videos' mean tf-idf vectors (J, C) and X = U S V':

    foretold(x) = mean(Y) + x V diag(s / (s² + ridge)) U' (Y - mean(Y))

The best squared error on left-out videos asks for a ridge of about 3; the best *choice among a beam's captions*, which
differ in what is particular to the video, for 0.03 to 0.3 (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.errors import DataError
from glrg_tf.metrics.ciderd_tables import ReferenceTables

# Bounds of the captioner's size: 347 videos of 20 captions have 11,000 n-grams that recur and 346 components.
MOST_NGRAMS = 16384  # those of most videos are kept
MOST_COMPONENTS = 512
_BLOCK = 2048  # n-grams fitted at once: bounds memory


def fit(
    features: np.ndarray,
    widths: Sequence[int],
    tables: ReferenceTables,
    weights: NgramWeights,
    ridge: float = 0.2,
    *,
    most_ngrams: int = MOST_NGRAMS,
    most_components: int = MOST_COMPONENTS,
) -> ContentPrior:
    """Fits a prior to the training videos.

    Args:
        features: float32 (J, D), streams side by side.
        widths: columns of each stream.
        tables: of the J videos' captions, end tokens not counted.
        weights: made of these tables.
        ridge: see the module.
        most_ngrams: C at most.
        most_components: components at most; the strongest are kept.

    Raises:
        DataError: no n-gram occurs with two training videos, so none can be foretold of a third.
    """
    columns, kept = _columns(weights, most_ngrams)
    if not len(kept):
        what = "no word occurs in captions of two training videos: there is no content to foretell"
        raise DataError(what, where="train", remedy="more training videos, or a recipe other than glrg-plus")
    places = np.searchsorted(tables.ngram_keys, weights.keys[kept])
    center, scale = features.mean(axis=0), _scales(features, widths)
    scaled = (features - center) * scale.astype(np.float32)  # (J, D)
    directions, singular = _directions(scaled)
    # Weaker components add next to nothing, and dividing by them would leave what float16 can hold.
    fine = singular > 0.01 * np.sqrt(ridge)
    directions, singular = directions[:, fine], singular[fine]
    units = (scaled @ directions) / singular  # U, (J, R)
    means, strengths = [], []
    for first in range(0, len(places), _BLOCK):
        vectors = mean_vectors(tables, places[first : first + _BLOCK])
        means.append(vectors.mean(axis=0))
        strengths.append(units.T @ (vectors - means[-1]))
    # What component i, scaled to unit length over the training videos, adds to the vectors.
    strength = (singular**2 / (singular**2 + ridge))[:, None] * np.concatenate(strengths, axis=1)
    projection = directions * scale[:, None] / singular
    if len(singular) > most_components:
        _, turned = np.linalg.eigh(strength @ strength.T)
        turned = turned[:, -most_components:]
        projection, strength = projection @ turned, turned.T @ strength
    arrays = center, projection, strength, np.concatenate(means)
    return ContentPrior(*(_halves(values) for values in arrays), columns=columns)


def mean_vectors(tables: ReferenceTables, places: np.ndarray) -> np.ndarray:
    """The videos' mean tf-idf vectors, each caption of unit length at each order: float32 (J, C).

    Args:
        tables: of the captions.
        places: int64 (C,), the n-grams' places in `tables.ngram_keys`, rising.
    """
    width, videos = len(tables.ngram_keys), len(tables.reference_counts)
    wanted = np.full(width, -1)
    wanted[places] = np.arange(len(places))
    pairs = tables.pair_keys[:-1]
    sums = np.add.reduceat(tables.posting_values, tables.pair_starts[: len(pairs)]) if len(pairs) else np.zeros(0)
    video, column = pairs // width, wanted[pairs % width]
    held = column >= 0
    vectors = np.zeros((videos, len(places)), np.float32)
    vectors[video[held], column[held]] = (sums / tables.reference_counts[video])[held]
    return vectors


def _directions(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V (D, R) and the singular values (R,) of float32 (J, D)."""
    if len(scaled) <= scaled.shape[1]:
        _, singular, right = np.linalg.svd(scaled.astype(np.float64), full_matrices=False)
        return right.T, singular
    squares, directions = np.linalg.eigh(scaled.T.astype(np.float64) @ scaled)  # memory and time whatever J
    return directions, np.sqrt(np.maximum(squares, 0.0))


def _columns(weights: NgramWeights, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Column of each n-gram of the list (C: none), and the places of those that have one."""
    rank = np.argsort(weights.squared_idf[:-1], kind="stable")[:most]  # small weights: n-grams of many videos
    kept = np.sort(rank)
    columns = np.full(len(weights.keys), len(kept), np.int32)
    columns[kept] = np.arange(len(kept))
    return columns, kept


def _scales(features: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """One over each column's stream's root mean squared length, (D,); 0 for a stream that never changes."""
    scales, start = [], 0
    for width in widths:
        part = features[:, start : start + width]
        length = np.sqrt(((part - part.mean(axis=0)) ** 2).sum(axis=1).mean())
        scales.append(np.full(width, 1.0 / length if length > 0 else 0.0))
        start += width
    return np.concatenate(scales)


def _halves(values: np.ndarray) -> np.ndarray:
    """float32 with the values of float16: what files of halves store and read again."""
    return np.asarray(values, np.float64).astype(np.float16).astype(np.float32)
