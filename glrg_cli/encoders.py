"""Finds the encoder that a command line names: an encoder folder or config, a captioner that carries one, a preset."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from glrg_tf.errors import CheckpointError

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

DEFAULT = "world-nano"  # the captioner that comes with the program, with its encoder


def open_encoder(source: str) -> EncoderBundle:
    """The encoder behind a name.

    Args:
        source: an encoder folder, a config file, a captioner or run folder with an encoder, or a preset of either.

    Raises:
        CheckpointError: nothing of that name, a captioner without encoder, or a damaged folder.
        ConfigError: a config file that is wrong.
    """
    from glrg_tf.captioner.locate import resolve
    from glrg_tf.captioner.video_input import find_encoder
    from glrg_tf.encoders.bundle import EncoderBundle

    path = pathlib.Path(source)
    if path.is_file() or (path / "encoder.json").is_file() or has_random_weights(source):
        return EncoderBundle.load(source)
    try:
        folder = find_encoder(path) or find_encoder(resolve(source))
    except CheckpointError as error:
        near = error.remedy if error.remedy and error.remedy.startswith("did you mean") else None
        raise CheckpointError(
            "no encoder there" if path.exists() else "no such encoder",
            where=source,
            remedy=near or "name an encoder folder, a config file, a captioner that carries one, or a preset",
        ) from error
    if folder is None:
        raise CheckpointError("this captioner carries no encoder", where=source, remedy="name the encoder itself")
    return EncoderBundle.load(folder)


def has_random_weights(source: str) -> bool:
    """Whether a name is that of an encoder's sizes only, which nobody has trained."""
    from glrg_tf.encoders.presets import PRESETS

    return source in PRESETS and not pathlib.Path(source).exists()
