"""From what a person asks for to a network and its material: the choices of `glrg train-encoder` in one place."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.world.truth import FILE as TRUTH
from glrg_tf.encoders import presets
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.config_file import common_plan
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import ConfigError
from glrg_tf.io import documents
from glrg_tf.video.sampling import FramePlan
from training import encoder_labels
from training.encoder_config import EncoderTraining, default_training
from training.encoder_labels import LabelledVideos


@dataclasses.dataclass(frozen=True)
class EncoderChoices:
    """What the owner of a run chose; kept in its `config.json`, so that --resume needs no options."""

    kind: str  # long_range, short_range, keyframe
    data: str = ""  # caption dataset
    videos: str = ""  # folder of the video files
    labels: str = ""  # table, or truth or folder of a rendered world
    preset: str = "nano"
    backbone: str = ""  # 2D network
    weights: tuple[str, ...] = ()  # files of published weights
    words: int = 0  # K; 0 takes the preset's
    word_list: str = ""  # file of words, one a line
    input_size: int = 0  # pixels of both sides; 0 takes the preset's
    activation: str = ""  # sigmoid, softmax; empty decides by the labels
    seed: int = 1


@dataclasses.dataclass(frozen=True)
class EncoderPlan:
    """Everything a training needs."""

    choices: EncoderChoices
    spec: StreamSpec
    plan: FramePlan
    material: LabelledVideos
    settings: EncoderTraining

    def build(self) -> tuple[StreamEncoder, list[str]]:
        """The network with its first weights, and what was put into it."""
        stream = StreamEncoder.build(self.spec, self.choices.seed)
        if not self.choices.weights:
            return stream, []
        from glrg_tf.encoders.pretrained import put_weights

        return stream, [put_weights(stream.model, self.spec, file) for file in self.choices.weights]


def make_plan(choices: EncoderChoices, settings: EncoderTraining | None = None) -> EncoderPlan:
    """Reads the labels and sizes the network for them.

    Raises:
        ConfigError: choices that do not go together.
        DataError: labels or captions are refused, or no video files are found.
    """
    settings = settings or default_training(choices.kind, choices.preset)
    material = read_material(choices, settings)
    make = presets.paper_spec if choices.preset == "paper" else presets.nano_spec
    spec = make(choices.kind, material.labels)  # type: ignore[arg-type]
    if choices.backbone:
        spec = presets.with_backbone(spec, choices.backbone)
    elif choices.weights and choices.preset != "paper":
        raise ConfigError("the nano networks have no published weights", remedy="--preset paper, or name a --backbone")
    if choices.input_size:
        spec = dataclasses.replace(spec, input_size=(choices.input_size, choices.input_size))
    activation = choices.activation or ("sigmoid" if choices.kind == "long_range" else _natural(material))
    spec = dataclasses.replace(spec, activation=activation)  # type: ignore[arg-type]
    plan = FramePlan(short_frames=spec.frames) if choices.kind == "short_range" else _default_plan(choices.preset)
    return EncoderPlan(choices, spec, plan, material, settings)


def read_material(choices: EncoderChoices, settings: EncoderTraining) -> LabelledVideos:
    """The labelled videos of some choices."""
    videos = Path(choices.videos) if choices.videos else None
    if choices.kind == "long_range":
        if not choices.data:
            raise ConfigError("the long-range encoder learns words of captions", remedy="name a dataset with --data")
        count = choices.words or (300 if choices.preset == "paper" else 120)
        chosen = _word_list(choices.word_list) if choices.word_list else ()
        dataset = CaptionDataset.load(choices.data)
        return encoder_labels.from_captions(dataset, videos, count, chosen=chosen, targets=settings.targets)
    if not choices.labels:
        remedy = "name a table with --labels (csv or jsonl: video, labels), or the folder of a `glrg world`"
        raise ConfigError(f"a {choices.kind.replace('_', '-')} encoder needs labels", remedy=remedy)
    source = Path(choices.labels)
    if (source / TRUTH).is_file() or source.name == TRUTH:
        return encoder_labels.from_world(source if source.is_dir() else source.parent, choices.kind)
    splits = None
    if choices.data:
        splits = {record.id: record.split for record in CaptionDataset.load(choices.data).records()}
    return encoder_labels.from_table(source, videos, splits)


def join_bundles(sources: list[str], extra: dict[str, object] | None = None) -> EncoderBundle:
    """One bundle of the streams of several runs, encoder folders or config files, in the order of a captioner.

    Raises:
        ConfigError: two streams of one name, or encoders made for different frame plans.
        CheckpointError: one cannot be loaded.
    """
    streams: dict[str, StreamEncoder] = {}
    plans, trained = [], {}
    for source in sources:
        bundle = EncoderBundle.load(source)
        plans.append(bundle.plan)
        for name, stream in bundle.streams.items():
            if name in streams:
                raise ConfigError(f"two of them have a stream '{name}'", where=source, remedy="name each stream once")
            streams[name] = stream
        if "training" in bundle.extra:
            trained |= dict.fromkeys(bundle.streams, bundle.extra["training"])
    order = ["long_range", "short_range", "keyframe"]
    names = sorted(streams, key=lambda name: order.index(name) if name in order else len(order))
    return EncoderBundle(
        common_plan(plans), {name: streams[name] for name in names}, {"training": trained, **(extra or {})}
    )


def _natural(material: LabelledVideos) -> str:
    """One of the labels a moment (softmax), or several (sigmoid)?"""
    for video in material.videos:
        for span in video.spans:
            if any(other is not span and other.start < span.end and span.start < other.end for other in video.spans):
                return "sigmoid"
    return "softmax"


def _default_plan(preset: str) -> FramePlan:
    return presets.preset(preset).plan


def _word_list(file: str) -> tuple[str, ...]:
    words = [line.strip() for line in documents.read_text(file).splitlines()]
    chosen = tuple(dict.fromkeys(word for word in words if word))
    if not chosen:
        raise ConfigError("the list has no words", where=file)
    return chosen
