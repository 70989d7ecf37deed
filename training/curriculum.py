"""Incremental training (GL-RG section 3.4): seeding by XE or DXE from scratch, then boosting by DR from the seed.

RUN/ holds one phase directly, several under RUN/phases/{xe,dxe,dr}/; the last phase's best checkpoint is the run's
captioner. XE is there for comparison: boosting starts from DXE when both were trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from glrg_tf import config as settings
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.video_input import ENCODER
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io import atomic, lock
from glrg_tf.text.vocabulary import Vocabulary
from training import distribution, material
from training.checkpoints import BEST, LATEST
from training.config import PHASES, PhaseConfig, PhaseName, RunConfig
from training.loop import PhaseRun
from training.objectives.base import Objective
from training.objectives.dr import DiscrepantReward, Reward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy
from training.reporting import Reporter
from training.validation import Validator

_FREE_ON_RESUME = (
    "epochs",
    "patience",
    "save_every",
    "keep_checkpoints",
)  # when to stop may change; what happens until then may not


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


def make_plan(
    dataset_folder: str | os.PathLike[str],
    run_folder: str | os.PathLike[str],
    config: RunConfig,
    phases: tuple[str, ...],
    *,
    seed: int = 1,
    start: str | None = None,
    resume: bool = False,
) -> TrainingPlan:
    """Checks everything that can be refused before time is spent; writes nothing.

    Raises:
        DataError: data set missing or damaged, no training split, no features.
        ConfigError: unknown or misordered phases, no entrance model for boosting, the run exists, or it does not and
            should be resumed.
    """
    unknown = [phase for phase in phases if phase not in PHASES]
    if unknown or not phases:
        raise ConfigError(f"unknown phase '{', '.join(unknown)}'", where="--phases", remedy="of xe, dxe, dr")
    ordered = tuple(phase for phase in PHASES if phase in phases)
    dataset = CaptionDataset.load(dataset_folder)
    run = Path(run_folder)
    if resume and not (run / "config.json").is_file():
        raise ConfigError("there is no run to resume", where=run, remedy="start it without --resume")
    # A start that was killed before it had written its settings leaves hidden files at most.
    taken = run.exists() and (not run.is_dir() or any(not path.name.startswith(".") for path in run.iterdir()))
    if not resume and taken and distribution.read_task().chief:  # other workers may find what the chief began
        raise ConfigError("the run folder is not empty", where=run, remedy="--resume, or choose another --out")
    if ordered == ("dr",) and start is None:
        raise ConfigError(
            "boosting needs an entrance model",
            where="--start",
            remedy="--start RUN of a dxe run, or --phases dxe,dr",
        )
    return TrainingPlan(run, dataset, config, ordered, seed, start)


def train(
    plan: TrainingPlan,
    *,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    reporter: Reporter | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Path]:
    """Runs the phases of a plan.

    Args:
        plan: see `make_plan`.
        resume: go on from the newest checkpoint of every phase.
        strategy: replicas; None is one device.
        reporter: who is told.
        stop: asked after every step; True saves and raises KeyboardInterrupt.

    Returns:
        Best captioner folder of each phase.

    Raises:
        GlrgError: as `make_plan`, and CheckpointError on resume under other settings.
    """
    reporter = reporter or Reporter()
    workers = distribution.Workers(strategy)
    config = plan.config
    training = material.open_split(plan.dataset, "train", config.model)
    names = plan.dataset.splits
    validation = material.open_split(plan.dataset, "val", config.model) if "val" in names else None
    vocabulary = material.build_vocabulary(plan.dataset, training, config.min_count)
    entrance = None
    if plan.start is not None:
        entrance = VideoCaptioner.from_preset(plan.start)
        vocabulary = entrance.vocabulary
        config = dataclasses.replace(config, model=entrance.config)
    model_config = dataclasses.replace(config.model, vocabulary_size=len(vocabulary))
    config = dataclasses.replace(config, model=model_config)
    if validation is None:
        reporter.message("no val split: training to the last epoch, the last checkpoint is taken")
    if resume:
        _check_same_settings(plan, config)

    ngram_weights = material.build_ngram_weights(training, vocabulary)
    content_prior = material.build_content_prior(training, vocabulary, ngram_weights, config)
    best: dict[str, Path] = {}
    with contextlib.ExitStack() as held:
        for phase in plan.phases:
            phase_config = config.phase(phase)
            with strategy.scope() if strategy is not None else contextlib.nullcontext():
                model = CaptionerModel(model_config, seed=plan.seed)
                if phase == "dr":
                    source = best.get("dxe") or best.get("xe")
                    start = VideoCaptioner.from_preset(source) if source is not None else entrance
                    if start is None:
                        raise ConfigError("boosting needs an entrance model", where="--start")
                    model.set_weights(start.model.get_weights())
                elif entrance is not None:
                    model.set_weights(entrance.model.get_weights())
            with workers.chief_first():  # consensus scores are cached
                objective, scores = _objective(plan, phase, phase_config, training, vocabulary, reporter)
            if phase == plan.phases[0]:  # only now: until here nothing is written
                workers.on_chief(lambda: held.enter_context(lock.only_one(plan.run)))
            workers.on_chief(lambda: _prepare_folders(plan, config, vocabulary))
            run = PhaseRun(
                name=phase,
                folder=plan.folder(phase),
                model=model,
                vocabulary=vocabulary,
                objective=objective,
                batches=material.build_batches(
                    training, vocabulary, scores, phase_config, model_config.max_length, plan.seed
                ),
                validator=None
                if validation is None
                else Validator(validation, vocabulary, model_config.max_length - 2, workers),
                config=phase_config,
                decoding=DecodingConfig(
                    config.decoding_beam,
                    config.length_normalization,
                    model_config.max_length - 2,
                    config.decoding_selection,
                    config.decoding_word_bias,
                ),
                seed=plan.seed,
                strategy=strategy,
                reporter=reporter,
                stop=stop,
                data=_data_line(plan, training),
                workers=workers,
                ngram_weights=ngram_weights,
                content_prior=content_prior,
            )
            best[phase] = run.run(resume)
            if len(plan.phases) > 1:
                pointer = str(best[phase].relative_to(plan.run.resolve())) + "\n"
                workers.on_chief(lambda text=pointer: _point(plan.run, text))
    return best


def _point(run: Path, pointer: str) -> None:
    for name in (LATEST, BEST):
        atomic.write_text(run / name, pointer)


def _data_line(plan: TrainingPlan, training: material.Split) -> str:
    captions = sum(len(record.captions) for record in training.records)
    line = f"{plan.dataset.name}, {len(training.records):,} training videos with {captions:,} captions"
    licence = str(plan.dataset.description.get("licence", "")).strip()
    return f"{line}. Licence: {licence}" if licence else f"{line}; no licence is recorded."


def _objective(
    plan: TrainingPlan,
    phase: PhaseName,
    config: PhaseConfig,
    training: material.Split,
    vocabulary: Vocabulary,
    reporter: Reporter,
) -> tuple[Objective, list[Any] | None]:
    """The phase's objective, and the consensus scores its batches carry."""
    compat, scheduled = config.compat == "release", config.sampling != "off"

    def scores() -> list[Any]:
        return material.consensus_scores(plan.dataset, training, config.consensus_metric, reporter.consensus_progress)

    if phase == "xe":
        return CrossEntropy(scheduled, compat), None
    if phase == "dxe":
        return DiscriminativeCrossEntropy(scheduled, compat), scores()
    reward = build_reward(config, training, vocabulary)
    return DiscrepantReward(reward, config.baseline, compat), scores() if config.baseline == "b1" else None


def build_reward(config: PhaseConfig, training: material.Split, vocabulary: Vocabulary) -> Reward:
    """The reward of boosting: CIDEr-D in the graph, or a weighted mix with other metrics."""
    compat = config.compat == "release"
    cider = material.build_ciderd(training, vocabulary, use_eos=config.reward_end, shared_unknown=compat)
    if tuple(name for name, _ in config.reward) == ("CIDEr-D",):
        weight = config.reward[0][1]
        return cider if weight == 1.0 else lambda tokens, rows: weight * cider(tokens, rows)
    from glrg_tf.metrics.rewards import RewardMix  # the other metrics cost start-up time that CIDEr-D does not need

    return RewardMix.build(config.reward, training.captions, vocabulary, cider)


def _prepare_folders(plan: TrainingPlan, config: RunConfig, vocabulary: Vocabulary) -> None:
    values = {"phases": list(plan.phases), "seed": plan.seed, "data": str(plan.dataset.folder), "start": plan.start}
    values["settings"] = settings.to_dict(config)
    for folder in dict.fromkeys((plan.run, *(plan.folder(phase) for phase in plan.phases))):  # RUN first
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write_json(folder / "config.json", values)
        vocabulary.save(folder / "vocabulary.json")
    if plan.encoder is not None and not (plan.run / ENCODER).exists():
        plan.encoder.save(plan.run / ENCODER)


def _check_same_settings(plan: TrainingPlan, config: RunConfig) -> None:
    from glrg_tf.io import documents

    before = documents.read_json(plan.run / "config.json", error=DataError)
    changed = _differences(before.get("settings", {}), settings.to_dict(config))
    changed = [name for name in changed if name.rpartition(".")[2] not in _FREE_ON_RESUME]
    changed += ["seed"] if before.get("seed") != plan.seed else []
    if changed:
        raise CheckpointError(
            f"the run was started with other settings: {', '.join(changed)}",
            where=plan.run / "config.json",
            remedy="resume with the settings of its config.json, or start a new run",
        )


def _differences(before: Any, after: Any, prefix: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [d for k in keys for d in _differences(before.get(k), after.get(k), f"{prefix}{k}.")]
    return [] if before == after else [prefix.rstrip(".")]
