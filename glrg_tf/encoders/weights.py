"""The published weights of torchvision's backbones: where they are, and how they come to this machine.

What is known of them: torchvision names every file after the first eight hex digits of its sha256, and nobody
publishes the rest. A download must begin with those digits; its whole sha256 is then recorded in `downloads.json` in
the cache and enforced from then on. Files stay in `<cache>/torchvision`; one that is there is used without a network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glrg_tf.data.download import ReleaseFile, download
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io.cache import cache_folder

SOURCE = "https://download.pytorch.org/models"
_SLACK = 0.05  # of a size that is published in rounded megabytes


@dataclass(frozen=True)
class PublicWeights:
    """One published file.

    Attributes:
        name: what it is called here.
        arch: architecture it belongs to.
        file: name at the source; the eight digits before `.pth` begin its sha256.
        mebibytes: its size, rounded.
        top1: accuracy in per cent that torchvision publishes: of single images (ImageNet validation; one centred crop),
            of videos (Kinetics-400; five clips of 16 frames at 15 a second).
        note: which training it came from.
    """

    name: str
    arch: str
    file: str
    mebibytes: float
    top1: float
    note: str

    @property
    def sha256_prefix(self) -> str:
        """First hex digits of the file's sha256."""
        return self.file.removesuffix(".pth").rpartition("-")[2]


_NEW = "torchvision's newer recipe (label smoothing, mixup): more accurate, flatter probabilities"
PUBLIC_WEIGHTS: dict[str, PublicWeights] = {
    entry.name: entry
    for entry in (
        PublicWeights(
            "resnext101_32x8d", "resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", 339.6, 79.312, "IMAGENET1K_V1"
        ),
        PublicWeights(
            "resnext101_32x8d-v2", "resnext101_32x8d", "resnext101_32x8d-110c445d.pth", 339.7, 82.834, f"V2, {_NEW}"
        ),
        PublicWeights(
            "resnext50_32x4d", "resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 95.8, 77.618, "IMAGENET1K_V1"
        ),
        PublicWeights(
            "resnext50_32x4d-v2", "resnext50_32x4d", "resnext50_32x4d-1a0047aa.pth", 95.8, 81.198, f"V2, {_NEW}"
        ),
        PublicWeights("resnet18", "resnet18", "resnet18-f37072fd.pth", 44.7, 69.758, "IMAGENET1K_V1"),
        PublicWeights("r3d_18", "r3d_18", "r3d_18-b3b3357e.pth", 127.4, 63.2, "KINETICS400_V1"),
    )
}


def public_weights(name: str) -> PublicWeights:
    """Returns the published weights of that name.

    Raises:
        ConfigError: there are none.
    """
    if name not in PUBLIC_WEIGHTS:
        raise ConfigError(f"there are no published weights '{name}'", remedy="known: " + ", ".join(PUBLIC_WEIGHTS))
    return PUBLIC_WEIGHTS[name]


def download_weights(
    name: str,
    *,
    source: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Returns the published file, from the cache or else from the network.

    Args:
        name: of PUBLIC_WEIGHTS.
        source: a mirror (https://, http://, file:// or a folder); torchvision's own address by default.
        cache: folder to keep things in; `cache_folder()` by default.
        progress: called with the number of bytes that have just arrived.

    Raises:
        ConfigError: no such weights, no address.
        CheckpointError: it could not be had (what has arrived is kept), or is not the published file.
    """
    weights = public_weights(name)
    folder = Path(cache if cache is not None else cache_folder()) / "torchvision"
    size = weights.mebibytes * 2**20
    bounds = (int(size * (1 - _SLACK)), int(size * (1 + _SLACK)))
    file = ReleaseFile(weights.file, expected_bytes=bounds, sha256=weights.sha256_prefix)
    moved = (lambda _, count: progress(count)) if progress else None
    outcome = download([file], folder, source or SOURCE, progress=moved)[0]
    if outcome.state not in ("present", "downloaded"):
        remedy = "check the connection and run again, or name a mirror or a folder with --from"
        raise CheckpointError(
            f"{weights.file} cannot be had: {outcome.notes[0]}", where=source or SOURCE, remedy=remedy
        )
    return folder / weights.file
