"""The captioner people hold: videos or features in, sentences out; loads from and saves to a folder.

CAPTIONER/
  config.json        model sizes, decoding defaults, format version
  vocabulary.json    words and the tokenizer they belong to
  model.weights.h5   one data set a weight, named `layer/variable`
  model_card.md      for people
  ngram_weights.h5   optional: n-gram weights of the training captions, for minimum-risk decoding (minimum_risk.py)
  content.h5         optional: foretells what a video's captions hold (content.py); needs the n-gram weights
  encoder/           optional: what turns videos into its features (encoders/bundle.py)
  manifest.json      sha256 of the above
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf

from glrg_tf.captioner import beam, content, decoding, minimum_risk, video_input
from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.locate import resolve
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.captioner.weights import read_weights, write_weights
from glrg_tf.config import from_dict, to_dict
from glrg_tf.errors import CheckpointError, ConfigError, DataError, FeatureError
from glrg_tf.io import atomic
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from glrg_tf.captioner.decoder import DecoderWeights
    from glrg_tf.encoders.bundle import EncoderBundle

FORMAT = "glrg-captioner"
VERSION = 1
_BATCH = 64  # videos decoded at once: bounds memory whatever the caller passes
_MAX_BEAM = 50
NGRAM_WEIGHTS, CONTENT = "ngram_weights.h5", "content.h5"
Selection = Literal["probability", "minimum_risk", "content"]


@dataclasses.dataclass(frozen=True)
class Caption:
    """One caption of one video."""

    text: str
    score: float  # sum of log-probabilities, <end> included; in release mode minus the perplexity
    token_ids: tuple[int, ...]  # words only
    token_log_probs: tuple[float, ...]  # of the words and, where it was emitted, of <end>


@dataclasses.dataclass(frozen=True)
class DecodingConfig:
    """Defaults of `VideoCaptioner.generate`."""

    beam_size: int = 5  # hypotheses kept; 1 is greedy
    length_normalization: float = 0.0  # exponent of the length that divides a hypothesis' score
    max_words: int = 28  # as in the release
    selection: Selection = "probability"  # which hypotheses of the beam are best (minimum_risk.py, content.py)
    word_bias: float = 0.0  # exponent of the words' foretold odds that steer the search (content.py); 0: none

    def __post_init__(self) -> None:
        """Refuses settings no search can run with."""
        if not 1 <= self.beam_size <= _MAX_BEAM:
            raise ConfigError(f"beam_size must lie in 1..{_MAX_BEAM}, found {self.beam_size}", where="beam_size")
        if not 1 <= self.max_words <= 510:
            raise ConfigError(f"max_words must lie in 1..510, found {self.max_words}", where="max_words")
        if not 0.0 <= self.word_bias <= 4.0:
            raise ConfigError(f"word_bias must lie in 0..4, found {self.word_bias}", where="word_bias")


class VideoCaptioner:
    """A trained captioner: networks, vocabulary and decoding defaults.

    Args:
        model: encoder and decoder with their weights.
        vocabulary: the words of the decoder's outputs.
        decoding: defaults of `generate`.
        encoders: what turns videos into features, or its folder (loaded when it is first needed); None leaves a
            captioner of features only.
        ngram_weights: of the training captions; minimum-risk decoding needs them.
        content_prior: what foretells captions' content; selection by content and the word bias need it.

    Raises:
        CheckpointError: the vocabulary is not the model's.

    Example:
        >>> captioner = VideoCaptioner.from_preset("runs/a")
        >>> captioner.generate(features)[0][0].text
        'a man is playing a guitar'
        >>> captioner.generate(["clip.mp4"])[0][0].text
        'a man is playing a guitar'
    """

    def __init__(
        self,
        model: CaptionerModel,
        vocabulary: Vocabulary,
        decoding: DecodingConfig | None = None,
        encoders: EncoderBundle | Path | None = None,
        ngram_weights: NgramWeights | None = None,
        content_prior: ContentPrior | None = None,
    ) -> None:
        if len(vocabulary) != model.config.vocabulary_size:
            raise CheckpointError(
                f"the vocabulary has {len(vocabulary)} words, the model {model.config.vocabulary_size}",
                remedy="use the vocabulary the model was trained with",
            )
        self.model, self.vocabulary = model, vocabulary
        self.decoding = decoding or DecodingConfig()
        self._functions: dict[tuple[Any, ...], Callable[..., decoding.Decoded]] = {}
        self._encoders = encoders
        self.ngram_weights, self.content_prior = ngram_weights, content_prior

    @property
    def config(self) -> CaptionerConfig:
        """Sizes of the networks."""
        return self.model.config

    @property
    def encoders(self) -> EncoderBundle | None:
        """What turns videos into features; None where this captioner has none. Set it to use another.

        Raises:
            CheckpointError: its folder is damaged.
            ConfigError: it gives other streams than the captioner reads.
        """
        if isinstance(self._encoders, Path):
            from glrg_tf.encoders.bundle import EncoderBundle

            self.encoders = EncoderBundle.load(self._encoders)
        return self._encoders  # type: ignore[return-value]  # a path was replaced just now

    @encoders.setter
    def encoders(self, bundle: EncoderBundle | None) -> None:
        if bundle is not None:
            video_input.check_encoder(self.config, dict(bundle.widths))
        self._encoders = bundle

    def encode_videos(self, videos: video_input.Videos) -> np.ndarray:
        """Features of video files, float32 (N, D): decoded, looked at by the encoders, pooled over positions.

        Raises:
            VideoError: a video that cannot be read.
            ConfigError: the captioner has no encoders.
        """
        bundle = self.encoders
        if bundle is None:
            raise ConfigError(
                "this captioner has no encoder: it reads features, not videos",
                remedy="train it with --encoder ENC, or name one now (--encoder ENC, `captioner.encoders = …`)",
            )
        return video_input.encode_paths(bundle, self.config, videos)

    def generate(
        self,
        videos_or_features: np.ndarray | video_input.Videos,
        beam_size: int | None = None,
        num_captions: int = 1,
        compat: Literal["release"] | None = None,
        selection: Selection | None = None,
    ) -> list[list[Caption]]:
        """Captions of every video, best first.

        Args:
            videos_or_features: float32 (N, D), the streams of `config.streams` side by side; or paths of video files.
            beam_size: hypotheses kept; 1 is greedy; None takes the captioner's default.
            num_captions: captions a video; at most `beam_size`.
            compat: "release" decodes as the released code does, whatever `selection` and the word bias say.
            selection: which hypotheses are best: the most probable, those of minimum risk, or those whose content the
                features foretell; None takes the captioner's default.

        Returns:
            N lists of `num_captions` captions (fewer only in release mode, where distinct ones may run out).

        Raises:
            FeatureError: wrong width or values that are not finite.
            VideoError: a video that cannot be read.
            ConfigError: `beam_size` or `num_captions` out of range; videos, and the captioner has no encoders; a
                selection, and it lacks what that needs.
        """
        beam_size = self.decoding.beam_size if beam_size is None else beam_size
        settings = dataclasses.replace(
            self.decoding, beam_size=beam_size, selection=selection or self.decoding.selection
        )
        if beam_size > self.config.vocabulary_size:
            what = f"a beam of {beam_size} for a vocabulary of {self.config.vocabulary_size} words"
            raise ConfigError(what, remedy=f"ask for a beam of at most {self.config.vocabulary_size}")
        if not 1 <= num_captions <= beam_size:
            raise ConfigError(
                f"{num_captions} captions from a beam of {beam_size}", remedy="ask for at most --beam captions"
            )
        self.check_selection(settings)
        if video_input.are_videos(videos_or_features):
            videos_or_features = self.encode_videos(videos_or_features)  # type: ignore[arg-type]
        features = self._checked(videos_or_features)  # type: ignore[arg-type]
        decode = self._decoder(settings, num_captions, compat)
        captions: list[list[Caption]] = []
        for start in range(0, len(features), _BATCH):
            decoded = decode(tf.constant(features[start : start + _BATCH]))
            captions += self._read(decoded, num_captions)
        return captions

    def score(self, features: np.ndarray, token_ids: np.ndarray, steered: bool = False) -> np.ndarray:
        """Log-probabilities of given captions.

        Args:
            features: float32 (N, D).
            token_ids: int32 (N, T), words then <end> and zeros.
            steered: by the word bias of `decoding`, as `generate` tells them; else those of the model alone.

        Returns:
            float32 (N, T), log p of each token up to the first <end>, zero after it.
        """
        checked = tf.constant(self._checked(features))
        video_gates, weights = self.model.encode(checked), self.model.decoder_weights()
        bias: tf.Tensor | float = 0.0
        if steered and self.decoding.word_bias:
            bias = self._word_bias(content.foretell(self.content_prior, checked), self.decoding.word_bias)
        table = decoding.word_table(weights)
        hidden = cell = tf.zeros([len(token_ids), self.config.hidden_size])
        token, alive, columns = tf.fill([len(token_ids)], Vocabulary.START), tf.ones([len(token_ids)], tf.bool), []
        for t in range(token_ids.shape[1]):
            logits, hidden, cell = decoding.step(weights, table, token, hidden, cell, video_gates)
            token = tf.constant(token_ids[:, t], tf.int32)
            log_probs = tf.gather(tf.nn.log_softmax(logits + bias), token, batch_dims=1)
            columns.append(tf.where(alive, log_probs, 0.0))
            alive = tf.logical_and(alive, token != 0)
        return tf.stack(columns, axis=1).numpy()

    def _checked(self, features: np.ndarray) -> np.ndarray:
        features = np.asarray(features, np.float32)
        if features.ndim != 2 or features.shape[1] != self.config.feature_size:
            streams = " + ".join(f"{name} {width}" for name, width in self.config.streams)
            raise FeatureError(
                f"features of shape {features.shape}, this captioner reads (N, {self.config.feature_size})",
                remedy=f"give the streams it was trained on: {streams}",
            )
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if bad.size:
            raise FeatureError("features that are not finite", where=f"row {bad[0]}", remedy="extract them again")
        return features

    def _decoder(self, settings: DecodingConfig, num_captions: int, compat: str | None) -> Callable[..., Any]:
        key = (settings, num_captions, compat)
        if key not in self._functions:

            @tf.function(input_signature=[tf.TensorSpec([None, self.config.feature_size], tf.float32)])
            def decode(features: tf.Tensor) -> decoding.Decoded:
                video_gates = self.model.encode(features)
                weights = self.model.decoder_weights()
                if compat == "release" and settings.beam_size > 1:
                    return beam.release_beam_search(weights, video_gates, settings.beam_size, settings.max_words)
                if settings.beam_size == 1 and (compat == "release" or not settings.word_bias):
                    return decoding.greedy(weights, video_gates, settings.max_words)
                return self.search(weights, video_gates, settings, num_captions, features)

            self._functions[key] = decode
        return self._functions[key]

    def search(
        self,
        weights: DecoderWeights,
        video_gates: tf.Tensor,
        settings: DecodingConfig,
        num_captions: int,
        features: tf.Tensor,
        table: tf.Tensor | None = None,
    ) -> decoding.Decoded:
        """The `num_captions` best captions of videos by tensors alone: what `generate` and every export run.

        Args:
            weights: the decoder's tensors.
            video_gates: float32 (B, 4H).
            settings: beam, length normalisation, most words, selection, word bias. One path has nobody to be compared
                with: a beam of 1 is not normalised.
            num_captions: how many, best first.
            features: float32 (B, D), what content is foretold from.
            table: see `beam_search`.

        Raises:
            ConfigError: the captioner lacks what `settings` need.
        """
        self.check_selection(settings)
        bias = foretold = None
        if settings.word_bias or settings.selection == "content":
            foretold = content.foretell(self.content_prior, features)
        if settings.word_bias:
            bias = self._word_bias(foretold, settings.word_bias)
        whole = settings.selection != "probability" and settings.beam_size > 1
        decoded = beam.beam_search(
            weights,
            video_gates,
            settings.beam_size,
            settings.beam_size if whole else num_captions,
            max_words=settings.max_words,
            length_normalization=settings.length_normalization if settings.beam_size > 1 else 0.0,
            table=table,
            word_bias=bias,
        )
        if not whole:
            return decoded
        if settings.selection == "minimum_risk":
            return minimum_risk.choose(decoded, self.ngram_weights, num_captions)
        gains = content.expected_gain(decoded.token_ids, foretold, self.content_prior, self.ngram_weights)
        return content.choose(decoded, gains, num_captions)

    def _word_bias(self, foretold: tf.Tensor, strength: float) -> tf.Tensor:
        size = self.config.vocabulary_size
        return content.word_bias(self.content_prior, self.ngram_weights, foretold, size, strength)

    def check_selection(self, settings: DecodingConfig) -> None:
        """Refuses settings that need what this captioner lacks.

        Raises:
            ConfigError: minimum risk without n-gram weights; selection by content, or a word bias, without a prior.
        """
        if settings.selection == "minimum_risk" and self.ngram_weights is None:
            raise ConfigError(
                "this captioner has no n-gram weights, which minimum-risk decoding needs",
                remedy="train it with this version, or decode with selection 'probability'",
            )
        if (settings.selection == "content" or settings.word_bias) and self.content_prior is None:
            raise ConfigError(
                "this captioner has no content prior, which selection 'content' and a word bias need",
                remedy="train it with --recipe glrg-plus, or decode with selection 'probability'",
            )

    def _read(self, decoded: decoding.Decoded, num_captions: int) -> list[list[Caption]]:
        tokens, scores, log_probs = (np.asarray(x) for x in decoded)
        tokenizer = get_tokenizer(self.vocabulary.tokenizer)
        videos = []
        for row in range(len(tokens)):
            captions: list[Caption] = []
            for ids, score, gained in zip(tokens[row], scores[row], log_probs[row], strict=True):
                words = self.vocabulary.decode(ids)
                length = int(np.argmin(ids != 0)) if (ids == 0).any() else len(ids)
                known = tuple(int(i) for i in ids[:length])
                # The released search finishes a hypothesis more than once; its first place is its best.
                if score > beam._NEVER and known not in {c.token_ids for c in captions}:
                    spent = tuple(float(x) for x in gained[: length + 1])
                    captions.append(Caption(tokenizer.detokenize(words), float(score), known, spent))
                if len(captions) == num_captions:
                    break
            videos.append(captions)
        return videos

    # --- folders -----------------------------------------------------------------------------------------------

    def save_to_preset(
        self, path: str | os.PathLike[str], *, card: str = "", extra: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the captioner folder, whole or not at all.

        Args:
            path: the folder; an existing captioner there is replaced.
            card: text of `model_card.md`.
            extra: further entries of `config.json` (provenance, scores).
        """
        with atomic.own_folder(path, ("config.json", "model.weights.h5"), "captioner") as folder:
            self.write(folder, card=card, extra=extra)

    def write(self, folder: Path, *, card: str = "", extra: Mapping[str, Any] | None = None) -> None:
        """Writes the files of a captioner, its encoder with it, into an existing folder."""
        config = {"format": FORMAT, "version": VERSION, **(extra or {})}
        config |= {"model": to_dict(self.config), "decoding": to_dict(self.decoding)}
        atomic.write_json(folder / "config.json", config)
        self.vocabulary.save(folder / "vocabulary.json")
        write_weights(folder / "model.weights.h5", self.model.get_weights())
        atomic.write_text(folder / "model_card.md", card or "# GL-RG captioner\n")
        if self.ngram_weights is not None:
            self.ngram_weights.save(folder / NGRAM_WEIGHTS)
        if self.content_prior is not None:
            self.content_prior.save(folder / CONTENT)
        if self.encoders is not None:
            self.encoders.save(folder / video_input.ENCODER)
        atomic.write_manifest(folder)

    @classmethod
    def from_preset(cls, name_or_path: str | os.PathLike[str]) -> VideoCaptioner:
        """Loads a captioner folder, a run folder (its best checkpoint) or a named preset.

        Raises:
            CheckpointError: not found, damaged, of another version, or weights that do not fit.
        """
        folder = resolve(name_or_path)
        atomic.verify_manifest(folder)
        try:
            values = json.loads((folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"config.json cannot be read ({error})", where=folder) from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise CheckpointError("not a captioner folder", where=folder, remedy="pass a run or a captioner folder")
        if values.get("version") != VERSION:
            raise CheckpointError(
                f"captioner format {values.get('version')!r}, this program reads {VERSION}", where=folder
            )
        try:
            config = from_dict(CaptionerConfig, values.get("model", {}))
            settings = from_dict(DecodingConfig, values.get("decoding", {}))
            vocabulary = Vocabulary.load(folder / "vocabulary.json")
        except (ConfigError, DataError) as error:
            raise CheckpointError(error.what, where=folder / "config.json", remedy=error.remedy) from error
        if len(vocabulary) != config.vocabulary_size:
            raise CheckpointError("vocabulary.json and config.json disagree on the vocabulary's size", where=folder)
        weights = read_weights(folder / "model.weights.h5")
        model = CaptionerModel(config)
        model.set_weights(weights, where=str(folder / "model.weights.h5"))
        listed = folder / NGRAM_WEIGHTS
        ngram_weights = NgramWeights.load(listed) if listed.is_file() else None
        listed, prior = folder / CONTENT, None
        if listed.is_file() and ngram_weights is not None:
            prior = ContentPrior.load(listed, config.feature_size, ngram_weights)
        return cls(model, vocabulary, settings, video_input.find_encoder(folder), ngram_weights, prior)
