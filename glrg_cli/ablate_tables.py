"""The paper's tables 2 to 5 by `glrg ablate`: every row several seeds, trainings side by side, a table and a plot."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli import ablate_plan
from glrg_cli.common import Console
from glrg_cli.parser import integer, nearest
from glrg_cli.progress import duration
from glrg_tf.data.dataset import CaptionDataset, read_description
from glrg_tf.errors import ConfigError, DataError

if TYPE_CHECKING:
    from training.ablation import Job, StudyData, Table
    from training.config import RunConfig

SUMMARIES = {
    "streams": "which of the streams are needed: every subset of them (Table 2)",
    "weighting": "which metric weighs the captions in DXE (Table 3)",
    "entrance": "what boosting starts from: XE or DXE (Table 4)",
    "baseline": "what the reward of boosting is compared with (Table 5)",
    "all": "tables 2 to 5, what they share trained once",
}
TABLES = ("streams", "weighting", "entrance", "baseline")
EXAMPLES = """\
examples:
  glrg ablate streams --data data/dataset --out runs/study --recipe world
  glrg ablate baseline --data data/msrvtt --out runs/study --seeds 3 --epochs 40 --set dr.epochs=20
  glrg ablate weighting --data data/msrvtt --out runs/study --rows none,CIDEr --seeds 5
  glrg ablate all --data data/msrvtt --out runs/study --dry-run
  glrg ablate all --data data/msrvtt --out runs/study --jobs 8 --launcher 'srun -c 2'

An interrupted study goes on where it was: run the same command again. OUT/TABLE.{json,md,png} hold the table."""

_DEFAULT_RECIPE = {"streams": "world"}  # the others: the paper's settings


def add_arguments(parser: argparse.ArgumentParser, study: str) -> None:
    """Adds the options of one table, or of all."""
    add_study_options(parser, _DEFAULT_RECIPE.get(study, "glrg"))
    parser.add_argument("--dry-run", action="store_true", help="list the trainings and how long they take; no training")
    if study in ("streams", "all"):
        parser.add_argument("--streams", metavar="S,S", help="those studied (default: all that the dataset has)")
        parser.add_argument("--phases", metavar="P,P", default="dxe", help="of the streams' rows (default: dxe)")
    if study != "all":
        parser.add_argument("--rows", metavar="ROW,ROW", help="of the table (default: the paper's)")


def add_study_options(parser: argparse.ArgumentParser, recipe: str) -> None:
    """Adds what every study is asked: data, settings, seeds, and how its trainings run."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset folder with features")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the study; goes on with what is there")
    parser.add_argument("--recipe", metavar="NAME", default=recipe, help=f"settings (default: {recipe})")
    parser.add_argument("--epochs", type=integer(1), metavar="N", help="most epochs of each phase")
    parser.add_argument("--seeds", metavar="N|N,N", default="1,2,3", help="how many, or which (default: 3)")
    parser.add_argument("--split", help="split to score on (default: test where it has features, else val)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--jobs", type=integer(1), metavar="N", help="trainings side by side (default: one a core)")
    parser.add_argument("--threads", type=integer(0), metavar="N", help="of each training (default: cores / jobs)")
    parser.add_argument("--launcher", metavar="COMMAND", default="", help="put before each training: 'srun -c 2'")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains what is missing of the tables, then prints them."""
    read_description(Path(args.data))  # a wrong path is told before anything is loaded
    data, tables = _plan(args)

    from training.ablation import missing_jobs, needed_jobs

    jobs = needed_jobs(tables)
    missing = missing_jobs(jobs, args.out)
    if args.dry_run:
        return ablate_plan.show(args, tables, jobs, missing, console)
    if missing:
        train(args, missing, console)
    documents = [_report(table, data, args, console) for table in tables]
    if data.split == "val":
        console.info("val also chose the checkpoints of XE and DXE: expect less on videos that were never looked at")
    console.result(documents if args.study == "all" else documents[0]["rows"] if _plain(args) else documents[0])
    return 0


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds of `--seeds`: "3" are the first three, "4,5" these two.

    Raises:
        ConfigError: no numbers, none at all, or one twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts) or parts == ["0"]:
        remedy = "example: --seeds 3, or --seeds 1,2,3"
        raise ConfigError(
            f"'{text}' is no number of seeds and no list of different ones", where="--seeds", remedy=remedy
        )
    return tuple(range(1, int(parts[0]) + 1)) if len(parts) == 1 else tuple(int(part) for part in parts)


def command_of(args: argparse.Namespace) -> str:
    """The command line that repeats a study, without what changes no number."""
    words = ["glrg", "ablate", args.study, "--data", args.data, "--out", args.out, "--recipe", args.recipe]
    words += ["--seeds", ",".join(map(str, seeds_of(args.seeds)))]
    for name in ("epochs", "split", "streams", "rows"):
        value = getattr(args, name, None)
        words += [f"--{name}", str(value)] if value is not None else []
    words += ["--phases", args.phases] if getattr(args, "phases", "dxe") != "dxe" else []
    return shlex.join([*words, *(word for change in args.set for word in ("--set", change))])


def _plain(args: argparse.Namespace) -> bool:
    return bool(args.study == "streams")  # its rows alone, as its first version gave them


def _plan(args: argparse.Namespace) -> tuple[StudyData, list[Table]]:
    from training.ablation_tables import build

    seeds = seeds_of(args.seeds)
    data = data_of(args)
    config = config_of(args, data)
    phases = _phases(getattr(args, "phases", "dxe"))
    streams = _words(getattr(args, "streams", None))
    names = TABLES if args.study == "all" else (args.study,)
    rows = _words(getattr(args, "rows", None))
    tables = [build(name, data, config, seeds, phases=phases, streams=streams, rows=rows) for name in names]
    return data, tables


def data_of(args: argparse.Namespace) -> StudyData:
    """The dataset of a study's options, and the split that it is judged on.

    Raises:
        DataError: no such split, or none that has features.
    """
    from glrg_cli.final_scores import evaluation_split
    from training.ablation import StudyData

    dataset = CaptionDataset.load(args.data)
    split = args.split or evaluation_split(dataset)
    if split is None:
        raise DataError("neither test nor val has features", where=dataset.folder, remedy="name a --split")
    return StudyData.open(args.data, split)


def config_of(args: argparse.Namespace, data: StudyData) -> RunConfig:
    """The settings that a study's options ask for, on the streams of its data."""
    import dataclasses

    from training import config as training_config
    from training.recipes import get_recipe
    from training.sizing import fit

    recipe = get_recipe(args.recipe)
    config = recipe.config
    if recipe.sized:
        counts = read_description(Path(args.data)).get("splits", {}).get("train", {})
        config, _ = fit(config, int(counts.get("videos", 0)), int(counts.get("captions", 0)))
    if args.epochs is not None:
        config = training_config.override(config, [f"train.epochs={args.epochs}"])
    config = training_config.override(config, args.set)
    widths = dict(data.widths)
    if any(widths.get(name) != width for name, width in config.model.streams):  # the dataset's own, all of them
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, streams=data.widths))
    return config


def _phases(text: str) -> Any:
    from training.config import PHASES

    for name in _words(text):
        if name not in PHASES:
            near = nearest(name, PHASES)
            remedy = f"did you mean '{near}'?" if near else "of xe, dxe, dr, separated by commas"
            raise ConfigError(f"unknown phase '{name}'", where="--phases", remedy=remedy)
    return _words(text)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def train(args: argparse.Namespace, missing: list[Job], console: Console) -> None:
    """Runs the jobs that have no result yet, side by side, with a bar of their epochs."""
    from glrg_tf.io import lock
    from training.ablation_engine import Engine

    parallel, threads = ablate_plan.parallel_of(args)
    console.interrupt_note = "what is finished is kept; run the same command again to go on"
    console.info(f"{len(missing)} trainings, {parallel} side by side")
    try:
        launcher = shlex.split(args.launcher)
    except ValueError as error:
        raise ConfigError(f"--launcher cannot be read ({error})", remedy="close its quotation marks") from None
    command = [*launcher, sys.executable, "-m", "glrg_cli", "ablate", "job"]
    total = sum(job.epochs for job in missing)
    with lock.only_one(args.out), console.progress(total, "training", "epochs") as bar:

        def tell(what: str, job: Job, number: float) -> None:
            if what == "epochs":
                bar.update(int(number))
            elif what == "done":
                console.info(f"{job.name}, seed {job.seed}: CIDEr {100 * number:.1f}")

        engine = Engine(Path(args.out), lambda folder: [*command, str(folder), "--attached"], parallel, threads, tell)
        engine.run(missing)


def _report(table: Table, data: StudyData, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    from training import ablation_results

    document = ablation_results.summarise(table, data, args.out, command_of(args))
    paths = ablation_results.write(document, table, args.out)
    head, rows = ablation_results.cells(document)
    title = f"\nTable {table.number}: {table.title}; {data.split}, mean ± deviation over seeds, per cent"
    console.table(title, (table.varies, *head), rows)
    console.info(
        f"{', '.join(map(str, paths))}; {duration(sum(row['seconds'] for row in document['rows']))} of training"
    )
    return document
