"""A checked plan made ready: its material read once, then one `PhaseRun` a phase. Writes nothing but cached scores."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.errors import ConfigError
from glrg_tf.text.vocabulary import Vocabulary
from training import distribution, material
from training.config import PhaseConfig, PhaseName, RunConfig
from training.loop import PhaseRun
from training.objectives.base import Objective
from training.objectives.dr import DiscrepantReward, Reward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy
from training.reporting import Reporter
from training.validation import Validator


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """A run that was checked and not started yet.

    Attributes:
        run: run folder.
        dataset: what to train on.
        config: all settings.
        phases: in order.
        seed: of weights, data order and sampling.
        start: captioner folder or run to start boosting from, if it is not trained here.
        encoder: what made the features from videos; kept in RUN/encoder, so that the run's captioners read videos.
    """

    run: Path
    dataset: CaptionDataset
    config: RunConfig
    phases: tuple[PhaseName, ...]
    seed: int
    start: str | None = None
    encoder: EncoderBundle | None = None

    def folder(self, phase: PhaseName) -> Path:
        """The run folder of a phase."""
        return self.run if len(self.phases) == 1 else self.run / "phases" / phase


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A plan with its material.

    Attributes:
        plan: what was checked.
        config: its settings with the vocabulary's size, and the model of the entrance captioner where there is one.
        training: videos, captions and features of the train split.
        validation: those of val; None without that split.
        vocabulary: of the captioners.
        entrance: where boosting starts from when nothing is seeded here.
        ngram_weights: of the training captions.
        content_prior: see `material.build_content_prior`.
        workers: the processes of the strategy.
        strategy: replicas; None is one device.
        reporter: who is told.
    """

    plan: TrainingPlan
    config: RunConfig
    training: material.Split
    validation: material.Split | None
    vocabulary: Vocabulary
    entrance: VideoCaptioner | None
    ngram_weights: Any
    content_prior: Any
    workers: distribution.Workers
    strategy: tf.distribute.Strategy | None
    reporter: Reporter

    @property
    def decoding(self) -> DecodingConfig:
        """How val is captioned, and what the captioners do by default."""
        return DecodingConfig(
            min(self.config.decoding_beam, self.config.model.vocabulary_size),  # tiny vocabularies fill no wide beam
            self.config.length_normalization,
            self.config.model.max_length - 2,
            self.config.decoding_selection,
            self.config.decoding_word_bias,
        )

    def phase_run(
        self, phase: PhaseName, seed: Path | None = None, stop: Callable[[], bool] = lambda: False
    ) -> PhaseRun:
        """The phase, ready to run.

        Args:
            phase: xe, dxe or dr.
            seed: captioner that boosting starts from; None takes the entrance captioner.
            stop: asked after every step.

        Raises:
            ConfigError: boosting without either.
        """
        plan, config = self.plan, self.config.phase(phase)
        max_length = self.config.model.max_length
        with self.strategy.scope() if self.strategy is not None else contextlib.nullcontext():
            model = CaptionerModel(self.config.model, seed=plan.seed)
            if phase == "dr":
                start = VideoCaptioner.from_preset(seed) if seed is not None else self.entrance
                if start is None:
                    raise ConfigError("boosting needs an entrance model", where="--start")
                model.set_weights(start.model.get_weights())
            elif self.entrance is not None:
                model.set_weights(self.entrance.model.get_weights())
        with self.workers.chief_first():  # consensus scores are cached
            objective, scores = self._objective(phase, config)
        return PhaseRun(
            name=phase,
            folder=plan.folder(phase),
            model=model,
            vocabulary=self.vocabulary,
            objective=objective,
            batches=material.build_batches(self.training, self.vocabulary, scores, config, max_length, plan.seed),
            validator=None
            if self.validation is None
            else Validator(self.validation, self.vocabulary, max_length - 2, self.workers),
            config=config,
            decoding=self.decoding,
            seed=plan.seed,
            strategy=self.strategy,
            reporter=self.reporter,
            stop=stop,
            data=_data_line(plan, self.training),
            workers=self.workers,
            ngram_weights=self.ngram_weights,
            content_prior=self.content_prior,
        )

    def _objective(self, phase: PhaseName, config: PhaseConfig) -> tuple[Objective, list[Any] | None]:
        """The phase's objective, and the consensus scores its batches carry."""
        compat, scheduled = config.compat == "release", config.sampling != "off"
        if phase == "xe":
            return CrossEntropy(scheduled, compat), None
        if phase == "dxe":
            return DiscriminativeCrossEntropy(scheduled, compat), self.scores(config)
        reward = build_reward(config, self.training, self.vocabulary)
        return DiscrepantReward(reward, config.baseline, compat), self.scores(
            config
        ) if config.baseline == "b1" else None

    def scores(self, config: PhaseConfig) -> list[Any]:
        """Consensus scores of the training captions, from the dataset's cache where they are known."""
        told = self.reporter.consensus_progress
        return material.consensus_scores(self.plan.dataset, self.training, config.consensus_metric, told)


def prepare(
    plan: TrainingPlan, strategy: tf.distribute.Strategy | None = None, reporter: Reporter | None = None
) -> Prepared:
    """Reads what a plan trains on.

    Raises:
        GlrgError: the data or the entrance captioner is damaged or does not fit.
    """
    config, names = plan.config, plan.dataset.splits
    entrance = VideoCaptioner.from_preset(plan.start) if plan.start is not None else None
    if entrance is not None:  # its streams are what the splits must have
        config = dataclasses.replace(config, model=entrance.config)
    training = material.open_split(plan.dataset, "train", config.model)
    validation = material.open_split(plan.dataset, "val", config.model) if "val" in names else None
    if entrance is not None:
        vocabulary = entrance.vocabulary
    else:
        vocabulary = material.build_vocabulary(plan.dataset, training, config.min_count)
    model = dataclasses.replace(config.model, vocabulary_size=len(vocabulary))
    config = dataclasses.replace(config, model=model)
    ngram_weights = material.build_ngram_weights(training, vocabulary)
    content_prior = material.build_content_prior(training, vocabulary, ngram_weights, config)
    workers = distribution.Workers(strategy)
    return Prepared(
        plan,
        config,
        training,
        validation,
        vocabulary,
        entrance,
        ngram_weights,
        content_prior,
        workers,
        strategy,
        reporter or Reporter(),
    )


def _data_line(plan: TrainingPlan, training: material.Split) -> str:
    captions = sum(len(record.captions) for record in training.records)
    line = f"{plan.dataset.name}, {len(training.records):,} training videos with {captions:,} captions"
    licence = str(plan.dataset.description.get("licence", "")).strip()
    return f"{line}. Licence: {licence}" if licence else f"{line}; no licence is recorded."


def build_reward(config: PhaseConfig, training: material.Split, vocabulary: Vocabulary) -> Reward:
    """The reward of boosting: CIDEr-D in the graph, or a weighted mix with other metrics."""
    compat = config.compat == "release"
    cider = material.build_ciderd(training, vocabulary, use_eos=config.reward_end, shared_unknown=compat)
    if tuple(name for name, _ in config.reward) == ("CIDEr-D",):
        weight = config.reward[0][1]
        return cider if weight == 1.0 else lambda tokens, rows: weight * cider(tokens, rows)
    from glrg_tf.metrics.rewards import RewardMix  # the other metrics cost start-up time that CIDEr-D does not need

    return RewardMix.build(config.reward, training.captions, vocabulary, cider)
