"""Frames for an encoder's training: decoded once into memory at the network's size, or again where memory ends.

What a draw returns does not depend on whether a video is kept: frames are resized by the same products and rounded to
bytes in both cases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.resize import resize_frames
from glrg_tf.errors import DataError, VideoError
from glrg_tf.video.reader import iter_frames, probe, read_frames
from glrg_tf.video.sampling import FramePlan
from training.encoder_labels import LabelledVideo

_RESIZED_AT_ONCE = 16  # frames; bounds the float copies of large pictures


@dataclasses.dataclass
class _Entry:
    video: LabelledVideo
    first: int  # frame of the file where the clip begins
    count: int  # frames of the clip
    rate: float  # frames a second
    images: np.ndarray | None = None  # uint8 (count, h, w, 3) where kept


class FrameSource:
    """The frames of labelled videos.

    Args:
        videos: the videos.
        spec: input size and fit of the network.
        memory: bytes of decoded frames that may be kept.
        workers: threads that decode.

    Attributes:
        failed: videos that could not be read, with the reason; they are left out.
    """

    def __init__(self, videos: Sequence[LabelledVideo], spec: StreamSpec, memory: int, workers: int) -> None:
        self._spec, self._workers, self._resize = spec, workers, byte_resizer(spec)
        self.failed: list[tuple[str, VideoError]] = []
        self._entries: list[_Entry] = []
        self._videos, self._memory = list(videos), memory

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(entry.count for entry in self._entries)

    @property
    def kept(self) -> int:
        """Videos whose frames are in memory."""
        return sum(entry.images is not None for entry in self._entries)

    def prepare(self, progress: Callable[[int], object] | None = None) -> FrameSource:
        """Counts the frames of every video and decodes, in the order given, as many as memory allows.

        Args:
            progress: called with the number of videos just done.

        Raises:
            DataError: no video could be read.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            looked = list(pool.map(self._look, self._videos))
            entries = [entry for entry in looked if entry is not None]
            left, height_width = self._memory, self._spec.input_size[0] * self._spec.input_size[1]
            keep = []
            for entry in entries:
                size = entry.count * height_width * 3
                keep.append(size <= left)
                left -= size if keep[-1] else 0
            done = pool.map(lambda pair: self._decode(*pair), zip(entries, keep, strict=True))
            for entry, sound in zip(entries, done, strict=True):
                if sound:
                    self._entries.append(entry)
                if progress is not None:
                    progress(1)
        if self._videos and not self._entries:
            name, error = self.failed[0]
            raise DataError(f"no video could be read: {error.what}", where=name, remedy=error.remedy)
        return self

    def frame_count(self, number: int) -> int:
        """Frames of video `number`."""
        return self._entries[number].count

    def clip(self, number: int, frames: np.ndarray) -> np.ndarray:
        """Frames of a video: int64 (...) within its clip -> uint8 (..., h, w, 3).

        Raises:
            VideoError: a video that is not in memory can no longer be read.
        """
        entry = self._entries[number]
        if entry.images is not None:
            return entry.images[np.minimum(frames, entry.count - 1)]
        wanted = entry.first + frames

        def select(total: int) -> np.ndarray:
            return np.unique(np.minimum(wanted, total - 1))

        read = read_frames(entry.video.path, select)
        unique, places = np.unique(np.minimum(wanted, read.decoded - 1), return_inverse=True)
        return self._resize(read.at(unique))[places.reshape(wanted.shape)]

    def targets(self, number: int, frames: np.ndarray) -> np.ndarray:
        """Labels of a video at frames (n,): float32 (n, D)."""
        entry = self._entries[number]
        return entry.video.targets(frames, entry.rate, self._spec.width)

    def _look(self, video: LabelledVideo) -> _Entry | None:
        try:
            seen = probe(video.path)
        except VideoError as error:
            self.failed.append((video.id, error))
            return None
        first = min(round((video.start or 0.0) * seen.frame_rate), max(seen.frames - 1, 0))
        last = seen.frames if video.end is None else min(seen.frames, round(video.end * seen.frame_rate))
        return _Entry(video, first, max(last - first, 1), seen.frame_rate)

    def _decode(self, entry: _Entry, keep: bool) -> bool:
        if not keep:
            return True
        parts: list[np.ndarray] = []
        waiting: list[np.ndarray] = []
        try:
            for index, _, image in iter_frames(entry.video.path):
                if index >= entry.first + entry.count:
                    break
                if index >= entry.first:
                    waiting.append(image)
                if len(waiting) == _RESIZED_AT_ONCE:
                    parts.append(self._resize(np.stack(waiting)))
                    waiting.clear()
        except VideoError as error:
            self.failed.append((entry.video.id, error))
            return False
        if waiting:
            parts.append(self._resize(np.stack(waiting)))
        if not parts:
            self.failed.append((entry.video.id, VideoError("no frame of the clip", where=entry.video.path)))
            return False
        entry.images = np.concatenate(parts)
        entry.count = len(entry.images)
        return True


def byte_resizer(spec: StreamSpec) -> Callable[[np.ndarray], np.ndarray]:
    """A function uint8 (n, H, W, 3) -> uint8 (n, h, w, 3), for any H and W.

    Compiled, and not NumPy's: the threads of NumPy's matrix library wait for each other where cores are busy.
    """

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)], autograph=False)
    def resize(images: tf.Tensor) -> tf.Tensor:
        small = tf.round(resize_frames(images, spec.input_size, spec.fit))
        return tf.cast(tf.clip_by_value(small, 0.0, 255.0), tf.uint8)

    return lambda images: resize(images).numpy()


@dataclasses.dataclass(frozen=True)
class Batch:
    """Positions of a step."""

    clips: np.ndarray  # uint8 (N, k, h, w, 3)
    targets: np.ndarray  # float32 (N, D)


@dataclasses.dataclass(frozen=True)
class Draws:
    """The random positions of an epoch: a pure function of (seed, epoch), whatever was drawn before.

    Args:
        source: prepared videos.
        plan: the frames around a key frame.
        spec: the network's stream.
        batch_size: positions a step.
        draws: positions of each video an epoch.
        shift: share of a side by which clips move.
        flip: whether half of the clips are mirrored.
        seed: of everything.
        places: of a batch that are built here, None for all; the draws do not depend on them.
    """

    source: FrameSource
    plan: FramePlan
    spec: StreamSpec
    batch_size: int
    draws: int
    shift: float
    flip: bool
    seed: int
    places: slice | None = None

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last one is filled up from its beginning."""
        return -(-len(self.source) * self.draws // self.batch_size)

    def epoch(self, epoch: int, first: int = 0, workers: int = 2) -> Iterator[Batch]:
        """The steps of an epoch from step `first` on, built ahead of time on threads."""
        order = np.random.default_rng([self.seed, epoch]).permutation(
            np.repeat(np.arange(len(self.source)), self.draws)
        )
        order = np.resize(order, self.steps * self.batch_size).reshape(self.steps, self.batch_size)
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(workers) as pool:
            numbers = range(first, self.steps)
            waiting = [ahead.submit(self.batch, order[n], epoch, n, pool) for n in numbers[:2]]
            for place in range(len(numbers)):
                batch = waiting.pop(0).result()
                if place + 2 < len(numbers):
                    later = numbers[place + 2]
                    waiting.append(ahead.submit(self.batch, order[later], epoch, later, pool))
                yield batch

    def batch(self, videos: np.ndarray, epoch: int, number: int, pool: ThreadPoolExecutor) -> Batch:
        """One step: random key frames (and n, for the long range) of the given videos."""
        rng = np.random.default_rng([self.seed, epoch, number])
        rows = [self.plan.draw(self.spec.plan, self.source.frame_count(v), rng, 1)[0] for v in videos]
        moves = draw_moves(rng, len(videos), self.shift, self.flip)
        mine = self.places or slice(None)
        videos, rows, moves = videos[mine], rows[mine], moves[mine]
        middle = [row[1] if self.spec.plan == "long_range" else self._keyframe(row) for row in rows]
        clips = np.stack(list(pool.map(self.source.clip, videos, rows)))
        targets = np.concatenate([self.source.targets(v, np.array([t])) for v, t in zip(videos, middle, strict=True)])
        return Batch(augment(clips, moves), targets)

    def _keyframe(self, row: np.ndarray) -> int:
        """The key frame of drawn frames; their middle, for an even number of them lies around it."""
        return int(row[(len(row) - 1) // 2])


def draw_moves(rng: np.random.Generator, count: int, shift: float, flip: bool) -> np.ndarray:
    """How each of `count` clips is augmented: float64 (count, 3), shares of the sides to move by, and 1 to mirror.

    Args:
        rng: the source of chance.
        count: clips.
        shift: largest share of a side.
        flip: whether to mirror half of them.
    """
    shares = rng.uniform(-shift, shift, (count, 2))
    mirrored = rng.random(count) < 0.5
    return np.column_stack([shares, mirrored & flip])


def augment(clips: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Moves each clip by a share of its sides (edges repeated) and mirrors some.

    Args:
        clips: uint8 (N, k, h, w, 3).
        moves: of `draw_moves` (N, 3).
    """
    height, width = clips.shape[2:4]
    result = np.empty_like(clips)
    for number, (down, right) in enumerate(np.rint(moves[:, :2] * (height, width)).astype(np.int64)):
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        columns = columns[::-1] if moves[number, 2] else columns
        result[number] = clips[number][:, rows[:, None], columns[None, :]]
    return result


def fixed_batches(
    source: FrameSource, plan: FramePlan, spec: StreamSpec, batch_size: int, videos: Sequence[int]
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Every position of the plan in some videos, for validation: batches, and the number of the video of each row."""
    clips, targets, owners = [], [], []
    for number in videos:
        rows = plan.frames_of(spec.plan, source.frame_count(number))
        clips.append(source.clip(number, rows))
        targets.append(source.targets(number, plan.keyframes(source.frame_count(number))))
        owners.append(np.full(len(rows), number))
        if sum(map(len, clips)) >= batch_size or number == videos[-1]:
            yield Batch(np.concatenate(clips), np.concatenate(targets)), np.concatenate(owners)
            clips, targets, owners = [], [], []
