"""Training batches as a pure function of (seed, step): any step can be reproduced without those before it.

Videos form an endless stream, one permutation an epoch; a batch is B consecutive videos of it, so every batch is full
and the one at an epoch's end continues into the next permutation (as the release's loader does). A video's captions
and their consensus scores are drawn once, by the same indices (the release drew them apart on MSVD; specs section 15).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glrg_tf.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf


class Batch(NamedTuple):
    """One training batch."""

    features: np.ndarray  # float32 (B, D)
    token_ids: np.ndarray  # int32 (B, G, L), label rows: <start>, words, 0, ...
    consensus: np.ndarray  # float32 (B, G), m(S) of each caption
    video_rows: np.ndarray  # int32 (B,), row of the video in the training split


@dataclasses.dataclass(frozen=True)
class CaptionBatches:
    """The endless stream of batches of one split.

    Args:
        read_features: rows int (B,) -> float32 (B, D).
        token_ids: per video, int32 (n_i, L) label rows, n_i >= 1.
        consensus: per video, float (n_i,) scores of those captions.
        batch_size: B; larger than the number of videos means all of them.
        captions_per_video: G; more are subsampled at random, fewer are filled up with random repeats.
        seed: of the order and of the draws.
    """

    read_features: Callable[[np.ndarray], np.ndarray]
    token_ids: Sequence[np.ndarray]
    consensus: Sequence[np.ndarray]
    batch_size: int
    captions_per_video: int
    seed: int

    def __post_init__(self) -> None:
        """Refuses an empty split and captions that do not match their scores."""
        if not self.token_ids:
            raise DataError("the training split has no videos", remedy="check the splits with `glrg data verify`")
        for row, (ids, scores) in enumerate(zip(self.token_ids, self.consensus, strict=True)):
            if not len(ids) or len(ids) != len(scores):
                raise DataError(
                    f"{len(ids)} captions but {len(scores)} consensus scores", where=f"training video {row}"
                )
        object.__setattr__(self, "batch_size", min(self.batch_size, len(self.token_ids)))

    @property
    def steps_per_epoch(self) -> int:
        """Batches that cover every video once (the last one runs into the next epoch)."""
        return -(-len(self.token_ids) // self.batch_size)

    def batch(self, step: int) -> Batch:
        """The batch of global step `step`, counted from 0."""
        videos = len(self.token_ids)
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        rows = np.empty(self.batch_size, np.int32)
        for epoch in np.unique(places // videos):
            inside = places // videos == epoch
            order = np.random.default_rng([self.seed, int(epoch)]).permutation(videos)
            rows[inside] = order[places[inside] % videos]
        chooser = np.random.default_rng([self.seed, 1, step])
        picks = [self._pick(chooser, len(self.token_ids[row])) for row in rows]
        return Batch(
            np.asarray(self.read_features(rows), np.float32),
            np.stack([self.token_ids[row][pick] for row, pick in zip(rows, picks, strict=True)]).astype(np.int32),
            np.stack([self.consensus[row][pick] for row, pick in zip(rows, picks, strict=True)]).astype(np.float32),
            rows,
        )

    def dataset(self, first_step: int, steps: int) -> tf.data.Dataset:
        """Batches of `steps` global steps from `first_step` as a prefetching tf.data pipeline."""
        import tensorflow as tf

        def generate() -> Iterator[Batch]:
            for step in range(first_step, first_step + steps):
                yield self.batch(step)

        return tf.data.Dataset.from_generator(generate, output_signature=self.signature()).prefetch(2)

    def signature(self) -> Any:
        """The batch as tensor specifications, for any number of videos."""
        import tensorflow as tf

        return Batch(*(tf.TensorSpec([None, *x.shape[1:]], tf.as_dtype(x.dtype)) for x in self.batch(0)))

    def _pick(self, chooser: np.random.Generator, captions: int) -> np.ndarray:
        wanted = self.captions_per_video
        if captions == wanted:
            return np.arange(wanted)
        if captions > wanted:
            return np.sort(chooser.choice(captions, wanted, replace=False))
        return np.concatenate([np.arange(captions), chooser.integers(0, captions, wanted - captions)])
