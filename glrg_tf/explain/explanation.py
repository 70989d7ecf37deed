"""How a video is explained, and what an explanation holds."""

from __future__ import annotations

import dataclasses

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.cells import Others
from glrg_tf.explain.concepts import Concepts
from glrg_tf.explain.normalise import Normalisation, time_chart
from glrg_tf.explain.query import Query
from glrg_tf.explain.saliency import Mode
from glrg_tf.explain.view import View

MAX_FRAMES = 4096
TOLERANCE = 1.0  # of landmarks foretold from the others; cells that are not landmarks come out ten times better


@dataclasses.dataclass(frozen=True)
class ExplainSettings:
    """How a video is explained."""

    mode: Mode = "logprob"
    rate: float = 1.5  # frames a second that are looked at, at least; 0 looks at all
    max_frames: int = 96  # most frames that are looked at, spread evenly: what keeps memory flat on long videos
    others: Others = "none"  # what a cell's descriptor holds beside the keyframe stream
    normalisation: Normalisation = Normalisation()
    isolated: bool = True  # decode in a process of its own, under limits
    concepts: bool = True  # ask about the vocabularies too
    fine: bool = False  # cells at half steps (cells.py): maps twice as fine
    tolerance: float = TOLERANCE  # nats, error that ends the scoring of cells one by one (landmarks.py); 0 scores all

    def __post_init__(self) -> None:
        """Refuses numbers that no video can be explained with."""
        if not 0.0 <= self.rate <= 1000.0:
            raise ConfigError(f"rate must lie in 0..1000 frames a second, found {self.rate}", where="--rate")
        if not 1 <= self.max_frames <= MAX_FRAMES:
            raise ConfigError(f"max_frames must lie in 1..{MAX_FRAMES}, found {self.max_frames}", where="--max-frames")
        if not 0.0 <= self.tolerance <= 100.0:
            raise ConfigError(f"tolerance must lie in 0..100 nats, found {self.tolerance}", where="tolerance")


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a captioner's words rest on in one video.

    Attributes:
        sentence: the caption, or the sentence that was asked about.
        query: its n words.
        mode: what `raw` measures.
        frames: int64 (F,), the frames that were looked at; none where no stream has a map.
        seconds: float64 (F,), their times.
        raw: float32 (F, n, h, w), saliency of each cell before any scaling; h and w are 0 without a map.
        maps: float32 (F, n, h, w) in 0..1, scaled as the settings say; zero for words the captioner does not have.
        moments: float64 (P,), times of the plan's positions in seconds; of features, their numbers.
        temporal: float32 (P, n), saliency of each position alone, all streams, before any scaling.
        word_log_probs: float32 (n,), ln p of each word given the whole video.
        concepts: effects of single concepts, and of streams; None where they were not asked for.
        view: which part of a frame the cells cover.
        size: height and width of the video; 0 and 0 where features were explained.
        frame_rate: of the video; 0 where features were explained.
        frame_count: of the video.
        warnings: what the user should know.
        scored: share of the cells that the captioner scored; the others are interpolated (landmarks.py).
        error: of that, foretold for the cells least like those before, in nats (`landmarks.Scored`).
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
    scored: float = 1.0
    error: float = 0.0

    @property
    def has_maps(self) -> bool:
        """Whether it tells where words looked, not only when and why."""
        return self.raw.size > 0

    @property
    def pooled(self) -> bool:
        """Whether there is one descriptor of features only: no moments to compare."""
        return not self.frame_rate and len(self.moments) < 2

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the sentence."""
        return self.query.words

    def chart(self) -> np.ndarray:
        """When each word was driven, 0..1, float32 (P, n): comparable over time."""
        return time_chart(self.temporal, self.query.known)

    def best_frame(self, word: int) -> int:
        """The row of `frames` whose strongest cell speaks most for a word.

        Raises:
            ConfigError: there are no maps.
        """
        self.need_maps()
        return int(self.raw[:, word].max(axis=(1, 2)).argmax())

    def need_maps(self) -> None:
        """Raises ConfigError where there is nothing to draw over frames."""
        if not self.has_maps:
            raise ConfigError(
                "this captioner cannot tell where in a frame it looked: none of its streams has a map",
                remedy="ask when and why (--chart, --concepts); a keyframe encoder would have a map",
            )
