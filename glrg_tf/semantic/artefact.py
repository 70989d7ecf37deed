"""A trained Visual GloVe on disk: JSON and uncompressed arrays, no pickles.

GLOVE/
  glove.json       settings, source, sizes, fingerprint of the codebook, how training went
  codebook.npz     centroids float32 (V, D)
  vectors.npz      w, w_tilde float32 (V, d), b, b_tilde float32 (V,), seen uint8 (V,)
  clips.npz        the training clips' words, and the clip nearest to every word
  clips.json       the training videos' ids
  manifest.json    sha256 of all of them
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf import config as settings
from glrg_tf.errors import CheckpointError, GlrgError
from glrg_tf.io import atomic, documents, npy
from glrg_tf.semantic.codebook import Codebook
from glrg_tf.semantic.embedding import ClipIndex, VisualGlove
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.weights import GloveWeights

FORMAT = "glrg-glove"
_VECTORS = {"w": ("f", 2), "w_tilde": ("f", 2), "b": ("f", 1), "b_tilde": ("f", 1), "seen": ("iu", 1)}
_CLIPS = {"offsets": ("iu", 1), "words": ("iu", 1), "representatives": ("iu", 1)}


def save_glove(glove: VisualGlove, folder: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Writes the folder, whole or not at all.

    Raises:
        ConfigError: the folder exists and `replace` is false.
    """
    parameters = [np.asarray(array, "<f4") for array in glove.weights]
    clips = glove.clips
    with atomic.new_folder(folder, replace=replace) as scratch:
        npy.write_npz(scratch / "codebook.npz", {"centroids": np.asarray(glove.codebook.centroids, "<f4")})
        npy.write_npz(scratch / "vectors.npz", dict(zip(_VECTORS, (*parameters, glove.seen.astype("u1")), strict=True)))
        arrays = (clips.offsets, clips.words.astype("<i4"), clips.representatives)
        npy.write_npz(scratch / "clips.npz", dict(zip(_CLIPS, arrays, strict=True)))
        atomic.write_json(scratch / "clips.json", list(clips.ids))
        atomic.write_json(scratch / "glove.json", describe(glove))
        atomic.write_manifest(scratch)


def describe(glove: VisualGlove) -> dict[str, Any]:
    """Returns the content of `glove.json`."""
    return {
        "format": FORMAT,
        "version": 1,
        "words": glove.codebook.words,
        "width": glove.codebook.width,
        "dimensions": glove.dimensions,
        "codebook": glove.codebook.fingerprint,
        "source": dict(glove.source),
        "settings": settings.to_dict(glove.config),
        "codebook_settings": settings.to_dict(glove.codebook_config),
        "training": dict(glove.report),
    }


def load_glove(folder: str | os.PathLike[str]) -> VisualGlove:
    """Reads what `save_glove` wrote.

    Raises:
        CheckpointError: missing, damaged or altered files; parts that do not belong together.
    """
    root = Path(folder)
    if not (root / "glove.json").is_file():
        what = "not a Visual GloVe folder: it has no glove.json" if root.is_dir() else "no such folder"
        raise CheckpointError(what, where=root, remedy="make one with `glrg glove train`")
    atomic.verify_manifest(root)
    try:
        return _load(root)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, GlrgError) as error:
        remedy = "train again, or copy the whole folder again"
        raise CheckpointError(f"the folder is damaged ({error})", where=root, remedy=remedy) from error


def _load(root: Path) -> VisualGlove:
    value = documents.read_json(root / "glove.json")
    if value["format"] != FORMAT or value["version"] != 1:
        raise ValueError("another format or version")
    if not isinstance(value["source"], dict) or not isinstance(value["training"], dict):
        raise ValueError("source or training is missing")
    codebook = Codebook(npy.read_npz(root / "codebook.npz", {"centroids": ("f", 2)})["centroids"])
    arrays = npy.read_npz(root / "vectors.npz", _VECTORS)
    clips = npy.read_npz(root / "clips.npz", _CLIPS)
    ids = tuple(map(str, documents.read_json(root / "clips.json")))
    words, dimensions = int(value["words"]), int(value["dimensions"])
    if codebook.fingerprint != value["codebook"]:
        raise ValueError("the codebook is not the one that the vectors belong to")
    shapes = {"w": (words, dimensions), "w_tilde": (words, dimensions), "b": (words,), "b_tilde": (words,)}
    if codebook.words != words or any(
        arrays[name].shape != shape for name, shape in (shapes | {"seen": (words,)}).items()
    ):
        raise ValueError("codebook and vectors have different sizes")
    offsets, tokens, nearest = clips["offsets"], clips["words"], clips["representatives"]
    sound = (
        len(offsets) == len(ids) + 1 and offsets[0] == 0 and offsets[-1] == len(tokens) and (np.diff(offsets) > 0).all()
    )
    if not sound or len(nearest) != words or not _within(tokens, 0, words) or not _within(nearest, -1, len(tokens)):
        raise ValueError("the list of training clips is inconsistent")
    return VisualGlove(
        codebook=codebook,
        weights=GloveWeights(arrays["w"], arrays["w_tilde"], arrays["b"], arrays["b_tilde"]),
        seen=arrays["seen"].astype(bool),
        config=settings.from_dict(GloveConfig, value["settings"]),
        codebook_config=settings.from_dict(CodebookConfig, value["codebook_settings"]),
        source=value["source"],
        clips=ClipIndex(ids, offsets, tokens, nearest),
        report=value["training"],
    )


def _within(values: np.ndarray, low: int, high: int) -> bool:
    return not len(values) or (values.min() >= low and values.max() < high)
