"""What an exported captioner answers to: functions of tensors alone, built from a captioner.

| signature | takes | gives |
|---|---|---|
| `serving_default` | `features` float32 (B, D) | `caption` string (B), `score` float32 (B) |
| `beam` | the same | `captions` string (B, K), `scores` (B, K), `token_ids` int32 (B, K, T), `token_log_probs` |
| `from_frames` | `frames` uint8 (B, F, H, W, 3) | as `serving_default` |
| `explain`, `explain_frames` | items or frames, and a sentence | see `explain_signature` |

A video with a feature that is no number, or beyond `LARGEST`, is refused alone: its captions are empty and its scores
`REFUSED`; the other videos of the batch, which may be other people's, get their captions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import keras
import tensorflow as tf

from export import explain_signature
from export.detokenizer import Detokenizer
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.video_input import check_encoder
from glrg_tf.encoders.bundle import EncoderBundle, FramesModel
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import ConfigError
from glrg_tf.video.sampling import FramePlan

Storage = Literal["float32", "float16"]
REFUSED = -1e30  # a finite "minus infinity": JSON has no other
NEVER_BELOW = -6e4  # no caption scores less: what does was refused (float16 files round REFUSED to -65504)
LARGEST = 2.0**60  # magnitude of a feature (probabilities end at 1); sums beyond it overflow, in each runtime elsewhere


class Hypotheses(NamedTuple):
    """The best captions of B videos, K each, best first."""

    token_ids: tf.Tensor  # int32 (B, K, T), words, then zeros
    scores: tf.Tensor  # float32 (B, K), as `VideoCaptioner.generate` gives them
    token_log_probs: tf.Tensor  # float32 (B, K, T), of the words and <end>, zero after it


class CaptionModule(tf.Module):
    """A captioner as a module that holds its weights and nothing of Python.

    Args:
        captioner: networks, vocabulary and decoding defaults.
        beam_size: hypotheses kept; None takes the captioner's default.
        frames_model: uint8 frames (B, F, H, W, 3) -> features float32 (B, D), in the captioner's column order.
        storage: type the weights are kept in; all arithmetic is float32.
        word_table: whether large batches project each vocabulary word once; without it the graph has no branch that
            depends on the batch, which converters and their runtimes like.

    Raises:
        ConfigError: a beam that this captioner cannot fill.
    """

    def __init__(
        self,
        captioner: VideoCaptioner,
        beam_size: int | None = None,
        frames_model: FramesModel | None = None,
        storage: Storage = "float32",
        word_table: bool = True,
    ) -> None:
        super().__init__(name="captioner")
        self.beam_size = captioner.decoding.beam_size if beam_size is None else beam_size
        if not 1 <= self.beam_size <= min(50, captioner.config.vocabulary_size):
            raise ConfigError(f"a beam of {self.beam_size}", where="--beam", remedy="1 to 50, at most one per word")
        # One path has nobody to be compared with: as in `generate`.
        alone = {"length_normalization": 0.0} if self.beam_size == 1 else {}
        self._settings = dataclasses.replace(captioner.decoding, beam_size=self.beam_size, **alone)
        self._captioner, self._frames_model = captioner, frames_model
        self._word_table = word_table
        self._detokenizer = Detokenizer(captioner.vocabulary)
        own = list(captioner.model.variables_by_name().values())
        seen = [] if frames_model is None else [v for network in frames_model.networks for v in network.weights]
        self._stored = _store([*own, *seen], storage)

    @property
    def feature_size(self) -> int:
        """D."""
        return self._captioner.config.feature_size

    @property
    def max_words(self) -> int:
        """T."""
        return self._captioner.decoding.max_words

    @property
    def has_frames(self) -> bool:
        """Whether frames can be captioned."""
        return self._frames_model is not None

    @property
    def stored(self) -> list[tf.Variable]:
        """The variables an artefact holds."""
        return [kept for _, kept in self._stored]

    def decode(self, features: tf.Tensor, num_captions: int) -> Hypotheses:
        """The `num_captions` best captions of features float32 (B, D)."""
        with self.weights_scope():
            video_gates = self._captioner.model.encode(features)
            weights = self._captioner.model.decoder_weights()
        # At the entrance: further in, max(NaN, 0) is 0 in some runtimes and NaN in others. Comparisons with NaN are
        # false, and convert everywhere; `is_finite` does not. The fourth root, because float16 files round constants.
        fine = tf.reduce_all(tf.sqrt(tf.sqrt(tf.abs(features))) <= LARGEST**0.25, axis=1)
        video_gates = tf.where(fine[:, None], video_gates, 0.0)
        table = None if self._word_table else tf.zeros([0, weights.word_kernel.shape[1]])
        seen = tf.where(fine[:, None], features, 0.0)
        decoded = self._captioner.search(weights, video_gates, self._settings, num_captions, seen, table)
        return Hypotheses(
            tf.where(fine[:, None, None], decoded.token_ids, 0),
            tf.where(fine[:, None], decoded.scores, REFUSED),
            tf.where(fine[:, None, None], decoded.token_log_probs, 0.0),
        )

    def features_of(self, frames: tf.Tensor) -> tf.Tensor:
        """Features float32 (B, D) of frames uint8 (B, F, H, W, 3)."""
        with self.weights_scope():
            return self._frames_model(frames)

    def best(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best caption of each video: string (B), and its score (B)."""
        found = self.decode(features, 1)
        return {"caption": self._detokenizer(found.token_ids)[:, 0], "score": found.scores[:, 0]}

    def hypotheses(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """All K captions of each video: text, scores, ids and log-probabilities."""
        found = self.decode(features, self.beam_size)
        return {"captions": self._detokenizer(found.token_ids), **self.named(found)}

    @staticmethod
    def named(found: Hypotheses) -> dict[str, tf.Tensor]:
        """The outputs of `beam` without text: what runtimes without strings give."""
        return {"scores": found.scores, "token_ids": found.token_ids, "token_log_probs": found.token_log_probs}

    @property
    def model(self) -> CaptionerModel:
        """The captioner's networks; to be called inside `weights_scope`."""
        return self._captioner.model

    @property
    def stream_encoders(self) -> tuple[StreamEncoder, ...]:
        """The encoders behind `features_of`; none for a captioner of features."""
        return () if self._frames_model is None else tuple(self._frames_model.encoders)

    @property
    def plan(self) -> FramePlan:
        """The frame plan of those encoders."""
        return self._frames_model.plan

    def columns_of(self, stream: str) -> tuple[int, int]:
        """First column of a stream in a row of features, and one past its last."""
        first = 0
        for name, width in self._captioner.config.streams:
            if name == stream:
                return first, first + width
            first += width
        raise KeyError(stream)

    def weights_scope(self) -> keras.StatelessScope:
        """A scope in which the networks read the stored weights as float32."""
        return keras.StatelessScope([(variable, tf.cast(kept, tf.float32)) for variable, kept in self._stored])


def frames_model_for(captioner: VideoCaptioner, bundle: EncoderBundle) -> FramesModel:
    """What turns frames into the captioner's features: its streams of an encoder, in its column order.

    Raises:
        ConfigError: the encoder lacks a stream, or has it in another width.
        ExportError: a stream's classifier runs outside TensorFlow.
    """
    check_encoder(captioner.config, dict(bundle.widths))
    streams = {name: bundle.streams[name] for name in captioner.config.stream_names}
    return EncoderBundle(bundle.plan, streams).frames_model()


def features_spec(module: CaptionModule) -> tf.TensorSpec:
    """Features of any number of videos."""
    return tf.TensorSpec([None, module.feature_size], tf.float32, name="features")


def frames_spec() -> tf.TensorSpec:
    """Frames of any number of videos of any length and size."""
    return tf.TensorSpec([None, None, None, None, 3], tf.uint8, name="frames")


def serving_default(module: CaptionModule) -> tf.types.experimental.ConcreteFunction:
    """Features -> caption and score."""

    @tf.function(input_signature=[features_spec(module)], autograph=False)
    def serving_default(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.best(features)

    return serving_default.get_concrete_function()


def beam(module: CaptionModule) -> tf.types.experimental.ConcreteFunction:
    """Features -> K captions with scores, ids and log-probabilities."""

    @tf.function(input_signature=[features_spec(module)], autograph=False)
    def beam(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.hypotheses(features)

    return beam.get_concrete_function()


def from_frames(module: CaptionModule) -> tf.types.experimental.ConcreteFunction | None:
    """Frames -> caption and score; None for a captioner without encoders."""
    if not module.has_frames:
        return None

    @tf.function(input_signature=[frames_spec()], autograph=False)
    def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.best(module.features_of(frames))

    return from_frames.get_concrete_function()


def beam_without_text(module: CaptionModule, frames: bool = False) -> tf.types.experimental.GenericFunction:
    """`beam` for runtimes without strings, from features or from frames: a function for converters."""

    @tf.function(input_signature=[features_spec(module)], autograph=False)
    def from_features(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.named(module.decode(features, module.beam_size))

    @tf.function(input_signature=[frames_spec()], autograph=False)
    def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.named(module.decode(module.features_of(frames), module.beam_size))

    return from_frames if frames else from_features


# name -> builder; one that returns None has nothing to offer for this captioner.
BUILDERS: dict[str, Callable[[CaptionModule], tf.types.experimental.ConcreteFunction | None]] = {
    "serving_default": serving_default,
    "beam": beam,
    "from_frames": from_frames,
    "explain": explain_signature.explain,
    "explain_frames": explain_signature.explain_frames,
}


def build_signatures(module: CaptionModule) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Every signature this module can answer to, by name."""
    built = {name: build(module) for name, build in BUILDERS.items()}
    return {name: function for name, function in built.items() if function is not None}


def _store(variables: Sequence[keras.Variable], storage: Storage) -> list[tuple[keras.Variable, tf.Variable]]:
    """Each variable with the one that is written to the artefact."""
    if storage == "float32":
        return [(variable, variable.value) for variable in variables]
    return [(v, tf.Variable(tf.cast(v.value, tf.float16), trainable=False, name=v.path)) for v in variables]
