"""`glrg train`: a recipe on a dataset into a run folder, with a table of scores at the end.

Everything that can be refused is refused before the run folder is made. An option that is not given on --resume is
taken from the run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import shlex
from typing import TYPE_CHECKING, Any

from glrg_cli import train_inputs, train_plan
from glrg_cli.common import Console
from glrg_cli.parser import add_strategy, integer, nearest
from glrg_tf.data.dataset import read_description
from glrg_tf.errors import CheckpointError, ConfigError, DataError, GlrgError
from training import config as training_config
from training import distribution
from training.determinism import make_deterministic
from training.recipes import NAMES, get_recipe

if TYPE_CHECKING:
    import tensorflow as tf

    from glrg_tf.captioner.presets import CaptionerConfig
    from training.curriculum import TrainingPlan

HELP = "train a captioner: XE or DXE seeding, then DR boosting"
DEFAULT_RECIPE, DEFAULT_SEED = "glrg", 1
DESCRIPTION = """\
Trains a captioner on a dataset and ends with a table of BLEU-4, METEOR, ROUGE-L and CIDEr a phase, judged on test
where it has features, else on val. Training stops early when val gets no better. Ctrl-C saves the state after the
current step; --resume goes on exactly there."""
EXAMPLES = """\
examples:
  glrg train --data data/msrvtt --out runs/a --recipe glrg
  glrg train --data data/msrvtt --out runs/b --phases xe,dxe,dr --seed 2
  glrg train --data data/msrvtt --out runs/a --resume
  glrg train --data data/msrvtt --out runs/c --recipe scst --start runs/b/phases/dxe
  glrg train --data data/msrvtt --out runs/d --epochs 5 --set train.learning_rate=1e-4 --set dr.baseline=loo
  glrg train --data data/msrvtt --out runs/e --streams keyframe
  glrg train --data data/mine --out runs/f --encoder encoders/mine   (then `glrg caption runs/f clip.mp4`)
  glrg train --data data/msrvtt --out runs/g --dry-run

settings for --set: model.KEY, train.KEY (every phase), xe.KEY, dxe.KEY, dr.KEY, min_count, decoding_beam;
--dry-run --json shows all of them with their values.

recipes:
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg train`."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset folder of `glrg data import`")
    parser.add_argument("--out", metavar="RUN", required=True, help="run folder; must be new unless --resume")
    parser.add_argument("--recipe", metavar="NAME", help=f"{', '.join(NAMES)} (default: {DEFAULT_RECIPE})")
    parser.add_argument("--phases", metavar="P,P", help="of xe,dxe,dr (default: the recipe's)")
    parser.add_argument("--epochs", type=integer(1), metavar="N", help="most epochs of each phase")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--start", metavar="RUN", help="entrance model: a run or captioner folder")
    train_inputs.add_arguments(parser)
    add_strategy(parser)
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="same seed, same weights to the bit on one machine; slower on a GPU",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, show the plan, write nothing")
    parser.epilog = EXAMPLES + "\n".join(f"  {name:7s} {get_recipe(name).summary}" for name in NAMES)


def run(args: argparse.Namespace, console: Console) -> int:
    """Checks, trains, scores."""
    choices = _choices(args, console)
    read_description(pathlib.Path(args.data))  # a wrong path is told before TensorFlow is loaded
    task = distribution.read_task()
    if args.deterministic:
        make_deterministic(choices["seed"])
    strategy = distribution.make_strategy(args.strategy)  # workers must meet before TensorFlow does anything else

    from training.curriculum import make_plan

    plan = make_plan(
        args.data,
        args.out,
        choices["config"],
        choices["phases"],
        seed=choices["seed"],
        start=choices["start"],
        resume=args.resume,
    )
    splits, model = _check_features(plan)
    if args.encoder is not None:
        plan = dataclasses.replace(plan, encoder=train_inputs.check_encoder(args.encoder, plan, model, console))
    if args.dry_run:
        train_plan.show(plan, splits, console)
        return 0
    best = _train(plan, args, console, strategy)
    if not task.chief:
        return 0

    from glrg_cli.final_scores import score_phases

    console.interrupt_note = f"training is done; `glrg evaluate {plan.run} --data {args.data}` scores it"
    scores = score_phases(plan, best, console)
    _report(plan, console)
    last = list(best)[-1]
    console.info(f"captioner: {plan.run} (checkpoint {best[last]})")
    if plan.encoder is not None:
        console.info(f"it reads videos: `glrg caption {plan.run} clip.mp4`")
    console.result(
        {"run": str(plan.run), "captioners": {phase: str(folder) for phase, folder in best.items()}, "final": scores}
    )
    return 0


def _choices(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Settings, phases, seed and entrance model: from the options, else from the run that is resumed, else defaults."""
    saved = _saved(pathlib.Path(args.out)) if args.resume else {}
    recipe = get_recipe(args.recipe or DEFAULT_RECIPE)
    resumed = bool(saved) and args.recipe is None
    config = training_config.from_dict(saved["settings"]) if resumed else recipe.config
    phases = tuple(saved["phases"]) if resumed else recipe.phases
    if args.phases is not None:
        phases = _phases(args.phases)
    if recipe.sized and not resumed:
        config = train_inputs.fit_to_data(config, args.data, phases, console)
    if args.epochs is not None:
        config = training_config.override(config, [f"train.epochs={args.epochs}"])
    start = saved.get("start") if args.start is None else args.start
    config = training_config.override(config, args.set)
    return {
        "config": train_inputs.choose_streams(config, args, start, bool(saved)),
        "phases": phases,
        "seed": saved.get("seed", DEFAULT_SEED) if args.seed is None else args.seed,
        "start": start,
    }


def _phases(text: str) -> tuple[str, ...]:
    phases = tuple(name.strip() for name in text.split(","))
    for name in phases:
        if name not in training_config.PHASES:
            near = nearest(name, training_config.PHASES)
            remedy = f"did you mean '{near}'?" if near else "of xe, dxe, dr, separated by commas"
            raise ConfigError(f"unknown phase '{name}'", where="--phases", remedy=remedy)
    return phases


def _saved(run: pathlib.Path) -> dict[str, Any]:
    """What the run folder says of itself; empty when there is none (the plan refuses that)."""
    path = run / "config.json"
    if not path.is_file():
        return {}
    try:
        saved = json.loads(path.read_text("utf-8"))
        training_config.from_dict(saved["settings"])
        sound = isinstance(saved["phases"], list) and isinstance(saved["seed"], int) and saved["phases"]
        if not sound or not isinstance(saved.get("start"), str | None):
            raise TypeError("phases, seed or start has a wrong type")
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"the run's config.json is damaged ({error})", where=path, remedy="train again into another --out"
        ) from None
    return saved


def _check_features(plan: TrainingPlan) -> tuple[dict[str, tuple[int, int]], CaptionerConfig]:
    """Reads all features once, so that a bad file is told before the run folder exists.

    Returns:
        Videos and captions of each split, and the model's settings (the entrance model's, if there is one).
    """
    from training import material

    model = plan.config.model
    if plan.start is not None:
        from glrg_tf.captioner.captioner import VideoCaptioner

        model = VideoCaptioner.from_preset(plan.start).config
    if "train" not in plan.dataset.splits:
        raise DataError("the dataset has no train split", where=plan.dataset.folder, remedy="import it with --splits")
    counts: dict[str, tuple[int, int]] = {}
    for name in ("train", "val"):
        if name in plan.dataset.splits:
            split = material.open_split(plan.dataset, name, model)
            split.features()
            counts[name] = (len(split.records), sum(len(captions) for captions in split.captions))
    return counts, model


def _report(plan: TrainingPlan, console: Console) -> None:
    """Writes RUN/report.html; a page that cannot be written is no reason to fail after hours of training."""
    from glrg_cli.report_runs import write_page

    page = plan.run / "report.html"
    try:
        write_page([plan.run], page, console, data=str(plan.dataset.folder))
    except (GlrgError, OSError) as error:
        console.warning(f"no report: {error}; `glrg report {plan.run}` tries again")
    else:
        console.info(f"report: {page}")


def _train(
    plan: TrainingPlan, args: argparse.Namespace, console: Console, strategy: tf.distribute.Strategy | None
) -> dict[str, pathlib.Path]:
    from glrg_cli.training_console import ConsoleReporter, Stopper
    from training.curriculum import train

    resume = f"`glrg train --data {shlex.quote(args.data)} --out {shlex.quote(args.out)} --resume`"
    with Stopper(console) as stopper:
        reporter = ConsoleReporter(console, stopper)
        try:
            return dict(train(plan, resume=args.resume, strategy=strategy, reporter=reporter, stop=stopper))
        except KeyboardInterrupt:
            if (plan.run / "config.json").is_file():
                saved = "state saved" if stopper.requested else "the last checkpoint is whole"
                console.interrupt_note = f"{saved}; go on with {resume}"
            raise
        finally:
            reporter.close()
