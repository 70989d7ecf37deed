"""Compares artefacts that read frames with the way `glrg caption` goes: frames picked in NumPy, encoders, `generate`.

The probes differ in number of videos, frames and size, because all of these are dynamic: one frame, fewer frames than
the plan looks at, upright and lying pictures, smaller and larger than the encoders' input.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Sequence

import numpy as np

from export.parity import Agreement, Reference, check_batch, check_best_batch, run_whole
from export.probes import Probes
from export.runners import Run
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.extract_items import list_videos
from glrg_tf.errors import DataError, VideoError
from glrg_tf.video.reader import read_frames

# Networks of many layers stand before the decoder: their rounding comes on top of its own.
TOLERANCE = 2e-4
_REAL_VIDEOS, _REAL_FRAMES, _REAL_SIDE = 4, 64, 192
_SHAPES = ((1, 1, 40, 56), (2, 7, 48, 48), (1, 60, 150, 110), (3, 33, 64, 96))  # videos, frames, height, width


def check_hypotheses(
    name: str, run: Run, captioner: VideoCaptioner, bundle: EncoderBundle, beam: int, real: Sequence[np.ndarray] = ()
) -> Agreement:
    """Compares an artefact that gives all K hypotheses (see `parity.check_hypotheses`), on `real` frames too.

    Raises:
        ExportError: it differs on some frames.
    """
    return _compare(check_batch, name, run, captioner, bundle, beam, real)


def check_best(
    name: str, run: Run, captioner: VideoCaptioner, bundle: EncoderBundle, beam: int, real: Sequence[np.ndarray] = ()
) -> Agreement:
    """Compares an artefact that gives one caption a video (see `parity.check_best`), on `real` frames too.

    Raises:
        ExportError: it differs on some frames.
    """
    return _compare(check_best_batch, name, run, captioner, bundle, beam, real)


@functools.cache
def probe_frames() -> tuple[np.ndarray, ...]:
    """uint8 arrays (B, F, H, W, 3): drifting colours with noise, and one black and one white video."""
    rng = np.random.default_rng(4)
    made = []
    for videos, frames, height, width in _SHAPES:
        rows, columns = np.mgrid[0:height, 0:width]
        time = np.arange(frames)[:, None, None, None]
        waves = rng.uniform(0.02, 0.2, (videos, 3, 3))
        clips = []
        for wave in waves:
            phase = rows[None, :, :, None] * wave[0] + columns[None, :, :, None] * wave[1] + time * wave[2]
            clips.append(127 + 90 * np.sin(phase + wave[0] * 40) + rng.normal(0, 12, (frames, height, width, 3)))
        made.append(np.clip(np.stack(clips), 0, 255).astype(np.uint8))
    made[1][0], made[1][1] = 0, 255
    return tuple(made)


def real_frames(dataset: str | os.PathLike[str], ids: Collection[str]) -> list[np.ndarray]:
    """The first frames of a few videos of a data set: uint8 (1, F, H, W, 3) each; none where it has no files."""
    try:
        items = [item for item in list_videos(dataset) if item.id in ids]
    except DataError:
        return []
    found: list[np.ndarray] = []
    for item in items:
        with contextlib.suppress(VideoError):  # a file that cannot be read is told by `glrg data verify`
            frames = read_frames(item.path, lambda count: np.arange(min(count, _REAL_FRAMES)), max_side=_REAL_SIDE)
            found.append(frames.images[None])
        if len(found) == _REAL_VIDEOS:
            break
    return found


def encode(captioner: VideoCaptioner, bundle: EncoderBundle, frames: np.ndarray) -> np.ndarray:
    """Features float32 (B, D) of frames uint8 (B, F, H, W, 3), without the exported graph."""
    rows = []
    for video in frames:
        picked = {plan: video[bundle.plan.frames_of(plan, len(video))] for plan in bundle.plans}
        streams = bundle.encode(picked)
        rows.append(np.concatenate([streams[name].mean(axis=0) for name in captioner.config.stream_names]))
    return np.stack(rows).astype(np.float32)


def _compare(
    check: Callable[[str, dict[str, np.ndarray], Reference, float], Agreement],
    name: str,
    run: Run,
    captioner: VideoCaptioner,
    bundle: EncoderBundle,
    beam: int,
    real: Sequence[np.ndarray],
) -> Agreement:
    found = []
    for frames in (*probe_frames(), *real):
        probes = Probes(encode(captioner, bundle, frames), ("frames",) * len(frames))
        reference = Reference(captioner, probes, beam)
        found.append(check(f"{name}, frames {frames.shape}", run_whole(run, frames), reference, TOLERANCE))
    return Agreement(
        name,
        sum(agreement.videos for agreement in found),
        sum(agreement.captions for agreement in found),
        {"frames": ties} if (ties := sum(sum(agreement.ties.values()) for agreement in found)) else {},
        max(agreement.log_prob_difference for agreement in found),
        max(agreement.score_difference for agreement in found),
    )
