"""Consensus scores m(S): how well a caption agrees with the other captions of its video (GL-RG §3.3, eq. 8).

Each caption is scored against all others of its video on the raw text, split on blanks and case-sensitive, as
the release made its evalscores files (specs/gl-rg.md §2.6; their numbers are reproduced). A video with one
caption has nobody to agree with: it gets the mean score of all other videos, a neutral weight.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glrg_tf.errors import AnnotationError, ConfigError
from glrg_tf.io import atomic
from glrg_tf.metrics import leave_one_out, meteor

Progress = Callable[[int, int], None]  # captions scored, captions in all
METRICS = ("CIDEr", "Bleu_4", "METEOR", "ROUGE_L")
VERSION = 1  # of the numbers: raise it when they change, so that old caches are left alone


def consensus_scores(
    captions_per_video: Sequence[Sequence[str]], metric: str, progress: Progress | None = None
) -> list[np.ndarray]:
    """Scores every caption against the others of its video.

    Args:
        captions_per_video: captions of each video, raw.
        metric: one of `METRICS`.
        progress: told how far it is (METEOR takes about 4 ms a caption, the others next to nothing).

    Returns:
        float64 (G,) for each video.

    Raises:
        ConfigError: unknown metric, or no Java for METEOR.
        AnnotationError: a video without captions.
        JavaError: METEOR failed.
    """
    _check(captions_per_video, metric)
    total = sum(map(len, captions_per_video))
    if metric == "METEOR":
        scores = _meteor(captions_per_video, progress)
    else:
        score = {"CIDEr": leave_one_out.cider, "Bleu_4": leave_one_out.bleu_4, "ROUGE_L": leave_one_out.rouge_l}[metric]
        scores = score(captions_per_video)
        if progress is not None:
            progress(total, total)
    together = [values for values in scores if len(values) > 1]
    neutral = float(np.concatenate(together).mean()) if together else 1.0
    return [values if len(values) > 1 else np.full(1, neutral) for values in scores]


def cached_consensus(
    captions_per_video: Sequence[Sequence[str]],
    metric: str,
    cache_folder: str | os.PathLike[str] | None,
    progress: Progress | None = None,
    imported: Sequence[Sequence[float]] | None = None,
) -> list[np.ndarray]:
    """Returns consensus scores, from where they are at hand.

    Scores that came with the captions win when every caption has one. Else they are read from
    `cache_folder/<metric>-<sha256 of the captions>.npz`, or computed and written there.

    Args:
        captions_per_video: captions of each video, raw.
        metric: one of `METRICS`.
        cache_folder: made if absent; when it cannot be written the scores are only returned. None: no cache.
        progress: see `consensus_scores`.
        imported: scores of each video's captions as imported; empty where there are none.

    Returns:
        float64 (G,) for each video.

    Raises:
        ConfigError, AnnotationError, JavaError: as `consensus_scores`.
    """
    _check(captions_per_video, metric)
    if imported is not None and list(map(len, imported)) == list(map(len, captions_per_video)):
        scores = [np.asarray(values, np.float64) for values in imported]
        if all(np.isfinite(values).all() for values in scores):
            return scores
    if cache_folder is None:
        return consensus_scores(captions_per_video, metric, progress)
    path = Path(cache_folder) / f"{metric}-{captions_sha256(captions_per_video)}.npz"
    sizes = np.fromiter(map(len, captions_per_video), np.int64, len(captions_per_video))
    found = _read(path, sizes)
    if found is None:
        found = consensus_scores(captions_per_video, metric, progress)
        with contextlib.suppress(OSError):  # a read-only dataset is no reason to stop
            _write(path, sizes, found)
    return found


def captions_sha256(captions_per_video: Sequence[Sequence[str]]) -> str:
    """Hex digest of the captions' text, their order and grouping."""
    digest = hashlib.sha256(f"consensus {VERSION}\n".encode())
    for captions in captions_per_video:
        digest.update(json.dumps(list(captions)).encode("ascii") + b"\n")
    return digest.hexdigest()


def _check(captions_per_video: Sequence[Sequence[str]], metric: str) -> None:
    if metric not in METRICS:
        raise ConfigError(f"unknown consensus metric '{metric}'", remedy=f"one of: {', '.join(METRICS)}")
    empty = [number for number, captions in enumerate(captions_per_video) if not len(captions)]
    if empty:
        raise AnnotationError("a video has no captions to score", where=f"video number {empty[0]}")


def _meteor(captions_per_video: Sequence[Sequence[str]], progress: Progress | None) -> list[np.ndarray]:
    hypotheses, references = [], []
    for captions in captions_per_video:
        for number, caption in enumerate(captions):
            others = [*captions[:number], *captions[number + 1 :]]
            # METEOR takes the best reference, and none is better than the caption itself: no need to try the rest.
            references.append([caption] if caption in others else others)
            hypotheses.append(caption)
    alone = [not others for others in references]
    references = [others or [""] for others in references]
    done = itertools.accumulate(itertools.repeat(meteor.PORTION))
    report = None if progress is None else lambda _: progress(min(next(done), len(hypotheses)), len(hypotheses))
    segments = np.where(alone, 0.0, meteor.score(hypotheses, references, report).segments)
    ends = np.cumsum([len(captions) for captions in captions_per_video])
    return np.split(segments, ends[:-1]) if len(ends) else []


def _read(path: Path, sizes: np.ndarray) -> list[np.ndarray] | None:
    """Cached scores, or None when there are none or they do not fit (then they are made again)."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > 8 * (sizes.sum() + len(sizes)) + 1024:
                return None
        with np.load(path, allow_pickle=False) as content:
            scores, stored = content["scores"], content["sizes"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None
    fits = scores.dtype == np.float64 and scores.shape == (sizes.sum(),) and np.array_equal(stored, sizes)
    if not fits or not np.isfinite(scores).all():
        return None
    return np.split(scores, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _write(path: Path, sizes: np.ndarray, scores: list[np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez(stream, scores=np.concatenate(scores or [np.zeros(0)]), sizes=sizes)
    atomic.write_bytes(path, stream.getvalue())
