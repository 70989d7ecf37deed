"""The encoders of a video captioner as one object: clips in, named streams out; loads from and saves to a folder.

ENCODER/
  encoder.json              format, version, frame plan, one entry a stream
  <stream>.weights.h5       one data set a weight, or
  <stream>.tflite|.onnx|.keras   the user's own classifier
  manifest.json             sha256 of the above
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from glrg_tf.config import from_dict, to_dict
from glrg_tf.encoders import model_weights, positions, presets
from glrg_tf.encoders.extract_clips import DecodePlan
from glrg_tf.encoders.presets import EncoderConfig
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import CheckpointError, ConfigError, DataError, ExportError
from glrg_tf.io import atomic, documents
from glrg_tf.video.sampling import FramePlan

FORMAT = "glrg-encoder"
VERSION = 1  # rises when a folder, or a network of ours under the same settings, changes its meaning
DESCRIPTION = "encoder.json"
CONFIG_FILES = "glrg_tf.encoders.config_file"
_MAX_DESCRIPTION = 2**24  # bytes


class EncoderBundle:
    """Several streams over one frame plan.

    Args:
        plan: the positions of a video and the frames around each.
        streams: name -> encoder, in column order.
        extra: further entries of `encoder.json` (provenance, scores).

    Example:
        >>> bundle = EncoderBundle.load("runs/encoder")
        >>> bundle.encode({"keyframe": frames})["keyframe"].shape
        (16, 1000)
    """

    def __init__(
        self, plan: FramePlan, streams: Mapping[str, StreamEncoder], extra: Mapping[str, Any] | None = None
    ) -> None:
        self.config = EncoderConfig(plan, tuple(stream.spec for stream in streams.values()))
        if tuple(streams) != tuple(spec.name for spec in self.config.streams):
            raise ConfigError("streams must be listed under their own names", where="streams")
        self.streams = dict(streams)
        self.extra = dict(extra or {})

    @property
    def plan(self) -> FramePlan:
        """The positions of a video and the frames around each."""
        return self.config.plan

    @property
    def plans(self) -> tuple[str, ...]:
        """The plans whose frames the streams read, as keys of `encode`'s clips."""
        return tuple(dict.fromkeys(spec.plan for spec in self.config.streams))

    @property
    def max_side(self) -> int:
        """Longest side, in pixels, that frames are kept at after decoding."""
        return DecodePlan.of(self.plan, self.config.streams).max_side

    @property
    def widths(self) -> tuple[tuple[str, int], ...]:
        """Name and width of each stream in column order, as `CaptionerConfig.streams`."""
        return tuple((spec.name, spec.width) for spec in self.config.streams)

    @property
    def exportable(self) -> bool:
        """Whether every stream runs inside a TensorFlow graph."""
        return all(stream.exportable for stream in self.streams.values())

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of settings and weights: equal for encoders that give equal features."""
        total = hashlib.sha256(json.dumps(to_dict(self.config), sort_keys=True).encode())
        for name, stream in self.streams.items():
            total.update(f" {name} {stream.digest()}".encode())
        return total.hexdigest()

    # === Encoding ===
    def encode(self, clips: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The streams of one video, per position.

        Args:
            clips: plan name -> uint8 (P, k, H, W, 3), or float of the input size of the streams that read it.

        Returns:
            stream name -> float32 (P, D).

        Raises:
            ConfigError: clips of a plan are missing or have wrong shapes.
        """
        return self.encode_batch([clips])[0]

    def encode_batch(self, videos: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """`encode` of several videos of any sizes; those of one size pass the networks together."""
        results: list[dict[str, np.ndarray]] = [{} for _ in videos]
        for name, stream in self.streams.items():
            groups: dict[tuple[Any, ...], list[int]] = {}
            for number, clips in enumerate(videos):
                if stream.spec.plan not in clips:
                    raise ConfigError(f"no clips of plan '{stream.spec.plan}'", where=f"stream {name}")
                array = clips[stream.spec.plan]
                groups.setdefault((array.shape[1:], array.dtype), []).append(number)
            for members in groups.values():
                arrays = [videos[number][stream.spec.plan] for number in members]
                values = stream.encode(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))
                ends = np.cumsum([len(array) for array in arrays])
                for number, rows in zip(members, np.split(values, ends[:-1]), strict=True):
                    results[number][name] = rows
        return results

    def frames_model(self) -> FramesModel:
        """The whole path from frames to pooled features inside one graph, for export.

        Raises:
            ExportError: a stream's file runs outside TensorFlow.
        """
        for name, stream in self.streams.items():
            if not stream.exportable:
                raise ExportError(
                    f"stream '{name}' is a {stream.source.suffix if stream.source else ''} file, which runs outside "
                    "TensorFlow",
                    remedy="export the captioner without its encoder, or use a Keras classifier",
                )
        return FramesModel(self)

    # === Folders ===
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the encoder folder, whole or not at all; an encoder that is there already is replaced.

        Raises:
            ConfigError: the folder holds something else.
        """
        with atomic.own_folder(path, (DESCRIPTION,), "encoder") as folder:
            self.write(folder)

    def write(self, folder: Path) -> None:
        """Writes the files of an encoder into an existing folder."""
        entries = to_dict(self.config)
        for entry, stream in zip(entries["streams"], self.streams.values(), strict=True):
            stream.write(folder)
            if stream.source is not None:
                entry["file"] = stream.file_name
        description = {"format": FORMAT, "version": VERSION, **self.extra, **entries}
        atomic.write_json(folder / DESCRIPTION, description)
        atomic.write_manifest(folder)

    @classmethod
    def from_config(cls, config: EncoderConfig, seed: int = 1) -> EncoderBundle:
        """A bundle of named kinds with random weights."""
        return cls(config.plan, {spec.name: StreamEncoder.build(spec, seed) for spec in config.streams})

    @classmethod
    def load(cls, source: str | os.PathLike[str]) -> EncoderBundle:
        """Loads an encoder folder, a JSON or TOML config file (config_file.py), or a preset with random weights.

        Raises:
            CheckpointError: not found, damaged, of another version, or weights that do not fit.
            ConfigError: a config file that is wrong.
        """
        path = Path(source)
        if path.is_dir():
            return cls._load_folder(path / "encoder" if not (path / DESCRIPTION).is_file() else path)
        if path.is_file():
            # Named, not imported: config files are made of bundles, so they stand below this module.
            return importlib.import_module(CONFIG_FILES).load_config_file(path)
        if str(source) in presets.PRESETS:
            return cls.from_config(presets.preset(str(source)))
        known = "an encoder folder, a .json or .toml config, or a preset (" + ", ".join(presets.PRESETS) + ")"
        raise CheckpointError("no such encoder", where=source, remedy=f"pass {known}")

    @classmethod
    def _load_folder(cls, folder: Path) -> EncoderBundle:
        if not (folder / DESCRIPTION).is_file():
            raise CheckpointError(
                "not an encoder folder: it has no encoder.json", where=folder, remedy="check the path"
            )
        atomic.verify_manifest(folder)
        try:
            values = documents.read_json(folder / DESCRIPTION, max_bytes=_MAX_DESCRIPTION)
        except DataError as error:
            raise CheckpointError(error.what, where=error.where, remedy=error.remedy) from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise CheckpointError("not an encoder folder", where=folder, remedy="check the path")
        if values.get("version") != VERSION:
            raise CheckpointError(
                f"encoder format {values.get('version')!r}, this program reads {VERSION}", where=folder
            )
        try:
            entries = {key: values[key] for key in ("plan", "streams") if key in values}
            config = from_dict(EncoderConfig, entries)
            streams = {spec.name: _load_stream(folder, spec) for spec in config.streams}
        except ConfigError as error:
            raise CheckpointError(error.what, where=folder / DESCRIPTION, remedy=error.remedy) from error
        known = {"format", "version", "plan", "streams"}
        return cls(config.plan, streams, {key: value for key, value in values.items() if key not in known})


def _load_stream(folder: Path, spec: presets.StreamSpec) -> StreamEncoder:
    if spec.kind == "classifier":
        from glrg_tf.encoders.classifier import load_classifier

        file = folder / Path(spec.file).name  # never a path out of the folder
        return load_classifier(spec, file)
    stream = StreamEncoder.build(spec)
    model_weights.read(folder / stream.file_name, stream.model)
    return stream


class FramesModel(tf.Module):
    """Frames of whole videos to pooled features, with core operations only.

    Call with uint8 frames (B, F, H, W, 3), every dimension dynamic; returns float32 (B, D), the streams side by side,
    each the mean over the plan's positions.
    """

    def __init__(self, bundle: EncoderBundle) -> None:
        super().__init__(name="frames_model")
        self.plan = bundle.plan
        self.encoders = list(bundle.streams.values())
        self.networks = [stream.model for stream in self.encoders]  # tracked: the SavedModel holds their weights
        self.width = bundle.config.width

    @tf.Module.with_name_scope
    def __call__(self, frames: tf.Tensor) -> tf.Tensor:
        """uint8 (B, F, H, W, 3) -> float32 (B, D)."""
        shape = tf.shape(frames)
        pooled = []
        for stream in self.encoders:
            spec = stream.spec
            wanted = tf.reshape(positions.frame_indices(self.plan, spec.plan, shape[1]), [-1])  # (P*k,)
            clips = tf.gather(frames, wanted, axis=1)  # (B, P*k, H, W, 3)
            clips = tf.reshape(clips, [-1, spec.frames, shape[2], shape[3], 3])
            values = stream.probabilities(clips)  # (B*P, D)
            values = tf.reshape(values, [-1, self.plan.positions, spec.width])
            pooled.append(tf.reduce_mean(values, axis=1))
        return tf.concat(pooled, axis=1)
