"""An S2VT captioner with its vocabulary: descriptors of positions in, sentences out; loads from and saves to a folder.

The folder is that of `VideoCaptioner` with another format name in config.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from glrg_tf.captioner import decoding, video_input
from glrg_tf.captioner.locate import resolve
from glrg_tf.captioner.s2vt import S2VTConfig, S2VTModel
from glrg_tf.captioner.weights import read_weights, write_weights
from glrg_tf.config import from_dict, to_dict
from glrg_tf.errors import CheckpointError, ConfigError, DataError, FeatureError
from glrg_tf.io import atomic
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

FORMAT = "glrg-s2vt"
VERSION = 1


class S2VTCaptioner:
    """A trained S2VT captioner.

    Args:
        model: networks.
        vocabulary: the words of the decoder's outputs.
        encoders: what turns videos into its descriptors; None leaves a captioner of features only.

    Example:
        >>> captioner = S2VTCaptioner.from_preset("runs/s2vt")
        >>> captioner.generate([positions])
        ['a red ball moves to the left']
    """

    def __init__(self, model: S2VTModel, vocabulary: Vocabulary, encoders: EncoderBundle | None = None) -> None:
        if len(vocabulary) != model.config.vocabulary_size:
            raise CheckpointError(
                f"the vocabulary has {len(vocabulary)} words, the model {model.config.vocabulary_size}",
                remedy="use the vocabulary the model was trained with",
            )
        self.model, self.vocabulary = model, vocabulary
        self._encoders: EncoderBundle | None = None
        self.encoders = encoders
        signature = [tf.TensorSpec([None, None, model.config.feature_size], tf.float32)]
        self._greedy = tf.function(self._greedy_graph, input_signature=signature, autograph=False)

    @property
    def config(self) -> S2VTConfig:
        """Sizes of the networks."""
        return self.model.config  # type: ignore[return-value]

    @property
    def encoders(self) -> EncoderBundle | None:
        """What turns videos into descriptors.

        Raises:
            ConfigError: (when set) it gives other streams than the captioner reads.
        """
        return self._encoders

    @encoders.setter
    def encoders(self, bundle: EncoderBundle | None) -> None:
        if bundle is not None:
            video_input.check_encoder(self.config, dict(bundle.widths))  # type: ignore[arg-type]
        self._encoders = bundle

    def generate(self, videos: Sequence[np.ndarray]) -> list[str]:
        """The most probable words, one by one, for each video.

        Args:
            videos: float32 (F, D) descriptors each, in order; F may differ.

        Raises:
            FeatureError: descriptors of another width, or none.
        """
        tokenizer, captions = get_tokenizer(self.vocabulary.tokenizer), []
        for number, descriptors in enumerate(videos):
            values = np.asarray(descriptors, np.float32)
            if values.ndim != 2 or not len(values) or values.shape[1] != self.config.feature_size:
                raise FeatureError(
                    f"descriptors of shape {values.shape}, this captioner reads (F, {self.config.feature_size})",
                    where=f"video {number}",
                    remedy="extract with --per-position the streams it was trained on",
                )
            ids = self._greedy(values[None]).numpy()[0]
            captions.append(tokenizer.detokenize(self.vocabulary.decode(ids)))
        return captions

    def _greedy_graph(self, descriptors: tf.Tensor) -> tf.Tensor:
        hidden, cell, gates = self.model.start(descriptors)
        weights = self.model.decoder_weights()
        return decoding.greedy(weights, gates, self.config.max_length - 2, (hidden, cell)).token_ids[:, 0]

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Writes the captioner folder, its encoder with it, whole or not at all."""
        with atomic.own_folder(path, ("config.json", "model.weights.h5"), "captioner") as folder:
            values = {"format": FORMAT, "version": VERSION, "model": to_dict(self.config)}
            atomic.write_json(folder / "config.json", values)
            self.vocabulary.save(folder / "vocabulary.json")
            write_weights(folder / "model.weights.h5", self.model.get_weights())
            if self.encoders is not None:
                self.encoders.save(folder / video_input.ENCODER)
            atomic.write_manifest(folder)

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str]) -> S2VTCaptioner:
        """Loads what `save_to_preset` wrote.

        Raises:
            CheckpointError: not found, damaged, of another version, or weights that do not fit.
        """
        folder = resolve(path)
        if not is_s2vt(folder):
            raise CheckpointError("not an S2VT captioner", where=folder)
        atomic.verify_manifest(folder)
        values = json.loads((folder / "config.json").read_text("utf-8"))
        if values.get("version") != VERSION:
            raise CheckpointError(f"S2VT format {values.get('version')!r}, this program reads {VERSION}", where=folder)
        try:
            config = from_dict(S2VTConfig, values.get("model", {}))
            vocabulary = Vocabulary.load(folder / "vocabulary.json")
        except (ConfigError, DataError) as error:
            raise CheckpointError(error.what, where=folder / "config.json", remedy=error.remedy) from error
        if len(vocabulary) != config.vocabulary_size:
            raise CheckpointError("vocabulary.json and config.json disagree on the vocabulary's size", where=folder)
        weights = read_weights(folder / "model.weights.h5")
        model = S2VTModel(config)
        model.set_weights(weights, where=str(folder / "model.weights.h5"))
        encoder = video_input.find_encoder(folder)
        if encoder is None:
            return cls(model, vocabulary)
        from glrg_tf.encoders.bundle import EncoderBundle

        return cls(model, vocabulary, EncoderBundle.load(encoder))


def is_s2vt(folder: Path) -> bool:
    """Whether a captioner folder holds an S2VT captioner."""
    try:
        values = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("format") == FORMAT
