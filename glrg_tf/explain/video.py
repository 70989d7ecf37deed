"""The explanation of one video: the sentence, and where, when and by which concepts each of its words was driven."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.captioners import Captioner, own_caption, scorer_of
from glrg_tf.explain.cells import CellReader, MapNetwork, Read, find_map_stream, no_map
from glrg_tf.explain.concepts import Concepts, concept_effects
from glrg_tf.explain.explanation import ExplainSettings, Explanation
from glrg_tf.explain.landmarks import score_by_landmarks
from glrg_tf.explain.looking import look_at
from glrg_tf.explain.normalise import normalise
from glrg_tf.explain.query import Query, parse_query
from glrg_tf.explain.saliency import Mode, saliency, soft_mean
from glrg_tf.explain.scorer import SentenceScorer
from glrg_tf.explain.view import View

if TYPE_CHECKING:
    from glrg_tf.video.reader import Limits

__all__ = ["ExplainSettings", "Explainer", "Explanation", "explain_video"]

Progress = Callable[[int], object]  # told how many frames were just explained


class Explainer:
    """Explains videos by one captioner; what is compiled for the first serves all.

    Args:
        captioner: with encoders, one of which has a map (see `cells.map_stream`).
        limits: what one file may cost; the defaults of `Limits` without it.

    Raises:
        ConfigError: no encoders, or none with a map.

    Example:
        >>> explanation = Explainer(load_captioner("world-nano")).explain("clip.mp4")
        >>> explanation.words
        ('a', 'red', 'ball', 'moves', 'to', 'the', 'left')
    """

    def __init__(self, captioner: Captioner, limits: Limits | None = None) -> None:
        if captioner.encoders is None:
            raise ConfigError(
                "this captioner has no encoder: it reads features, not videos",
                remedy="name one with --encoder ENC, or explain a video of a features.h5 (--id)",
            )
        self.captioner, self.bundle, self.limits = captioner, captioner.encoders, limits
        self.scorer: SentenceScorer = scorer_of(captioner)
        streams = captioner.config.streams
        found = find_map_stream(self.bundle, captioner.config.stream_names)
        self._network = MapNetwork(self.bundle, streams) if found is not None else None

    @property
    def network(self) -> MapNetwork:
        """The network whose map tells where.

        Raises:
            ConfigError: no stream has a map.
        """
        if self._network is None:
            raise no_map()
        return self._network

    def explain(
        self,
        path: str | os.PathLike[str],
        sentence: str | None = None,
        settings: ExplainSettings | None = None,
        progress: Progress | None = None,
    ) -> Explanation:
        """Explains a caption of a video. Where no stream has a map it tells when and why, not where.

        Args:
            path: the video.
            sentence: what is asked about; None takes the captioner's own caption.
            settings: how.
            progress: told about frames as they are done.

        Raises:
            VideoError: the video cannot be read.
            ConfigError: a sentence without known words.
        """
        settings = settings or ExplainSettings()
        query = parse_query(sentence, self.captioner.vocabulary) if sentence is not None else None
        names, mapped = self.captioner.config.stream_names, self._network is not None
        seen = look_at(self.bundle, names, Path(path), settings, self.limits, self._network)
        positions = seen.positions
        if query is None:
            sentence = own_caption(self.captioner, positions)
            query = parse_query(sentence, self.captioner.vocabulary)
        raw, scored, error = np.zeros((0, len(query.words), 0, 0), np.float32), 1.0, 0.0
        if mapped:
            raw, scored, error = self._score_frames(seen.images, positions, query, settings, progress, seen.read)
        maps = normalise(raw, settings.normalisation) * query.known[None, :, None, None] if mapped else raw
        rate = seen.probe.frame_rate
        return Explanation(
            str(sentence),
            query,
            settings.mode,
            seen.indices,
            seen.seconds,
            raw,
            maps.astype(np.float32),
            self.bundle.plan.keyframes(seen.decoded) / rate,
            saliency(self.scorer, positions, query.token_ids, settings.mode, positions),
            self.scorer.log_probs(positions[None], query.token_ids)[0],
            self._concepts(positions, query) if settings.concepts else None,
            self.network.view_of(settings.fine) if mapped else View(),
            (seen.probe.height, seen.probe.width),
            rate,
            seen.decoded,
            (*query.warnings, *seen.warnings),
            scored,
            error,
        )

    def score_frames(
        self,
        images: np.ndarray,
        positions: np.ndarray,
        query: Query,
        settings: ExplainSettings,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Raw saliency of every cell of frames.

        Args:
            images: uint8 (F, H, W, 3).
            positions: float32 (P, D), descriptors of the video.
            query: the sentence, n words.
            settings: mode, others, box and fine are read.
            progress: told about frames as they are done.

        Returns:
            float32 (F, n, h, w).
        """
        return self._score_frames(images, positions, query, settings, progress)[0]

    def _score_frames(
        self,
        images: np.ndarray,
        positions: np.ndarray,
        query: Query,
        settings: ExplainSettings,
        progress: Progress | None,
        read: Read | None = None,
    ) -> tuple[np.ndarray, float, float]:
        """Raw saliency, the share of cells that were scored one by one, and the error of the others."""
        how = (settings.others, settings.normalisation.box, settings.fine)
        reader = CellReader(self.network, positions.mean(axis=0), *how)

        # "gain" differs from "logprob" by a constant for each word, which does not depend on the cell.
        mode: Mode = "logprob" if settings.mode == "gain" else settings.mode

        def score(classes: np.ndarray) -> np.ndarray:
            return saliency(self.scorer, reader.descriptors(classes), query.token_ids, mode, positions)

        found = []
        for classes in in_groups(reader.classes(images, read), reader.frames_within_bounds, progress):
            found.append(score_by_landmarks(score, classes.reshape(-1, classes.shape[-1]), settings.tolerance))
        grid = self.network.grid_of(settings.fine)
        values = np.concatenate([part.values for part in found]).reshape(len(images), *grid, len(query.words))
        if settings.mode == "gain":
            values = values - self.scorer.log_probs(positions[None], query.token_ids)[0]
        raw = np.moveaxis(values, -1, 1)
        share = sum(part.exact for part in found) / max(1, sum(len(part.values) for part in found))
        return soft_mean(raw) if settings.fine else raw, share, max(part.error for part in found)

    def encode_frames(self, at: Callable[[np.ndarray], np.ndarray], frame_count: int) -> np.ndarray:
        """Descriptors of a video's positions from frames at hand: float32 (P, D).

        Args:
            at: gives frames by number, int64 (...) -> uint8 (..., H, W, 3).
            frame_count: frames of the video.
        """
        parts = []
        for name in self.captioner.config.stream_names:
            stream = self.bundle.streams[name]
            parts.append(stream.encode(at(self.bundle.plan.frames_of(stream.spec.plan, frame_count))))
        return np.concatenate(parts, axis=1)

    def _concepts(self, positions: np.ndarray, query: Query) -> tuple[Concepts, Concepts]:
        """Effects on the pooled video: S2VT sees it as a video of one descriptor."""
        labels = {name: stream.spec.labels for name, stream in self.bundle.streams.items()}
        row, streams = positions.mean(axis=0), self.captioner.config.streams
        return concept_effects(self.scorer, row, query.token_ids, streams, labels)


def in_groups(parts: Iterable[np.ndarray], most: int, progress: Progress | None = None) -> Iterator[np.ndarray]:
    """Parts joined to arrays of at most `most` rows (of one part where that alone is longer)."""
    waiting: list[np.ndarray] = []
    for part in parts:
        if waiting and sum(map(len, waiting)) + len(part) > most:
            yield np.concatenate(waiting)
            waiting = []
        waiting.append(part)
        if progress is not None:
            progress(len(part))
    if waiting:
        yield np.concatenate(waiting)


def explain_video(
    captioner: Captioner,
    path: str | os.PathLike[str],
    sentence: str | None = None,
    settings: ExplainSettings | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """`Explainer.explain` of one video."""
    return Explainer(captioner).explain(path, sentence, settings, progress)
