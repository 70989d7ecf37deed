"""Writes the captioner folder of an original GL-RG checkpoint (see glrg_checkpoint.py)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.convert.glrg_checkpoint import (
    PLACEMENT,
    STREAMS_BY_WIDTH,
    ReleaseCheckpoint,
    check_vocabulary,
    read_checkpoint,
    to_weights,
)
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class TensorReport:
    """Where one tensor came from and went to, and its range afterwards."""

    source: str
    source_shape: tuple[int, ...]
    target: str
    target_shape: tuple[int, ...]
    placement: str
    minimum: float
    maximum: float
    deviation: float


def convert_release(
    path: str | os.PathLike[str],
    vocabulary_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    replace: bool = False,
) -> tuple[ReleaseCheckpoint, list[TensorReport]]:
    """Converts an original checkpoint into a captioner folder.

    Args:
        path: the release's `model.pth`.
        vocabulary_path: the train split's `*_vocab.json` or `*_sequencelabel.h5`.
        out: the captioner folder.
        replace: whether an existing captioner there is replaced.

    Returns:
        What was read, and one report a placed tensor.

    Raises:
        CheckpointError: the checkpoint is refused, or the vocabulary is not its own.
        DataError: the vocabulary file is refused.
        ConfigError: `out` exists.
    """
    if Path(out).exists() and not replace:
        raise ConfigError("the output already exists", where=out, remedy="choose another --out or remove it")
    checkpoint = read_checkpoint(path)
    vocabulary = Vocabulary.load_release(vocabulary_path)
    check_vocabulary(checkpoint, vocabulary.words, vocabulary_path)
    weights = to_weights(checkpoint.tensors)
    # TensorFlow takes seconds and hundreds of megabytes to import: only files that were found good get so far.
    from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel

    config = captioner_config(checkpoint)
    model = CaptionerModel(config)
    model.set_weights(weights, where=str(path))
    captioner = VideoCaptioner(model, vocabulary, DecodingConfig(max_words=config.max_length - 2))
    provenance = {
        "source": "glrg-release",
        "sha256": checkpoint.sha256,
        "vocabulary": Path(vocabulary_path).name,
        "settings": checkpoint.settings,
        "infos": checkpoint.history,
    }
    captioner.save_to_preset(out, card=_card(checkpoint, Path(path).name), extra={"converted_from": provenance})
    return checkpoint, report(checkpoint, weights)


def captioner_config(checkpoint: ReleaseCheckpoint) -> Any:
    """The `CaptionerConfig` of a checkpoint."""
    from glrg_tf.captioner.presets import CaptionerConfig

    sizes, settings = checkpoint.sizes, checkpoint.settings
    dropout = settings.get("drop_prob_lm", 0.5)
    try:
        return CaptionerConfig(
            vocabulary_size=sizes["V"],
            streams=STREAMS_BY_WIDTH[sizes["D"]],
            pool_size=sizes["P"],
            embedding_size=sizes["E"],
            hidden_size=sizes["H"],
            dropout=float(dropout) if isinstance(dropout, int | float) else 0.5,
            max_length=int(settings.get("seq_length", 30)),
        )
    except ConfigError as error:
        raise CheckpointError(f"its settings are impossible: {error.what}", where=error.where) from error


def report(checkpoint: ReleaseCheckpoint, weights: dict[str, np.ndarray]) -> list[TensorReport]:
    """One line for each of our weights."""
    lines = []
    for name, (source, placement) in PLACEMENT.items():
        value, shape = weights[name], checkpoint.tensors[source].shape
        summary = (float(value.min()), float(value.max()), float(value.std()))
        lines.append(TensorReport(source, shape, name, value.shape, placement, *summary))
    return lines


def _card(checkpoint: ReleaseCheckpoint, name: str) -> str:
    history = "\n".join(f"- {key}: {value}" for key, value in sorted(checkpoint.history.items()))
    parameters = sum(value.size for value in checkpoint.tensors.values())
    return f"""# GL-RG captioner, converted from the original PyTorch checkpoint

- file: `{name}`, sha256 `{checkpoint.sha256}`
- {parameters:,} parameters, {checkpoint.sizes["V"]:,} words, features of width {checkpoint.sizes["D"]}

The weights are the original ones, only transposed. `glrg caption ... --compat release` decodes as the original code
does; without it the beam search is the corrected one.

What the file says of its training:
{history or "- nothing"}

GL-RG: Global-Local Representation Granularity for Video Captioning, IJCAI 2022 (arXiv 2205.10706).
"""
