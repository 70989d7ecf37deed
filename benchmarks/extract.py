"""Extraction beside the two things it cannot avoid: decoding the videos, and running the networks on their frames.

- `extract_serial`: all in one process, one after the other; what the plumbing between the two costs.
- `extract`: as `glrg extract` does it with one decoding process: the networks run while the next video is decoded.
- `extract_workers`: two decoding processes against one.

The plain form of the first two is decoding alone plus the networks alone, measured in the same run; the work is done
with one thread a decoder, so that machines and numbers of workers can be compared.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.case import Case, Options
from benchmarks.material import Material
from benchmarks.timing import clock
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.extract import GROUP, VideoItem, encode_group
from glrg_tf.encoders.extract_clips import Clips, DecodePlan
from glrg_tf.encoders.extract_file import extract
from glrg_tf.encoders.extract_pool import DecodePool
from glrg_tf.encoders.presets import preset
from glrg_tf.video.reader import Limits
from glrg_tf.video.writer import write_video

_SIZE, _FRAMES, _RATE = (240, 320), 200, 25  # of a video: height and width, frames, frames a second
_WORKERS = {"extract_serial": 0, "extract": 1, "extract_workers": 2}


def build(options: Options, _: Material) -> Case:
    """The case of one entry; `options.batch` videos are made in the scratch folder."""
    folder = Path(options.folder or tempfile.mkdtemp(prefix="glrg-bench-"))
    items, bundle = make_videos(folder / "videos", options.batch), nano_bundle()
    plan = DecodePlan.of(bundle.plan, [stream.spec for stream in bundle.streams.values()], Limits(threads=1))
    workers = _WORKERS[options.name]
    numbers = itertools.count()

    def run(count: int) -> Callable[[], object]:
        def extract_all() -> object:
            out = folder / f"{options.name}{next(numbers)}.h5"
            return extract(bundle, items, out, workers=count, isolated=count > 0)

        return extract_all

    parts = _Parts(bundle, plan, items)
    if options.name == "extract_workers":
        return Case(run(workers), lambda: run(1), extra=lambda: {"videos": len(items)})
    return Case(run(workers), lambda: parts.both, extra=lambda: {"videos": len(items), **parts.seconds})


@functools.cache
def nano_bundle() -> EncoderBundle:
    """The three small encoders with random weights: the arithmetic is the same."""
    return EncoderBundle.from_config(preset("nano"))


def make_videos(folder: Path, count: int) -> list[VideoItem]:
    """`count` videos of a textured ground that drifts, 8 seconds of 320x240 each; made once."""
    generator = np.random.default_rng(1)
    items = []
    for number in range(count):
        path = folder / f"video{number:03d}.mp4"
        if not path.is_file():
            coarse = generator.integers(0, 256, (40, 60, 3)).astype(np.uint8)
            ground = np.kron(coarse, np.ones((12, 12, 1), np.uint8))
            write_video(path, (_view(ground, time) for time in range(_FRAMES)), _RATE)
        items.append(VideoItem(path.stem, path))
    return items


def _view(ground: np.ndarray, time: int) -> np.ndarray:
    top, left = time % (ground.shape[0] - _SIZE[0]), (2 * time) % (ground.shape[1] - _SIZE[1])
    return np.ascontiguousarray(ground[top : top + _SIZE[0], left : left + _SIZE[1]])


class _Parts:
    """Decoding alone and the networks alone."""

    def __init__(self, bundle: EncoderBundle, plan: DecodePlan, items: list[VideoItem]) -> None:
        self._bundle, self._plan, self._items = bundle, plan, items
        self._clips: list[Clips] = []
        self.seconds: dict[str, float] = {}

    def both(self) -> None:
        """Runs one, then the other, and keeps the best time of each."""
        for name, work in (("decode_s", self._decode), ("forward_s", self._forward)):
            taken = clock(work).minimum
            self.seconds[name] = min(taken, self.seconds.get(name, taken))

    def _decode(self) -> None:
        with DecodePool(self._plan, 0, isolated=False) as pool:
            self._clips = [clips for clips in pool.map(self._items) if isinstance(clips, Clips)]

    def _forward(self) -> None:
        for start in range(0, len(self._items), GROUP):
            group = slice(start, start + GROUP)
            encode_group(self._bundle, self._plan, self._items[group], self._clips[group], GROUP)
