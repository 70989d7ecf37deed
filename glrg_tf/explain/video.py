"""The explanation of one video: the sentence, and where, when and by which concepts each of its words was driven."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.captioners import Captioner, own_caption, scorer_of
from glrg_tf.explain.cells import CellReader, MapNetwork, Others
from glrg_tf.explain.concepts import Concepts, concept_effects
from glrg_tf.explain.normalise import Normalisation, normalise, time_chart
from glrg_tf.explain.query import Query, parse_query
from glrg_tf.explain.saliency import Mode, saliency
from glrg_tf.explain.scorer import SentenceScorer
from glrg_tf.explain.view import View
from glrg_tf.video.sampling import uniform_positions

if TYPE_CHECKING:
    from glrg_tf.encoders.extract import Encoded
    from glrg_tf.video.reader import Frames, Limits

Progress = Callable[[int], object]  # told how many frames were just explained
MAX_FRAMES = 4096


@dataclasses.dataclass(frozen=True)
class ExplainSettings:
    """How a video is explained."""

    mode: Mode = "logprob"
    rate: float = 2.0  # frames a second that are looked at; 0 looks at all
    max_frames: int = 96  # most frames that are looked at, spread evenly: what keeps memory flat on long videos
    others: Others = "none"  # what a cell's descriptor holds beside the keyframe stream
    normalisation: Normalisation = Normalisation()
    isolated: bool = True  # decode in a process of its own, under limits
    concepts: bool = True  # ask about the vocabularies too

    def __post_init__(self) -> None:
        """Refuses numbers that no video can be explained with."""
        if not 0.0 <= self.rate <= 1000.0:
            raise ConfigError(f"rate must lie in 0..1000 frames a second, found {self.rate}", where="--rate")
        if not 1 <= self.max_frames <= MAX_FRAMES:
            raise ConfigError(f"max_frames must lie in 1..{MAX_FRAMES}, found {self.max_frames}", where="--max-frames")


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a captioner's words rest on in one video.

    Attributes:
        sentence: the caption, or the sentence that was asked about.
        query: its n words.
        mode: what `raw` measures.
        frames: int64 (F,), the frames that were looked at.
        seconds: float64 (F,), their times.
        raw: float32 (F, n, h, w), saliency of each cell before any scaling.
        maps: float32 (F, n, h, w) in 0..1, scaled as the settings say; zero for words the captioner does not have.
        moments: float64 (P,), times of the plan's positions in seconds.
        temporal: float32 (P, n), saliency of each position alone, all streams, before any scaling.
        word_log_probs: float32 (n,), ln p of each word given the whole video.
        concepts: effects of single concepts, and of streams; None where they were not asked for.
        view: which part of a frame the cells cover.
        size: height and width of the video.
        frame_rate: of the video.
        frame_count: of the video.
        warnings: what the user should know.
    """

    sentence: str
    query: Query
    mode: Mode
    frames: np.ndarray
    seconds: np.ndarray
    raw: np.ndarray
    maps: np.ndarray
    moments: np.ndarray
    temporal: np.ndarray
    word_log_probs: np.ndarray
    concepts: tuple[Concepts, Concepts] | None
    view: View
    size: tuple[int, int]
    frame_rate: float
    frame_count: int
    warnings: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the sentence."""
        return self.query.words

    def chart(self) -> np.ndarray:
        """When each word was driven, 0..1, float32 (P, n): comparable over time."""
        return time_chart(self.temporal, self.query.known)

    def best_frame(self, word: int) -> int:
        """The row of `frames` whose strongest cell speaks most for a word."""
        return int(self.raw[:, word].max(axis=(1, 2)).argmax())


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
                "this captioner has no encoder: it reads features, not videos", remedy="name one with --encoder ENC"
            )
        self.captioner, self.bundle, self.limits = captioner, captioner.encoders, limits
        self.scorer: SentenceScorer = scorer_of(captioner)
        self.network = MapNetwork(self.bundle, captioner.config.streams)

    def explain(
        self,
        path: str | os.PathLike[str],
        sentence: str | None = None,
        settings: ExplainSettings | None = None,
        progress: Progress | None = None,
    ) -> Explanation:
        """Explains a caption of a video.

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
        encoded = self._encode(Path(path), settings)
        positions = np.concatenate([encoded.streams[name] for name in self.captioner.config.stream_names], axis=1)
        if query is None:
            sentence = own_caption(self.captioner, positions)
            query = parse_query(sentence, self.captioner.vocabulary)
        frames = _read_frames(Path(path), settings, 2 * max(self.network.view.input_size), self.limits)
        raw = self.score_frames(frames.images, positions, query, settings, progress)
        maps = normalise(raw, settings.normalisation) * query.known[None, :, None, None]
        rate = frames.probe.frame_rate
        return Explanation(
            str(sentence),
            query,
            settings.mode,
            frames.indices,
            frames.timestamps,
            raw,
            maps.astype(np.float32),
            self.bundle.plan.keyframes(encoded.decoded) / rate,
            saliency(self.scorer, positions, query.token_ids, settings.mode, positions),
            self.scorer.log_probs(positions[None], query.token_ids)[0],
            self._concepts(positions, query) if settings.concepts else None,
            self.network.view,
            (frames.probe.height, frames.probe.width),
            rate,
            frames.decoded,
            (*query.warnings, *encoded.warnings),
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
            settings: mode, others and box are read.
            progress: told about frames as they are done.

        Returns:
            float32 (F, n, h, w).
        """
        reader = CellReader(self.network, positions.mean(axis=0), settings.others, settings.normalisation.box)
        parts = []
        for cells in reader.read(images):
            parts.append(saliency(self.scorer, cells, query.token_ids, settings.mode, positions))
            if progress is not None:
                progress(len(cells))
        return np.moveaxis(np.concatenate(parts), -1, 1)

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

    def _encode(self, path: Path, settings: ExplainSettings) -> Encoded:
        from glrg_tf.encoders.extract import Failed, encode_videos
        from glrg_tf.encoders.extract_items import VideoItem

        items = [VideoItem(str(path), path)]
        names, workers = self.captioner.config.stream_names, 1 if settings.isolated else 0
        how = {"workers": workers, "isolated": settings.isolated, "streams": names, "limits": self.limits}
        (outcome,) = encode_videos(self.bundle, items, **how)  # type: ignore[arg-type]
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome


def explain_video(
    captioner: Captioner,
    path: str | os.PathLike[str],
    sentence: str | None = None,
    settings: ExplainSettings | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """`Explainer.explain` of one video."""
    return Explainer(captioner).explain(path, sentence, settings, progress)


def _read_frames(path: Path, settings: ExplainSettings, side: int, limits: Limits | None) -> Frames:
    """The frames that are looked at, shrunk to `side` pixels."""
    from glrg_tf.video.child import Child
    from glrg_tf.video.reader import Limits, probe, read_frames

    child = Child(limits or Limits(), None) if settings.isolated else None
    with contextlib.nullcontext() if child is None else contextlib.closing(child):
        rate = (probe(path, limits) if child is None else child.probe(path, False)).frame_rate

        def select(count: int) -> np.ndarray:
            share = min(1.0, settings.rate / max(rate, 1e-6)) if settings.rate else 1.0
            return uniform_positions(count, max(1, min(math.ceil(count * share), settings.max_frames, count)))

        if child is None:
            return read_frames(path, select, max_side=side, limits=limits)
        return child.read(path, select, side)
