"""Nearest visual words, and nearest clips: by their words' embeddings, then by the clips' own features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.semantic.embedding import ClipIndex, VisualGlove
from glrg_tf.semantic.stacks import Stacks


@dataclass(frozen=True)
class Neighbour:
    """A clip near another one.

    Attributes:
        id: its video.
        position: in the video, from 0.
        word: its visual word.
        similarity: cosine of the two words' embeddings.
        distance: Euclidean distance of the clips' features; None where these are not at hand.
    """

    id: str
    position: int
    word: int
    similarity: float
    distance: float | None = None


def word_similarities(glove: VisualGlove, word: int) -> np.ndarray:
    """Returns the cosine of a word's embedding with every word's, float32 (V,); 0 for words without an embedding.

    Raises:
        ConfigError: no such word.
    """
    if not 0 <= word < glove.codebook.words:
        raise ConfigError(f"there is no word {word}", remedy=f"words are 0 to {glove.codebook.words - 1}")
    lengths = np.linalg.norm(glove.vectors, axis=1)
    unit = glove.vectors / np.maximum(lengths, 1e-12)[:, None]
    return unit @ unit[word]


def nearest_words(glove: VisualGlove, word: int, count: int = 10) -> list[tuple[int, float]]:
    """Returns the nearest other words with their cosines, nearest first; words that no clip has are left out.

    Raises:
        ConfigError: no such word.
    """
    similarities = word_similarities(glove, word)
    order = np.argsort(-similarities, kind="stable")
    found = [(int(other), float(similarities[other])) for other in order if other != word and glove.seen[other]]
    return found[:count]


def nearest_clips(
    glove: VisualGlove,
    index: ClipIndex,
    row: int,
    count: int = 10,
    *,
    stacks: Stacks | None = None,
    other_videos: bool = False,
) -> list[Neighbour]:
    """Returns the clips nearest to a clip of `index`, itself left out.

    Clips are ordered by the cosine of their words' embeddings, the query's own word first; clips of one word by the
    distance of their features where `stacks` are given, else as they stand in the index.

    Args:
        glove: trained vectors.
        index: the clips to search.
        row: the query's number in `index`.
        count: of neighbours.
        stacks: the features of `index`, for the order within a word.
        other_videos: whether clips of the query's own video are left out.

    Raises:
        ConfigError: no such clip.
    """
    if not 0 <= row < len(index.words):
        raise ConfigError(f"there is no clip {row}", remedy=f"clips are 0 to {len(index.words) - 1}")
    word = int(index.words[row])
    similarities = word_similarities(glove, word)
    similarities[word] = np.inf  # also where the word has no embedding
    video = np.searchsorted(index.offsets, row, side="right") - 1
    own = np.arange(index.offsets[video], index.offsets[video + 1]) if other_videos else np.array([row])
    found: list[Neighbour] = []
    for near in np.argsort(-similarities, kind="stable"):
        rows = np.setdiff1d(np.flatnonzero(index.words == near), own)
        if not len(rows):
            continue
        distances = None if stacks is None else _distances(stacks, row, rows)
        order = np.arange(len(rows)) if distances is None else np.argsort(distances, kind="stable")
        for chosen in order[: count - len(found)]:
            name, position = index.locate(int(rows[chosen]))
            similarity = 1.0 if near == word else float(similarities[near])
            distance = None if distances is None else float(distances[chosen])
            found.append(Neighbour(name, position, int(near), similarity, distance))
        if len(found) >= count:
            break
    return found


def find_row(index: ClipIndex, video_id: str, position: int) -> int:
    """Returns the number of a clip in `index`.

    Raises:
        ConfigError: no such video or position.
    """
    if video_id not in index.ids:
        raise ConfigError(f"no video '{video_id}'", remedy=f"ids look like '{index.ids[0]}'")
    video = index.ids.index(video_id)
    clips = int(index.offsets[video + 1] - index.offsets[video])
    if not 0 <= position < clips:
        raise ConfigError(f"video '{video_id}' has no clip {position}", remedy=f"its clips are 0 to {clips - 1}")
    return int(index.offsets[video]) + position


def _distances(stacks: Stacks, row: int, rows: np.ndarray) -> np.ndarray:
    query = stacks.take(np.array([row]))[0]
    distances = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        distances[start : start + 4096] = np.linalg.norm(stacks.take(part) - query, axis=1)
    return distances
