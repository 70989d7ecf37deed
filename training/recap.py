"""The curriculum of long video: clips, then segments, then summaries, each from what the level below has written.

    RUN/
      config.json            data, settings
      stages/<level>/        checkpoints of each stage (checkpoints.py)
      predictions/<level>.jsonl   what each level wrote of every video: what the next one read
      metrics.jsonl          one line a checkpoint
      captioner/             the result (recap/captioner.py)

Separate networks: a level starts from the weights of the one below; what only it has (the text alignment) is new.
Unified: one network; the second stage draws batches of clips and segments in turn, the third of all three, and before
each stage the levels below write their texts anew.

Matches the reference (fact sheet video-recap, section 8) except: predictions are written by the run itself; each stage
has its own warm-up and cosine (the reference resumes in mid-curve without one); the unified model runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_tf.config import to_dict
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.io import atomic, documents
from glrg_tf.recap.captioner import RecapCaptioner
from glrg_tf.recap.features import open_rows
from glrg_tf.recap.gpt2 import load_gpt2
from glrg_tf.recap.hierarchy import CLIP, LEVELS, VIDEO
from glrg_tf.recap.model import RecapNetwork
from glrg_tf.recap.settings import RecapConfig
from glrg_tf.recap.text_tokens import TextTokens, WordTokens
from training.recap_batches import LevelBatches
from training.recap_config import RecapTraining
from training.recap_data import Example, FeatureFolder, LongVideo, Told, examples, load_videos, lower_texts, texts_of
from training.recap_stage import Stage
from training.recap_writing import read_predictions, write_level, write_predictions
from training.reporting import Reporter

if TYPE_CHECKING:
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.encoders.bundle import EncoderBundle


@dataclasses.dataclass(frozen=True)
class RecapParts:
    """What a run takes over from others.

    Args:
        encoder: of the features; goes into the captioner.
        clip_captioner: a GL-RG captioner that writes the clips' captions.
        start: a captioner whose lower levels are taken over as they are, and whose words and weights others start from.
        tokens: GPT-2's byte pairs, say; None: the words of the training texts.
        gpt2: file of GPT-2's weights, which the first network's decoder starts from.
    """

    encoder: EncoderBundle | None = None
    clip_captioner: VideoCaptioner | None = None
    start: RecapCaptioner | None = None
    tokens: TextTokens | None = None
    gpt2: Path | None = None


def train_recap(
    dataset: CaptionDataset,
    out: Path,
    settings: RecapTraining,
    features: Path | None = None,
    parts: RecapParts | None = None,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RecapCaptioner:
    """Trains, and writes `out/captioner`.

    Args:
        dataset: whose records have texts at levels; splits "train" and, where there is one, "val".
        out: run folder; must not exist, unless `resume`.
        settings: of the run.
        features: folder of features (recap_data.py); None trains on texts alone.
        parts: what is taken over from elsewhere.
        resume: goes on where a run of the same settings stopped.
        reporter: who is told.
        stop: asked after every step; True saves and raises KeyboardInterrupt.

    Raises:
        ConfigError: the folder exists, or settings that do not fit the data.
        DataError: nothing to learn from.
    """
    run = _Run(dataset, out, settings, features, parts or RecapParts(), reporter or Reporter(), stop)
    about = {"data": str(dataset.folder), "features": str(features or ""), "settings": to_dict(settings)}
    if out.exists() and not resume:
        raise ConfigError("the folder exists", where=out, remedy="choose another --out, or --resume")
    if (out / "config.json").is_file() and documents.read_json(out / "config.json") != about:
        raise ConfigError("the run was started with other settings", where=out, remedy="choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    atomic.write_json(out / "config.json", about)
    captioner = run.train()
    captioner.save(out / "captioner", card=_card(captioner, about))
    return captioner


class _Run:
    def __init__(
        self,
        dataset: CaptionDataset,
        out: Path,
        settings: RecapTraining,
        features: Path | None,
        parts: RecapParts,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        self.out, self.settings, self.parts, self.reporter, self.stop = out, settings, parts, reporter, stop
        folder = FeatureFolder(features, settings.row_streams) if features is not None else None
        self.videos = load_videos(
            dataset, settings.hierarchy, folder, pseudo=settings.pseudo, texts_too=settings.texts_too
        )
        self.train_videos = [video for video in self.videos if video.split == "train"]
        if not self.train_videos:
            raise ConfigError("no video of split 'train' has texts at levels", where=dataset.folder)
        chosen = parts.start.tokens if parts.start is not None else parts.tokens
        self.tokens = chosen or WordTokens.build(texts_of(self.train_videos), settings.min_count, dataset.tokenizer)
        self.config = _sized(settings.model, self.tokens, self.videos, settings.levels)
        self.written: dict[str, Mapping[str, Sequence[Told]]] = {}
        self.networks: dict[str, RecapNetwork] = {}

    def train(self) -> RecapCaptioner:
        start = self.parts.start
        if start is not None:
            kept = [level for level in start.levels if LEVELS.index(level) < LEVELS.index(self.settings.levels[0])]
            self.networks = {level: start.networks[level] for level in kept if level in start.networks}
            for level in kept:
                self._write(level, start, "start")
        elif self.parts.clip_captioner is not None and CLIP not in self.settings.levels:
            self._write(
                CLIP, self._captioner({self.settings.levels[0]: self._network(self.settings.levels[0])}), "gl-rg"
            )
        for number, level in enumerate(self.settings.levels):
            network = self._network(level)
            active = self.settings.levels[: number + 1] if self.settings.unified else (level,)
            own = {name: network for name in active}
            stage = self._stage(level, network, active, own)
            stage.run()
            self.networks[level] = network
            if self.settings.below == "written" and level != VIDEO and number + 1 < len(self.settings.levels):
                for lower in active if self.settings.unified else (level,):
                    self._write(lower, self._captioner(own), f"after-{level}")
            self._note(stage)
        return self._captioner(self.networks)

    def _network(self, level: str) -> RecapNetwork:
        """The network of a stage: the one so far (unified), or a new one that starts from the level below."""
        if self.settings.unified and self.networks:
            return list(self.networks.values())[-1]
        config = self.config if self.settings.unified else _of_level(self.config, level)
        network = RecapNetwork(config, self.settings.seed)
        below = list(self.networks.values())[-1] if self.networks else None
        if below is None and self.parts.start is not None:
            below = list(self.parts.start.networks.values())[-1]
        if below is not None:
            network.start_from(below)
        elif self.parts.gpt2 is not None:
            load_gpt2(network, self.parts.gpt2)
        return network

    def _stage(self, level: str, network: RecapNetwork, active: Sequence[str], own: dict[str, RecapNetwork]) -> Stage:
        batches = {name: self._batches(name, network.config, self._found(name, self.train_videos)) for name in active}
        held = {name: self._found(name, [v for v in self.videos if v.split == "val"]) for name in active}
        checks = {name: self._batches(name, network.config, found) for name, found in held.items() if found}
        bare = RecapCaptioner(own, self.tokens, self.settings.hierarchy)
        folder = self.out / "stages" / level
        return Stage(level, folder, bare, network, batches, checks, self.settings, self.reporter, self.stop)

    def _found(self, level: str, videos: Sequence[LongVideo]) -> list[Example]:
        below = {video.id: lower_texts(video, level, self.written) for video in videos}
        return [e for v in videos for e in examples(v, level, self.settings.hierarchy, below[v.id])]

    def _batches(self, level: str, config: RecapConfig, found: Sequence[Example]) -> LevelBatches:
        chosen = self.settings
        return LevelBatches(found, level, config, self.tokens, chosen.batch_size, chosen.seed, chosen.text_dropout)

    def _write(self, level: str, captioner: RecapCaptioner, when: str) -> None:
        """Lets a level write its texts of every video, or reads what it wrote before the run was interrupted."""
        file = self.out / "predictions" / when / f"{level}.jsonl"
        if not file.is_file():
            self.reporter.message(f"level '{level}' writes what the next one reads")
            texts = write_level(captioner, level, self.videos, self.written)
            write_predictions(file, texts)
        self.written[level] = read_predictions(file)

    def _captioner(self, networks: Mapping[str, RecapNetwork]) -> RecapCaptioner:
        start = self.parts.start
        return RecapCaptioner(
            networks,
            self.tokens,
            self.settings.hierarchy,
            encoder=self.parts.encoder or (start.encoder if start is not None else None),
            clip_captioner=self.parts.clip_captioner or (start.clip_captioner if start is not None else None),
            row_streams=self.settings.row_streams,
        )

    def _note(self, stage: Stage) -> None:
        rows = [{"stage": stage.name, **row} for row in stage.history]
        file = self.out / "metrics.jsonl"
        before = [row for _, row in documents.read_json_lines(file)] if file.is_file() else []
        atomic.write_json_lines(file, [row for row in before if row["stage"] != stage.name] + rows)


def _sized(model: RecapConfig, tokens: TextTokens, videos: Sequence[LongVideo], levels: Sequence[str]) -> RecapConfig:
    """The sizes with the vocabulary and the widths that the data have."""
    dense = next((video.dense for video in videos if video.dense is not None), None)
    rows = next((video.rows for video in videos if video.rows is not None), None)
    files = [text.features for video in videos for text in video.texts.segment if text.features]
    if rows is None and files:
        rows = open_rows(files[0]).read(0, 1)
    if CLIP in levels and dense is None:
        raise FeatureError(
            "no dense features of clips, so clips cannot be learned",
            remedy="give --features with dense/, or leave clips out: --levels segment,video",
        )
    reading = rows is not None and model.inputs != "text"
    if model.inputs == "video" and rows is None:
        raise FeatureError("no features, and the model is to read nothing else", remedy="give --features")
    return dataclasses.replace(
        model,
        vocabulary_size=tokens.size,
        separator=tokens.separator,
        dense_width=dense.shape[2] if dense is not None and CLIP in levels else 0,
        max_clip_tokens=dense.shape[1] if dense is not None and CLIP in levels else model.max_clip_tokens,
        row_width=rows.shape[1] if reading else 0,
    )


def _of_level(config: RecapConfig, level: str) -> RecapConfig:
    """The sizes without what a level has no use for."""
    if level == CLIP:
        return dataclasses.replace(config, row_width=0, text_queries=0, inputs="both")
    return dataclasses.replace(config, dense_width=0)


def _card(captioner: RecapCaptioner, about: dict[str, Any]) -> str:
    counts = {name: network.count() for name, network in captioner.named_networks.items()}
    sizes = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return (
        "# Captioner of long video\n\n"
        f"- **Levels** {', '.join(captioner.levels)}; clips of {captioner.hierarchy.clip_seconds:g} s, segments of "
        f"{captioner.hierarchy.segment_seconds:g} s.\n- **Parameters** {sizes}.\n- **Trained** on {about['data']}.\n\n"
        f"```json\n{json.dumps(about['settings'], indent=1)}\n```\n"
    )
