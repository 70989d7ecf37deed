"""Incremental training (GL-RG section 3.4): seeding by XE or DXE from scratch, then boosting by DR from the seed.

RUN/ holds one phase directly, several under RUN/phases/{xe,dxe,dr}/; the last phase's best checkpoint is the run's
captioner. XE is there for comparison: boosting starts from DXE when both were trained.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from glrg_tf import config as settings
from glrg_tf.captioner.video_input import ENCODER
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io import atomic, lock
from glrg_tf.text.vocabulary import Vocabulary
from training import distribution, phase_setup
from training.checkpoints import BEST, LATEST
from training.config import PHASES, RunConfig
from training.phase_setup import TrainingPlan
from training.reporting import Reporter

_FREE_ON_RESUME = (
    "epochs",
    "patience",
    "save_every",
    "keep_checkpoints",
)  # when to stop may change; what happens until then may not


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
    ready = phase_setup.prepare(plan, strategy, reporter)
    workers, config = ready.workers, ready.config
    if ready.validation is None:
        reporter.message("no val split: training to the last epoch, the last checkpoint is taken")
    if resume:
        _check_same_settings(plan, config)

    best: dict[str, Path] = {}
    with contextlib.ExitStack() as held:
        for phase in plan.phases:
            run = ready.phase_run(phase, best.get("dxe") or best.get("xe"), stop)
            if phase == plan.phases[0]:  # only now: until here nothing is written
                workers.on_chief(lambda: held.enter_context(lock.only_one(plan.run)))
            workers.on_chief(lambda: _prepare_folders(plan, config, ready.vocabulary))
            best[phase] = run.run(resume)
            if len(plan.phases) > 1:
                pointer = str(best[phase].relative_to(plan.run.resolve())) + "\n"
                workers.on_chief(lambda text=pointer: _point(plan.run, text))
    return best


def _point(run: Path, pointer: str) -> None:
    for name in (LATEST, BEST):
        atomic.write_text(run / name, pointer)


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
