"""Videos in, three vocabularies out: decoders work ahead, the networks run on batches filled across videos.

A batch holds a fixed number of consecutive videos of the list, a bad file leaving its place empty. So the numbers of a
video depend on the list alone: not on how many decoders there are, nor on where an earlier run was killed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.encoders.extract_clips import Clips, DecodePlan
from glrg_tf.encoders.extract_items import VideoItem, list_videos
from glrg_tf.encoders.extract_pool import Answer, DecodePool, default_workers
from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video.reader import Limits

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

__all__ = ["Encoded", "Failed", "VideoItem", "default_workers", "encode_groups", "encode_videos", "list_videos"]

GROUP = 4  # videos that pass the networks together


@dataclasses.dataclass(frozen=True)
class Encoded:
    """One video as its encoders see it.

    Attributes:
        item: which one.
        streams: by name, float32 (P, D), probabilities at each position.
        expected: frames the file says it has.
        decoded: frames it gave.
        used: frames that were looked at.
        warnings: what the user should know of the file.
    """

    item: VideoItem
    streams: dict[str, np.ndarray]
    expected: int
    decoded: int
    used: int
    warnings: tuple[str, ...] = ()

    def pooled(self, names: Sequence[str]) -> np.ndarray:
        """Means over positions, the named streams side by side: float32 (ΣD,)."""
        return np.concatenate([pool_positions(self.streams[name])[0] for name in names])


@dataclasses.dataclass(frozen=True)
class Failed:
    """One video that could not be read."""

    item: VideoItem
    error: VideoError


Outcome = Encoded | Failed


def encode_videos(
    bundle: EncoderBundle,
    items: Sequence[VideoItem],
    *,
    workers: int | None = None,
    isolated: bool = True,
    progress: Callable[[Outcome], None] | None = None,
    streams: Sequence[str] | None = None,
    group: int = 1,
    limits: Limits | None = None,
) -> Iterator[Outcome]:
    """Decodes and encodes videos, one after the other in the order of `items`, as they are ready.

    Args:
        bundle: the encoders.
        items: the videos.
        workers: decoders that work ahead; 0 decodes when asked; None takes one a core.
        isolated: whether decoders are processes of their own, under limits; False for files that are trusted.
        progress: told every outcome before it is yielded.
        streams: names of those wanted; all of the bundle's by default.
        group: videos that pass the networks together: 1 gives each result as soon as it can be had.
        limits: what one file may cost.

    Raises:
        ConfigError: a stream that the bundle does not have.
    """
    groups = [items[start : start + group] for start in range(0, len(items), group)]
    for outcomes in encode_groups(
        bundle, groups, size=group, workers=workers, isolated=isolated, streams=streams, limits=limits
    ):
        for outcome in outcomes:
            if progress is not None:
                progress(outcome)
            yield outcome


def encode_groups(
    bundle: EncoderBundle,
    groups: Sequence[Sequence[VideoItem]],
    *,
    size: int = GROUP,
    workers: int | None = None,
    isolated: bool = True,
    streams: Sequence[str] | None = None,
    limits: Limits | None = None,
) -> Iterator[list[Outcome]]:
    """`encode_videos` in whole groups of at most `size` videos, each group one batch of its own."""
    names = check_streams(bundle, streams)
    items = [item for group in groups for item in group]
    count = min(default_workers() if workers is None else workers, max(len(items), 1))
    limits = limits or Limits()
    if count > 1 and limits.threads == 0:
        limits = dataclasses.replace(limits, threads=1)  # the decoders share the cores already
    plan = DecodePlan.of(bundle.plan, [bundle.streams[name].spec for name in names], limits)
    with DecodePool(plan, count, isolated=isolated) as pool:
        answers = pool.map(items)
        for group in groups:
            yield encode_group(bundle, plan, group, [next(answers) for _ in group], size)


def encode_group(
    bundle: EncoderBundle, plan: DecodePlan, group: Sequence[VideoItem], answers: Sequence[Answer], size: int
) -> list[Outcome]:
    """Runs the networks over one group.

    Args:
        bundle: the encoders.
        plan: what was decoded.
        group: at most `size` videos.
        answers: their clips, or why there are none.
        size: videos of a batch: missing ones are black, so that every batch has one shape.
    """
    whole = [place for place, answer in enumerate(answers) if isinstance(answer, Clips)]
    values: dict[str, np.ndarray] = {}
    for need in plan.needs if whole else ():
        positions, frames = plan.plan.frames_of(need.plan, 1).shape
        batch = np.zeros((size, positions, frames, *need.input_size, 3), np.float32)
        for place in whole:
            clips = answers[place]
            if isinstance(clips, Clips):
                batch[place] = clips.of(need)
        encoded = bundle.streams[need.name].encode(batch.reshape(-1, *batch.shape[2:]))
        values[need.name] = encoded.reshape(size, positions, -1)
    outcomes: list[Outcome] = []
    for place, (item, answer) in enumerate(zip(group, answers, strict=True)):
        if isinstance(answer, VideoError):
            outcomes.append(Failed(item, answer))
            continue
        found = {name: value[place] for name, value in values.items()}
        outcomes.append(Encoded(item, found, answer.expected, answer.decoded, answer.used, answer.warnings))
    return outcomes


def check_streams(bundle: EncoderBundle, streams: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the streams to compute, in the order asked for.

    Raises:
        ConfigError: a stream that the bundle does not have.
    """
    if streams is None:
        return tuple(bundle.streams)
    for name in streams:
        if name not in bundle.streams:
            known = ", ".join(bundle.streams)
            raise ConfigError(f"the encoder has no stream '{name}'", where="encoder", remedy=f"it has: {known}")
    return tuple(streams)


def pool_positions(values: np.ndarray) -> np.ndarray:
    """Mean over positions, as the feature store pools: float32 (P, D) -> (1, D)."""
    return values.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
