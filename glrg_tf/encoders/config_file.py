"""A bundle described in a small JSON or TOML file: streams from classifier files, trained encoders and presets.

    {"streams": [
       {"name": "keyframe", "kind": "classifier", "file": "mobilenet_v2_1.0_224_quant.tflite",
        "labels": "imagenet_labels.txt", "drop_first": true},
       {"name": "short_range", "kind": "short_range", "preset": "paper", "weights": ["r3d_18.h5"]},
       {"name": "long_range", "from": "runs/long"}
     ],
     "plan": {"positions": 16, "short_frames": 16}}

Paths are relative to the file. A stream "from" a folder (an encoder, or a run of `glrg train-encoder`) is taken as it
is. A classifier's input size, number of outputs and whether they are logits are read from the classifier itself. A
network with published weights (`glrg convert torchvision`, or "imagenet" for one of keras.applications) is taken only
where its last layer comes with them: ResNeXt-101 is a keyframe encoder, 3D-ResNet-18 a short-range one.
"""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from glrg_tf.config import from_dict, to_dict
from glrg_tf.encoders import classifier, presets
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import documents
from glrg_tf.video.sampling import FramePlan

_MAX_BYTES = 2**22  # of a config or a label file


def load_config_file(path: Path) -> EncoderBundle:
    """The bundle that a config file describes.

    Raises:
        ConfigError: not JSON or TOML, unknown keys, or streams that do not fit together.
        CheckpointError: a file or folder it names is refused.
    """
    values = _read(path)
    for key in values:
        if key not in ("streams", "plan"):
            raise ConfigError(f"unknown setting '{key}'", where=path, remedy="known: streams, plan")
    entries = values.get("streams")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("'streams' wants a list of settings, at least one", where=path)
    try:
        plan = from_dict(FramePlan, values["plan"], "plan") if "plan" in values else None
        streams, plans = {}, []
        for entry in entries:
            stream, own_plan = _stream(entry, path.parent)
            if stream.spec.name in streams:
                raise ConfigError(f"two streams are named '{stream.spec.name}'", where="streams")
            streams[stream.spec.name] = stream
            plans += [own_plan] if own_plan else []
        return EncoderBundle(plan or common_plan(plans), streams)
    except ConfigError as error:
        where = f"{path}: {error.where}" if error.where else path
        raise ConfigError(error.what, where=where, remedy=error.remedy) from error


def common_plan(plans: list[FramePlan]) -> FramePlan:
    """The one plan that streams of several encoders agree on; the default where there is none.

    Raises:
        ConfigError: they differ.
    """
    if any(plan != plans[0] for plan in plans):
        raise ConfigError(
            "the encoders were made for different frame plans: " + "; ".join(dict.fromkeys(map(str, plans))),
            remedy="name the plan in a config file",
        )
    return plans[0] if plans else FramePlan()


def _stream(entry: dict[str, Any], folder: Path) -> tuple[StreamEncoder, FramePlan | None]:
    if "from" in entry:
        return _stream_of_bundle(entry, folder)
    if "weights" in entry:
        return _stream_of_weights(entry, folder), None
    fields = {key: value for key, value in entry.items() if key != "labels"}
    name, file = fields.get("name"), fields.get("file")
    if fields.setdefault("kind", "classifier") != "classifier" or not isinstance(file, str):
        raise ConfigError(
            "a stream of a config file wants 'file' (a classifier) or 'from' (a trained encoder)",
            where=f"streams.{name}",
        )
    path = folder / file
    described = classifier.describe(path, str(fields.get("normalise", "unit")))
    dropped = fields.get("drop_first", False) is True
    labels = _labels(entry.get("labels"), folder, described.outputs, dropped)
    found = {"input_size": list(described.input_size), "logits": described.logits, "preset": "custom"}
    fields = {"activation": "softmax", "fit": "crop", **found, **fields}
    fields |= {"width": described.outputs - dropped, "labels": labels}
    spec = from_dict(StreamSpec, fields, f"streams.{name}")
    spec = dataclasses.replace(spec, file=spec.name + path.suffix.lower())  # its name in a saved folder
    return classifier.load_classifier(spec, path), None


def _stream_of_weights(entry: dict[str, Any], folder: Path) -> StreamEncoder:
    """A network of ours as a published classifier."""
    from glrg_tf.encoders.pretrained import put_weights

    known = ("name", "kind", "preset", "backbone", "weights", "labels", "input_size", "fit")
    for key in entry:
        if key not in known:
            raise ConfigError(f"unknown setting '{key}' beside 'weights'", remedy="known: " + ", ".join(known))
    kind, files = entry.get("kind"), entry["weights"]
    files = [files] if isinstance(files, str) else files
    if kind not in ("keyframe", "short_range") or not isinstance(files, list) or not all(map(_is_text, files)):
        raise ConfigError(
            "'weights' wants files, and 'kind' keyframe or short_range", where=f"streams.{entry.get('name')}"
        )
    spec = presets.paper_spec(kind)
    if isinstance(entry.get("backbone"), str):
        spec = presets.with_backbone(spec, entry["backbone"])
    labels = _labels(entry.get("labels"), folder, spec.width, False)
    changes = {key: entry[key] for key in ("name", "input_size", "fit") if key in entry}
    spec = from_dict(StreamSpec, {**to_dict(spec), "labels": labels, **changes}, f"streams.{kind}")
    stream = StreamEncoder.build(spec)
    notes = [put_weights(stream.model, spec, file if file == "imagenet" else folder / file) for file in files]
    if not any(note.endswith("with its last layer") for note in notes):
        raise ConfigError("; ".join(notes), where=f"streams.{spec.name}", remedy="train it with `glrg train-encoder`")
    return stream


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _stream_of_bundle(entry: dict[str, Any], folder: Path) -> tuple[StreamEncoder, FramePlan]:
    for key in entry:
        if key not in ("from", "name", "stream"):
            raise ConfigError(f"unknown setting '{key}' beside 'from'", remedy="known: from, stream, name")
    if not all(isinstance(value, str) for value in entry.values()):
        raise ConfigError("'from', 'stream' and 'name' want text", where="streams")
    source = folder / entry["from"]
    bundle = EncoderBundle.load(source)
    wanted = entry.get("stream", entry.get("name", next(iter(bundle.streams))))
    if wanted not in bundle.streams:
        raise ConfigError(f"no stream '{wanted}'", where=source, remedy="it has " + ", ".join(bundle.streams))
    stream = bundle.streams[wanted]
    name = entry.get("name", wanted)
    if name != wanted:
        stream = StreamEncoder(dataclasses.replace(stream.spec, name=name), stream.model, stream.source)
    return stream, bundle.plan


def _labels(value: Any, folder: Path, outputs: int, dropped: bool) -> list[str]:
    """Labels from a list or a text file of one a line; the background's is dropped with its output."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        labels = list(value)
    elif isinstance(value, str):
        try:
            labels = documents.read_text(folder / value, max_bytes=_MAX_BYTES).splitlines()
        except DataError as error:
            raise ConfigError(error.what, where=error.where, remedy=error.remedy) from error
        while labels and not labels[-1].strip():
            labels.pop()
    else:
        raise ConfigError("'labels' wants a file of one label a line, or a list", where="labels")
    if dropped and len(labels) == outputs:
        labels = labels[1:]
    if len(labels) != outputs - dropped:
        raise ConfigError(f"{len(labels)} labels for {outputs} outputs", where="labels", remedy="is drop_first right?")
    return labels


def _read(path: Path) -> dict[str, Any]:
    try:
        text = documents.read_text(path, max_bytes=_MAX_BYTES)
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else documents.parse_json(text, path)
    except DataError as error:
        raise ConfigError(error.what, where=error.where, remedy=error.remedy) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML ({error})", where=path, remedy="mend it") from error
    if not isinstance(values, dict):
        raise ConfigError(f"expected settings by name, found {type(values).__name__}", where=path)
    return values
