"""`glrg recap pseudo`: a teacher that reads texts alone writes the segments and summaries that records lack."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.recap_options import EXAMPLE, add_lengths, hierarchy_of
from glrg_tf import config as settings
from glrg_tf.errors import ConfigError
from training.recap_config import RecapTraining

DESCRIPTION = """\
Trains a teacher on the records that people described at every level (texts alone: clips' captions in, descriptions and
summaries out), lets it write what other records lack, and writes a copy of the dataset with these texts, marked as a
machine's. `glrg recap train --set pseudo=true` learns from them."""
EXAMPLES = """\
examples:
  glrg recap pseudo --data data/ego4d --teacher-out runs/teacher --out data/ego4d-pseudo
  glrg recap pseudo --data data/more --teacher runs/teacher --out data/more-pseudo
  glrg recap train --data data/ego4d-pseudo --features features --out runs/recap --set pseudo=true"""
_DEFAULT = RecapTraining()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg recap pseudo`."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset whose records have texts at levels")
    parser.add_argument("--out", metavar="DATASET", required=True, help="dataset to write; must be new")
    parser.add_argument("--teacher", metavar="RECAP", help="a teacher of an earlier run")
    parser.add_argument("--teacher-out", metavar="RUN", help="train a teacher into this run folder")
    parser.add_argument("--splits", metavar="S,S", default="train", help="whose records are completed (default: train)")
    add_lengths(parser)
    parser.add_argument("--steps", metavar="N", type=integer(1), default=600, help="of each level (default: 600)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--resume", action="store_true", help="go on with the teacher in --teacher-out")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains or loads the teacher, and writes the dataset."""
    if (args.teacher is None) == (args.teacher_out is None):
        raise ConfigError("name a teacher, or where to train one", remedy="--teacher RECAP or --teacher-out RUN")
    if Path(args.out).exists():
        raise ConfigError("the output already exists", where=args.out, remedy="choose another --out or remove it")
    from glrg_tf.data.dataset import CaptionDataset
    from training.recap_pseudo import add_pseudo_texts

    dataset = CaptionDataset.load(args.data)
    splits = tuple(name.strip() for name in args.splits.split(","))
    teacher = _teacher(args, dataset, splits, console)
    with console.progress(len(dataset.records()), "writing", "records") as bar:
        counts = add_pseudo_texts(dataset, teacher, Path(args.out), splits, bar.update)
    told = ", ".join(f"{count} texts of level '{level}'" for level, count in counts.items())
    console.line(f"{args.out}: {told}, marked as predicted")
    console.result({"dataset": args.out, "written": counts})
    return 0


def _teacher(args: argparse.Namespace, dataset: Any, splits: tuple[str, ...], console: Console) -> Any:
    from glrg_tf.recap.captioner import RecapCaptioner

    if args.teacher is not None:
        return RecapCaptioner.load(args.teacher)
    from glrg_cli.recap_train import RecapReporter
    from glrg_cli.training_console import Stopper
    from training.recap_pseudo import train_teacher

    chosen = RecapTraining(
        hierarchy=hierarchy_of(args),
        steps=(args.steps,) * 3,
        seed=_DEFAULT.seed if args.seed is None else args.seed,
    )
    chosen = settings.override_all(chosen, args.set, EXAMPLE)
    with Stopper(console) as stopper:
        reporter = RecapReporter(console, stopper)
        try:
            out, resume = Path(args.teacher_out), args.resume
            return train_teacher(dataset, out, chosen, splits=splits, resume=resume, reporter=reporter, stop=stopper)
        except KeyboardInterrupt:
            console.interrupt_note = "state saved; go on with the same command and --resume"
            raise
        finally:
            reporter.close()
