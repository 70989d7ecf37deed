"""The visual vocabulary as a picture: every word a grey point, the words of chosen videos in colour.

The paper's figure: a t-SNE of the whole vocabulary, the words that two look-alike videos share in red. t-SNE with 2
components, perplexity 30, a PCA start and a fixed seed. Where the videos are known, words carry a frame of the clip
nearest to them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic
from glrg_tf.semantic.embedding import VisualGlove

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Method = Literal["tsne", "pca"]
SHARED = "#d62728"
_COLOURS = ("#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22")
_PERPLEXITY = 30.0


def project(glove: VisualGlove, method: Method = "tsne", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Lays the vocabulary out in the plane.

    Args:
        glove: trained vectors.
        method: "tsne" or "pca".
        seed: of t-SNE.

    Returns:
        The words shown, int64 (n,): those with an embedding; and their places, float64 (n, 2).

    Raises:
        ConfigError: fewer than four words have an embedding.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    words = np.flatnonzero(glove.seen)
    if len(words) < 4:
        raise ConfigError(f"{len(words)} words have an embedding, too few for a plot", remedy="train on more clips")
    vectors = glove.vectors[words].astype(np.float64)
    if method == "pca":
        return words, PCA(2, svd_solver="full").fit_transform(vectors)
    perplexity = min(_PERPLEXITY, (len(words) - 1) / 3)
    with threadpool_limits(1):  # one thread: the same picture everywhere
        return words, TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(vectors)


def words_of_videos(glove: VisualGlove, ids: Sequence[str]) -> dict[str, set[int]]:
    """Returns the visual words of training videos.

    Raises:
        ConfigError: a video was not among the training clips.
    """
    found = {}
    for video_id in ids:
        if video_id not in glove.clips.ids:
            remedy = f"training videos have ids such as '{glove.clips.ids[0]}'"
            raise ConfigError(f"no video '{video_id}' among the training clips", remedy=remedy)
        video = glove.clips.ids.index(video_id)
        first, last = glove.clips.offsets[video : video + 2]
        found[video_id] = set(map(int, glove.clips.words[first:last]))
    return found


def spread_words(places: np.ndarray, count: int) -> np.ndarray:
    """Returns indices of up to `count` points far from each other (farthest-point sampling), for thumbnails.

    Args:
        places: float64 (n, 2).
        count: of points.
    """
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    distances = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.array(chosen)


def draw(
    path: str | os.PathLike[str],
    words: np.ndarray,
    places: np.ndarray,
    *,
    videos: Mapping[str, set[int]] | None = None,
    thumbnails: Mapping[int, np.ndarray] | None = None,
    title: str = "",
) -> None:
    """Writes the picture as a PNG, whole or not at all.

    Args:
        path: the file.
        words: int (n,), words shown.
        places: float (n, 2).
        videos: words of the videos to colour; words that two of them share are red.
        thumbnails: by word, uint8 (H, W, 3).
        title: above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    videos, thumbnails = videos or {}, thumbnails or {}
    side = 13 if thumbnails else 8
    figure = Figure((side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(*places.T, s=9, c="#c8c8c8", linewidths=0, label=f"{len(words)} visual words")
    for word, image in thumbnails.items():
        _thumbnail(axes, places[np.flatnonzero(words == word)[0]], image)
    counts: dict[int, int] = {}
    for number, (name, own) in enumerate(videos.items()):
        shown = np.isin(words, list(own))
        colour = _COLOURS[number % len(_COLOURS)]
        axes.scatter(*places[shown].T, s=34, c=colour, edgecolors="white", linewidths=0.5, zorder=5, label=name)
        for word in own:
            counts[word] = counts.get(word, 0) + 1
    shared = np.isin(words, [word for word, count in counts.items() if count > 1])
    if shared.any():
        label = f"shared ({int(shared.sum())})"
        axes.scatter(*places[shared].T, s=60, c=SHARED, edgecolors="white", linewidths=0.6, zorder=6, label=label)
    axes.set(xticks=[], yticks=[], title=title)
    axes.legend(loc="best", frameon=True, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    atomic.write_bytes(path, buffer.getvalue())


def _thumbnail(axes: Axes, place: np.ndarray, image: np.ndarray) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    picture = OffsetImage(image, zoom=44 / max(image.shape[:2]))
    box = AnnotationBbox(
        picture, tuple(place), frameon=True, pad=0.08, bboxprops={"edgecolor": "#888888", "linewidth": 0.5}
    )
    box.set_zorder(3)
    axes.add_artist(box)
