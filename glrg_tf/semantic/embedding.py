"""A trained Visual GloVe: from clip features to words and to embeddings e = w + w̃, and what is made of them.

A codebook and vectors of different trainings give meaningless embeddings in silence: features of another width or
source are refused here, and artefact.py binds both by the codebook's fingerprint.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glrg_tf.errors import FeatureError
from glrg_tf.semantic.codebook import Codebook
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.weights import GloveWeights

STREAM = "semantic"
# Attributes of the file or of a stream that must be the same where vectors were trained and where they are used.
_BINDING = ("weights_sha256", "backbone", "frame_plan")


@dataclasses.dataclass(frozen=True)
class ClipIndex:
    """The training clips by word.

    Args:
        ids: of the videos.
        offsets: int64 (videos + 1,).
        words: int32 (N,), word of every clip.
        representatives: int64 (V,), the clip nearest to the word's centroid; -1 for a word without clips.
    """

    ids: tuple[str, ...]
    offsets: np.ndarray
    words: np.ndarray
    representatives: np.ndarray

    @classmethod
    def build(
        cls, ids: Sequence[str], offsets: np.ndarray, words: np.ndarray, squares: np.ndarray, size: int
    ) -> ClipIndex:
        """From every clip's word and squared distance to it, of a vocabulary of `size` words."""
        order = np.lexsort((np.arange(len(words)), squares, words))
        firsts = order[np.concatenate([[True], np.diff(words[order]) != 0])[: len(order)]]
        representatives = np.full(size, -1, np.int64)
        representatives[words[firsts]] = firsts
        return cls(tuple(ids), np.asarray(offsets, np.int64), words, representatives)

    @property
    def counts(self) -> np.ndarray:
        """Clips of every word, int64 (V,)."""
        return np.bincount(self.words, minlength=len(self.representatives))

    def locate(self, row: int) -> tuple[str, int]:
        """Returns the video and the position in it of a clip."""
        video = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return self.ids[video], row - int(self.offsets[video])


@dataclasses.dataclass(frozen=True)
class VisualGlove:
    """Codebook and vectors that belong together.

    Args:
        codebook: V words over features of width D.
        weights: w, w̃, b, b̃.
        seen: bool (V,), words that stood near another one in training. The others' vectors were never trained: their
            embedding is 0 (the reference leaves them at their random start).
        config: of the vectors.
        codebook_config: of the clustering.
        source: kind, path and streams of the features it was trained on.
        clips: the training clips.
        report: how training went.

    Example:
        >>> glove = load_glove("runs/glove")
        >>> glove.embed(rgb).shape  # (T, 1024) -> (T, 128)
        (14, 128)
    """

    codebook: Codebook
    weights: GloveWeights
    seen: np.ndarray
    config: GloveConfig
    codebook_config: CodebookConfig
    source: Mapping[str, Any]
    clips: ClipIndex
    report: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def dimensions(self) -> int:
        """d, width of an embedding."""
        return int(self.weights.centre.shape[1])

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """The embedding of every word, e = w + w̃, float32 (V, d)."""
        return (self.weights.centre + self.weights.context) * self.seen[:, None]

    def words(self, rows: np.ndarray) -> np.ndarray:
        """Returns the visual word of every clip, int32 (T,), of features float32 (T, D).

        Raises:
            FeatureError: another width than in training.
        """
        self.check_width(rows.shape[1], "the features")
        return self.codebook.nearest(np.ascontiguousarray(rows, np.float32))[0]

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Returns the embedding of every clip, float32 (T, d), of features float32 (T, D).

        Raises:
            FeatureError: another width than in training.
        """
        return self.vectors[self.words(rows)]

    def check_width(self, width: int, where: object) -> None:
        """Raises FeatureError where features have another width than in training."""
        if width != self.codebook.width:
            raise FeatureError(
                f"the clips are {width} wide, the codebook knows {self.codebook.width}",
                where=where,
                remedy=f"use the features it was trained on: {describe_source(self.source)}",
            )

    def check_source(self, source: Mapping[str, Any]) -> None:
        """Refuses features that were made otherwise than those of training.

        Raises:
            FeatureError: other streams, or another backbone, weights or frame plan.
        """
        remedy = f"use the features it was trained on: {describe_source(self.source)}"
        if source["kind"] == self.source["kind"] and list(source["streams"]) != list(self.source["streams"]):
            what = f"streams {', '.join(source['streams'])}, trained on {', '.join(self.source['streams'])}"
            raise FeatureError(what, where=source["path"], remedy=remedy)
        for part, trained in (self.source.get("attributes") or {}).items():
            found = (source.get("attributes") or {}).get(part, {})
            for name in _BINDING:
                if name in trained and name in found and trained[name] != found[name]:
                    what = f"{name} of the {part} is {found[name]!r:.80}, in training it was {trained[name]!r:.80}"
                    raise FeatureError(what, where=source["path"], remedy=remedy)


def describe_source(source: Mapping[str, Any]) -> str:
    """Returns a few words on where features came from."""
    return f"{' + '.join(map(str, source.get('streams', [])))} of {source.get('path', 'an unknown source')}"


def concatenate(
    embeddings: np.ndarray, rgb: np.ndarray, flow: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Puts embeddings beside clip features, as the published files have them.

    With flow both halves carry e / 2, because the captioners that read them add the two streams: rgb + flow then
    carries [rgb + flow ; e].

    Args:
        embeddings: e, float32 (T, d).
        rgb: float32 (T, D).
        flow: float32 (T, D'), or None.

    Returns:
        [rgb ; e] (T, D + d) and None; with flow [rgb ; e/2] and [flow ; e/2].
    """
    if flow is None:
        return np.concatenate([rgb, embeddings], axis=1), None
    half = embeddings / 2
    return np.concatenate([rgb, half], axis=1), np.concatenate([flow, half], axis=1)


def strip(concatenated: np.ndarray, dimensions: int) -> np.ndarray:
    """Returns the features without the last `dimensions` columns: the inverse of `concatenate`, a view."""
    return concatenated[:, : concatenated.shape[1] - dimensions]
