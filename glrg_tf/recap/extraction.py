"""Features of the clips of long videos on disk, for training: what `glrg recap train --features` reads.

    FEATURES/
      features.json      streams with their widths, the encoder's fingerprint, the clip length
      dense/<id>.npy     float16 (clips, positions, D), the streams side by side; written whole or not at all
      encoder/           the encoder, with the number of positions that were looked at

A video that has its file is not looked at again.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError, DataError, VideoError
from glrg_tf.io import atomic, documents, npy
from glrg_tf.recap import frames
from glrg_tf.recap.hierarchy import Hierarchy

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.extract_items import VideoItem

ABOUT, DENSE, ENCODER = "features.json", "dense", "encoder"

Progress = Callable[[str, int, int], object]  # id of the video, clips just done (0 to begin), clips of it


@dataclasses.dataclass
class ExtractionReport:
    """What an extraction did."""

    extracted: list[str] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)  # were there before
    failed: list[tuple[str, DataError]] = dataclasses.field(default_factory=list)


def extract_clips(
    encoder: EncoderBundle,
    items: Sequence[VideoItem],
    out: Path,
    hierarchy: Hierarchy,
    progress: Progress | None = None,
) -> ExtractionReport:
    """Looks at every clip of every video.

    Args:
        encoder: its plan says how many positions of a clip are looked at.
        items: whole videos.
        out: the folder of features; what it has of the same encoder is kept.
        hierarchy: how long clips are.
        progress: told when a video begins and after every clip.

    Raises:
        ConfigError: the folder is of another encoder or clip length.
        DataError: two videos whose features would be one file.
    """
    files = {item.id: f"{Path(item.id).name}.npy" for item in items}
    if twice := [name for name, count in Counter(files.values()).items() if count > 1]:
        what = f"{' and '.join(name for name, file in files.items() if file == twice[0])} would both be {twice[0]}"
        raise DataError(what, where=out / DENSE, remedy="give them ids of their own, in a dataset or a .jsonl list")
    about = {
        "streams": [list(stream) for stream in encoder.widths],
        "encoder": encoder.fingerprint,
        "positions": encoder.plan.positions,
        "clip_seconds": hierarchy.clip_seconds,
        "rest_parts": hierarchy.rest_parts,
    }
    _check(out / ABOUT, about)
    if not (out / ENCODER).exists():
        encoder.save(out / ENCODER)
    report = ExtractionReport()
    for item in items:
        file = out / DENSE / files[item.id]
        if file.is_file():
            report.kept.append(item.id)
            continue
        try:
            if item.start is not None or item.end is not None:
                raise VideoError("a part of a video, not a whole one", where=item.path, remedy="cut it out first")
            npy.write_npy(file, dense_features(encoder, item, hierarchy, progress))
            report.extracted.append(item.id)
        except DataError as error:
            report.failed.append((item.id, error))
    return report


def dense_features(
    encoder: EncoderBundle, item: VideoItem, hierarchy: Hierarchy, progress: Progress | None = None
) -> NDArray[np.float16]:
    """Every clip of a video as float16 (clips, positions, D).

    Raises:
        VideoError: the video cannot be read.
    """
    timeline = frames.look(item.path, hierarchy)
    total, names = len(timeline.windows), [name for name, _ in encoder.widths]
    if progress is not None:
        progress(item.id, 0, total)
    stream = frames.clip_frames(timeline, encoder.plan, encoder.plans, max_side=encoder.max_side)
    features = np.zeros((total, encoder.plan.positions, encoder.config.width), np.float16)
    for clip in itertools.islice(stream, total):
        # One clip after the other, as a captioner of long video looks at them: the same numbers to the last bit.
        streams = encoder.encode(clip.clips)
        features[clip.index] = np.concatenate([streams[name] for name in names], axis=1)
        if progress is not None:
            progress(item.id, 1, total)
    return features


def with_positions(encoder: EncoderBundle, positions: int | None) -> EncoderBundle:
    """The encoder looking at another number of positions of a clip; itself without a number."""
    from glrg_tf.encoders.bundle import EncoderBundle

    if positions is None or positions == encoder.plan.positions:
        return encoder
    plan = dataclasses.replace(encoder.plan, positions=positions)
    return EncoderBundle(plan, encoder.streams, encoder.extra)


def _check(file: Path, about: dict[str, object]) -> None:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(file, about)
        return
    found = documents.read_json(file, max_bytes=2**20)
    found = found if isinstance(found, dict) else {}
    differing = sorted(key for key, value in about.items() if found.get(key) != value)
    if differing:
        what = f"the features here differ in {', '.join(differing)}"
        raise ConfigError(what, where=file.parent, remedy="use the same encoder and clip length, or another --out")
