"""The captioner of long video: clips, segments and summaries, each level reading features and the texts below.

RECAP/
  config.json            format, hierarchy, levels, sizes of each network
  vocabulary.json        words (or bpe.json: GPT-2's byte pairs)
  <network>.weights.h5   "unified", or one a level: "clip", "segment", "video"
  encoder/               optional: what turns frames into features (encoders/bundle.py)
  clip_captioner/        optional: a GL-RG captioner that writes the clips' captions
  model_card.md
  manifest.json          sha256 of the above
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.weights import read_weights, write_weights
from glrg_tf.config import from_dict, to_dict
from glrg_tf.errors import CheckpointError, ConfigError, DataError, FeatureError
from glrg_tf.io import atomic, documents
from glrg_tf.recap import decoding
from glrg_tf.recap.hierarchy import CLIP, LEVELS, Hierarchy
from glrg_tf.recap.inputs import read_arrays, text_length
from glrg_tf.recap.model import RecapNetwork
from glrg_tf.recap.plain import fingerprint_of
from glrg_tf.recap.settings import RecapConfig
from glrg_tf.recap.text_tokens import TextTokens, join, load_tokens

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.video.sampling import FramePlan

FORMAT = "glrg-recap"
VERSION = 1
UNIFIED = "unified"
ENCODER, CLIP_CAPTIONER = "encoder", "clip_captioner"
_BATCH = 16  # samples decoded at once, always: what a sample is batched with must not change its shape
_MAX_CONFIG = 2**22  # bytes


class RecapCaptioner:
    """Networks, words, and how long the windows are.

    Args:
        networks: level -> network; the same object for all levels is the unified model.
        tokens: words of all networks.
        hierarchy: lengths of the windows.
        encoder: what turns frames of clips into features; None leaves a captioner of features.
        clip_captioner: a GL-RG captioner for the first level; None: the network of level "clip" writes it.
        row_streams: streams of the encoder that rows are made of; none named: all.

    Raises:
        ConfigError: no networks, or parts that do not fit.

    Example:
        >>> captioner = RecapCaptioner.load("runs/recap")
        >>> captioner.describe("segment", [rows], [captions])
        ['in the snow at night a red ball looks behind trees']
    """

    def __init__(
        self,
        networks: Mapping[str, RecapNetwork],
        tokens: TextTokens,
        hierarchy: Hierarchy | None = None,
        *,
        encoder: EncoderBundle | None = None,
        clip_captioner: VideoCaptioner | None = None,
        row_streams: Sequence[str] = (),
    ) -> None:
        unknown = sorted(set(networks) - set(LEVELS))
        if not networks or unknown:
            raise ConfigError(f"networks of {unknown or 'no level'}", where="networks", remedy="levels: clip … video")
        for level, network in networks.items():
            if network.config.vocabulary_size != tokens.size:
                what = f"the network of level '{level}' has {network.config.vocabulary_size} words, not {tokens.size}"
                raise CheckpointError(what, remedy="use the vocabulary it was trained with")
        self.networks = {level: networks[level] for level in LEVELS if level in networks}
        self.tokens = tokens
        self.hierarchy = from_dict(Hierarchy, to_dict(hierarchy or Hierarchy()))  # 4 becomes 4.0, as when it is loaded
        self.clip_captioner = clip_captioner
        self.encoder = encoder or (clip_captioner.encoders if clip_captioner is not None else None)
        self.row_streams = tuple(row_streams)
        self._decoders: dict[tuple[int, str], Callable[..., tf.Tensor]] = {}
        self._check_encoder()

    def _check_encoder(self) -> None:
        if self.encoder is None:
            return
        widths = dict(self.encoder.widths)
        unknown = [name for name in self.row_streams if name not in widths]
        if unknown:
            known = ", ".join(widths)
            raise ConfigError(
                f"the encoder has no stream '{unknown[0]}'", where="row_streams", remedy=f"it has {known}"
            )
        rows = sum(widths[name] for name in self.row_streams or widths)
        wanted = {(c.dense_width, sum(widths.values()), CLIP) for c in self._configs()} | {
            (c.row_width, rows, "rows") for c in self._configs()
        }
        for width, given, what in wanted:
            if width and width != given:
                raise ConfigError(
                    f"the networks read {what} of width {width}, the encoder gives {given}",
                    where="encoder",
                    remedy="use the encoder that the features were extracted with",
                )

    def _configs(self) -> list[RecapConfig]:
        return [network.config for network in self.networks.values()]

    # === What it is ===
    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it can write, lowest first."""
        own = set(self.networks) | ({CLIP} if self.clip_captioner is not None else set())
        return tuple(level for level in LEVELS if level in own)

    @property
    def unified(self) -> bool:
        """Whether one network serves all its levels."""
        return len({id(network) for network in self.networks.values()}) == 1 and len(self.networks) > 1

    @property
    def row_width(self) -> int:
        """Width of the rows that the levels above clips read; 0 where they read none."""
        return max([config.row_width for config in self._configs()], default=0)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of settings, words, weights and encoder: equal for captioners that write equal texts."""
        total = hashlib.sha256(json.dumps(self._settings(), sort_keys=True).encode())
        for name, network in self.named_networks.items():
            for key, value in network.get_weights().items():
                total.update(f" {name}/{key} {value.shape} ".encode())
                total.update(np.ascontiguousarray(value).tobytes())
        total.update(self.tokens.digest().encode())
        total.update((self.encoder.fingerprint if self.encoder is not None else "").encode())
        if self.clip_captioner is not None:
            total.update(fingerprint_of(self.clip_captioner).encode())
        return total.hexdigest()

    # === Features ===
    @property
    def frame_plan(self) -> FramePlan:
        """Which frames of a clip are looked at.

        Raises:
            ConfigError: the captioner has no encoder.
        """
        return self._looking().plan

    @property
    def plans(self) -> tuple[str, ...]:
        """The plans whose frames are read: keys of `encode_clips`' dictionaries."""
        return self._looking().plans

    @property
    def max_side(self) -> int:
        """Pixels of the longer side that frames need at most: as in extraction."""
        return self._looking().max_side

    def _looking(self) -> EncoderBundle:
        if self.encoder is None:
            raise ConfigError("this captioner has no encoder", remedy="train it with --encoder ENC")
        return self.encoder

    def encode_clips(self, clips: Sequence[Mapping[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Features of clips.

        Args:
            clips: for each clip, plan name -> uint8 (P, k, H, W, 3) RGB (`frame_plan`).

        Returns:
            Dense tokens float32 (n, P, D), the encoder's streams side by side at each position of its frame plan, and
            rows float32 (n, R), their mean over positions.

        Raises:
            ConfigError: the captioner has no encoder, or frames of a plan are missing.
        """
        encoder = self._looking()
        names = [name for name, _ in encoder.widths]
        # One clip after the other: what it is encoded with must not change its features by a last bit.
        encoded = [encoder.encode(clip) for clip in clips]
        if not encoded:
            empty = np.zeros((0, encoder.plan.positions, encoder.config.width), np.float32)
            return empty, self.rows_of(empty)
        dense = np.stack([np.concatenate([streams[name] for name in names], axis=1) for streams in encoded])
        return dense, self.rows_of(dense)

    def rows_of(self, dense: np.ndarray) -> np.ndarray:
        """Rows float32 (n, R) of dense tokens (n, P, D): the mean over positions of the streams that rows are of."""
        means = np.asarray(dense, np.float32).mean(axis=1)
        return means[:, row_columns(self.encoder.widths, self.row_streams)] if self.encoder is not None else means

    # === Texts ===
    def caption_clips(self, dense: np.ndarray) -> list[str]:
        """Captions of clips.

        Args:
            dense: float32 (n, P, D), see `encode_clips`.

        Raises:
            ConfigError: nothing here captions clips.
            FeatureError: features of another width, or not finite.
        """
        if self.clip_captioner is not None:
            return self._borrowed_captions(np.asarray(dense, np.float32))
        return self._write(CLIP, list(np.asarray(dense, np.float32)), [[]] * len(dense))

    def describe(self, level: str, rows: Sequence[np.ndarray], texts: Sequence[Sequence[str]]) -> list[str]:
        """Texts of a level above clips.

        Args:
            level: "segment" or "video".
            rows: float32 (S, R) each, one row a clip, in order; ignored where the network reads texts alone.
            texts: of the level below, in order; ignored where the network reads features alone.

        Raises:
            ConfigError: the captioner has no such level.
            FeatureError: rows of another width, or not finite; other numbers of rows than of texts.
        """
        if level == CLIP or len(rows) != len(texts):
            raise FeatureError(f"{len(rows)} rows and {len(texts)} texts of level '{level}'", where="describe")
        return self._write(level, rows, texts)

    def _borrowed_captions(self, dense: np.ndarray) -> list[str]:
        captioner, texts = self.clip_captioner, []
        columns = np.arange(dense.shape[2])
        if self.encoder is not None:
            places = stream_columns(self.encoder.widths)
            columns = np.concatenate([places[name] for name, _ in captioner.config.streams])
        pooled = dense.mean(axis=1)[:, columns]
        for start in range(0, len(pooled), _BATCH):
            part = pooled[start : start + _BATCH]
            whole = np.pad(part, ((0, _BATCH - len(part)), (0, 0)))
            texts += [found[0].text for found in captioner.generate(whole)[: len(part)]]
        return texts

    def _write(self, level: str, features: Sequence[np.ndarray], texts: Sequence[Sequence[str]]) -> list[str]:
        if level not in self.networks:
            raise ConfigError(
                f"this captioner has no level '{level}'", remedy="it writes " + ", ".join(self.levels or ("nothing",))
            )
        config = self.networks[level].config
        reads = config.reads_text(level)
        below = [join(self.tokens, own, config.max_text) if reads else [] for own in texts]
        lengths = [text_length(config, ids) if reads else 0 for ids in below]
        written = [""] * len(features)
        for length in sorted(set(lengths)):
            members = [number for number, own in enumerate(lengths) if own == length]
            for start in range(0, len(members), _BATCH):
                chosen = members[start : start + _BATCH]
                ids = self._decode(level, [features[n] for n in chosen], [below[n] for n in chosen], length)
                for number, row in zip(chosen, ids, strict=False):
                    written[number] = self.tokens.decode(decoding.words_of(row))
        return written

    def _decode(self, level: str, features: list[np.ndarray], below: list[list[int]], length: int) -> np.ndarray:
        network = self.networks[level]
        config = network.config
        rows = 0 if level == CLIP else config.max_rows
        arrays = read_arrays(config, level, features, below, rows=rows, words=length)
        missing = _BATCH - len(features)
        whole = {name: np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) for name, array in arrays.items()}
        key = (id(network), level)
        if key not in self._decoders:
            conditioning, words = network.conditioning(level), config.words(level)
            specs = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in conditioning.input.items()}

            @tf.function(autograph=False, input_signature=[specs])
            def decode(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
                read = conditioning(inputs, training=False)
                return decoding.greedy(network.layers, read, self.tokens.start, self.tokens.end, words)

            self._decoders[key] = decode
        return self._decoders[key]({name: tf.constant(array) for name, array in whole.items()}).numpy()

    # === Folders ===
    @property
    def named_networks(self) -> dict[str, RecapNetwork]:
        """The different networks: "unified", or by level."""
        return {UNIFIED: next(iter(self.networks.values()))} if self.unified else self.networks

    def _settings(self) -> dict[str, Any]:
        return {
            "levels": list(self.networks),
            "hierarchy": to_dict(self.hierarchy),
            "row_streams": list(self.row_streams),
            "tokens": self.tokens.kind,
            "networks": {name: to_dict(network.config) for name, network in self.named_networks.items()},
        }

    def save(self, path: str | os.PathLike[str], *, card: str = "", extra: Mapping[str, Any] | None = None) -> None:
        """Writes the folder, whole or not at all; a captioner that is there already is replaced.

        Raises:
            ConfigError: the folder holds something else.
        """
        with atomic.own_folder(path, ("config.json", "manifest.json"), "captioner") as folder:
            self.write(folder, card=card, extra=extra)

    def write(self, folder: Path, *, card: str = "", extra: Mapping[str, Any] | None = None) -> None:
        """Writes the files of a captioner into an existing folder."""
        atomic.write_json(
            folder / "config.json", {"format": FORMAT, "version": VERSION, **(extra or {}), **self._settings()}
        )
        self.tokens.save(folder)
        for name, network in self.named_networks.items():
            write_weights(folder / f"{name}.weights.h5", network.get_weights())
        atomic.write_text(folder / "model_card.md", card or "# Recursive captioner of long video\n")
        if self.encoder is not None:
            self.encoder.save(folder / ENCODER)
        if self.clip_captioner is not None:
            self.clip_captioner.save_to_preset(folder / CLIP_CAPTIONER)
        atomic.write_manifest(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Loads a captioner folder, or the one that training left in its run folder.

        Raises:
            CheckpointError: not found, damaged, of another version, or weights that do not fit.
        """
        folder = Path(path)
        if (folder / "captioner" / "config.json").is_file():
            folder = folder / "captioner"
        if not (folder / "config.json").is_file():
            raise CheckpointError("no captioner of long video there", where=path, remedy="`glrg recap train` makes one")
        atomic.verify_manifest(folder)
        try:
            values = documents.read_json(folder / "config.json", max_bytes=_MAX_CONFIG)
        except DataError as error:
            raise CheckpointError(error.what, where=error.where, remedy=error.remedy) from error
        if not isinstance(values, dict) or values.get("format") != FORMAT or values.get("version") != VERSION:
            raise CheckpointError(
                f"not a captioner of long video of version {VERSION}", where=folder, remedy="`glrg recap train`"
            )
        try:
            return cls._read(folder, values)
        except (ConfigError, KeyError, TypeError, AttributeError) as error:
            what = error.what if isinstance(error, ConfigError) else f"config.json is damaged ({error})"
            raise CheckpointError(what, where=folder / "config.json") from error

    @classmethod
    def _read(cls, folder: Path, values: dict[str, Any]) -> Self:
        named = {}
        for name, entry in values["networks"].items():
            if name not in (UNIFIED, *LEVELS):
                raise ConfigError(f"a network is called '{name}'", where="networks")
            network = RecapNetwork(from_dict(RecapConfig, entry, f"networks.{name}"))
            network.set_weights(read_weights(folder / f"{name}.weights.h5"))
            named[name] = network
        levels = [str(level) for level in values["levels"]]
        networks = {level: named[UNIFIED] if UNIFIED in named else named[level] for level in levels}
        encoder = clip_captioner = None
        if (folder / ENCODER).is_dir():
            from glrg_tf.encoders.bundle import EncoderBundle

            encoder = EncoderBundle.load(folder / ENCODER)
        if (folder / CLIP_CAPTIONER).is_dir():
            clip_captioner = VideoCaptioner.from_preset(folder / CLIP_CAPTIONER)
        return cls(
            networks,
            load_tokens(folder, str(values["tokens"])),
            from_dict(Hierarchy, values["hierarchy"], "hierarchy"),
            encoder=encoder,
            clip_captioner=clip_captioner,
            row_streams=tuple(map(str, values["row_streams"])),
        )


def stream_columns(widths: Sequence[tuple[str, int]]) -> dict[str, np.ndarray]:
    """The columns of each stream where streams stand side by side."""
    ends = np.cumsum([width for _, width in widths])
    return {name: np.arange(end - width, end) for (name, width), end in zip(widths, ends, strict=True)}


def row_columns(widths: Sequence[tuple[str, int]], streams: Sequence[str]) -> np.ndarray:
    """The columns of the named streams, in the order they are named; of all of them without names."""
    places = stream_columns(widths)
    return np.concatenate([places[name] for name in streams or places])
