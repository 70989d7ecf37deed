"""From video files to a captioner's features: which encoder belongs to it, and whether the two fit.

A captioner folder may hold its encoder (`CAPTIONER/encoder/`). The checkpoints of a run share the one of the run
(`RUN/encoder/`): it does not change while the captioner trains.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

ENCODER = "encoder"  # folder of the encoder inside a captioner or a run
_DESCRIPTION = "encoder.json"

Videos = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def find_encoder(folder: Path) -> Path | None:
    """The encoder folder of a captioner folder: its own, else that of the run whose checkpoint it is."""
    candidates = [folder]
    place = folder.resolve()
    if place.parent.name == "checkpoints":
        run = place.parent.parent
        candidates += [run] + ([run.parent.parent] if run.parent.name == "phases" else [])
    return next((place / ENCODER for place in candidates if (place / ENCODER / _DESCRIPTION).is_file()), None)


def check_encoder(config: CaptionerConfig, widths: Mapping[str, int]) -> None:
    """Checks that an encoder gives every stream the captioner reads, in the width it reads.

    Raises:
        ConfigError: a stream is missing or of another width.
    """
    for name, width in config.streams:
        if widths.get(name) != width:
            given = ", ".join(f"{stream} {size}" for stream, size in widths.items())
            raise ConfigError(
                f"the captioner reads stream '{name}' of width {width}, the encoder gives {given}",
                where="encoder",
                remedy="use the encoder that the captioner's features were extracted with",
            )


def are_videos(value: Any) -> bool:
    """Whether `value` is a path or a sequence of paths, not an array of features."""
    if isinstance(value, str | os.PathLike):
        return True
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], str | os.PathLike)


def encode_paths(bundle: EncoderBundle, config: CaptionerConfig, videos: Videos) -> np.ndarray:
    """Decodes and encodes video files: float32 (N, D), the captioner's streams side by side, pooled over positions.

    Raises:
        VideoError: the first video that cannot be read.
    """
    from glrg_tf.encoders.extract import Failed, encode_videos
    from glrg_tf.encoders.extract_items import VideoItem

    paths = [videos] if isinstance(videos, str | os.PathLike) else videos
    items = [VideoItem(str(number), Path(path)) for number, path in enumerate(paths)]
    rows = []
    for outcome in encode_videos(bundle, items, workers=0, isolated=False, streams=config.stream_names):
        if isinstance(outcome, Failed):
            raise outcome.error
        rows.append(outcome.pooled(config.stream_names))
    return np.stack(rows)
