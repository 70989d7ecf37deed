"""The published model zoo by name: `glrg-{xe,dxe,dr}-{msrvtt,msvd}`, downloaded and converted on first use.

`VideoCaptioner.from_preset("glrg-dr-msrvtt")` ends here. What was fetched and converted stays in the cache:
`$GLRG_CACHE`, else `~/.cache/glrg-tf` (`$XDG_CACHE_HOME` is honoured). `$GLRG_RELEASE` names a mirror of the release.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from glrg_tf.data.download import ReleaseFile, download, release_manifest
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io.atomic import verify_manifest
from glrg_tf.io.cache import cache_folder

STAGES = ("xe", "dxe", "dr")
DATASETS = ("msrvtt", "msvd")
METRICS = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")

# Paper, table 1, per cent, in the order of METRICS.
PUBLISHED: dict[str, tuple[float, float, float, float]] = {
    "glrg-xe-msrvtt": (45.5, 30.1, 62.6, 51.2),
    "glrg-dxe-msrvtt": (46.9, 30.4, 63.9, 55.0),
    "glrg-dr-msrvtt": (46.9, 31.2, 65.7, 60.6),
    "glrg-xe-msvd": (55.5, 37.8, 74.7, 94.3),
    "glrg-dxe-msvd": (57.7, 38.6, 74.9, 95.9),
    "glrg-dr-msvd": (60.5, 38.9, 76.4, 101.0),
}
NAMES = tuple(PUBLISHED)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZooModel:
    """One model of the zoo and its files in the release."""

    stage: str
    dataset: str

    @property
    def name(self) -> str:
        """The preset's name."""
        return f"glrg-{self.stage}-{self.dataset}"

    @property
    def checkpoint(self) -> str:
        """Path of the original checkpoint."""
        return f"model/GL-RG_{self.stage.upper()}_{self.dataset}/model.pth"

    @property
    def vocabulary(self) -> str:
        """Path of the vocabulary it was trained with: the train split's, whichever split is captioned."""
        return f"data/metadata/{self.dataset}_train_vocab.json"


def model_named(name: str) -> ZooModel:
    """Returns the model behind a preset name.

    Raises:
        ConfigError: no such preset.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no preset '{name}'", remedy="known: " + ", ".join(NAMES))
    _, stage, dataset = name.split("-")
    return ZooModel(stage, dataset)


def release_files(paths: list[str]) -> list[ReleaseFile]:
    """The manifest's entries of some paths, all required."""
    known = {file.path: file for file in release_manifest().files}
    return [known[path] for path in paths]


def captioner_folder(name: str, cache: Path) -> Path:
    """Where a preset's captioner is kept."""
    return cache / "captioners" / name


def resolve(name: str, *, source: str | None = None, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the captioner folder of a preset, downloading and converting it first where it is not in the cache.

    Args:
        name: one of `NAMES`.
        source: base address of the release or a mirror of it.
        cache: folder to keep things in.

    Raises:
        ConfigError: no such preset, no address.
        CheckpointError: it could not be had, or was refused.
    """
    model = model_named(name)
    root = Path(cache) if cache is not None else cache_folder()
    folder = captioner_folder(name, root)
    if folder.exists():
        verify_manifest(folder)
        return folder
    address = source or os.environ.get("GLRG_RELEASE") or release_manifest().source
    _LOG.info("downloading %s from %s to %s", name, address, root)
    try:
        outcomes = download(release_files([model.checkpoint, model.vocabulary]), root / "release", address)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where, remedy=error.remedy) from error
    for outcome in outcomes:
        if outcome.state not in ("present", "downloaded"):
            what = f"the preset '{name}' cannot be downloaded: {outcome.notes[0]}"
            remedy = "check the connection, or set GLRG_RELEASE to a mirror of the release (https:// or file://)"
            raise CheckpointError(what, where=f"{address}/{outcome.path}", remedy=remedy)
    return convert(model, root / "release", folder)


def convert(model: ZooModel, release: Path, folder: Path) -> Path:
    """Converts a downloaded checkpoint into `folder` and returns it."""
    from glrg_tf.convert.glrg_captioner import convert_release

    convert_release(release / model.checkpoint, release / model.vocabulary, folder)
    return folder
