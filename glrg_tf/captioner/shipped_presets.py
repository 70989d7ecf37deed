"""Captioners that come with the library, in the folder glrg_tf/presets/: `world-nano`, for the sample world.

`python -m benchmarks.world_nano` makes it; its model card tells what it was trained on and how it scores.
"""

from __future__ import annotations

from pathlib import Path

from glrg_tf.errors import CheckpointError

NAMES = ("world-nano",)
_FOLDER = Path(__file__).resolve().parents[1] / "presets"


def resolve(name: str) -> Path:
    """The folder of a shipped captioner.

    Raises:
        CheckpointError: this installation lacks it.
    """
    folder = _FOLDER / name
    if not (folder / "model.weights.h5").is_file():
        raise CheckpointError(
            f"'{name}' is not part of this installation",
            where=folder,
            remedy="install the package whole, or make it: python -m benchmarks.world_nano",
        )
    return folder
