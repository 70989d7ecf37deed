"""`glrg ablate ingredients`: what each ingredient of the recipe glrg-plus is worth, alone and together."""

from __future__ import annotations

import argparse
from pathlib import Path

from glrg_cli import ablate_tables
from glrg_cli.ablate_plan import parallel_of
from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.data.dataset import CaptionDataset, read_description
from glrg_tf.errors import DataError

SUMMARY = "what each ingredient of the recipe glrg-plus is worth, alone and together"
EXAMPLES = """\
examples:
  glrg ablate ingredients --data data/msrvtt --out runs/ingredients --seeds 3
  glrg ablate ingredients --data data/msrvtt --out runs/ingredients --rows glrg,choice,words,glrg-plus
  glrg ablate ingredients --data data/dataset --out runs/study --recipe world

Ways to decode share their captioners, so most rows cost seconds. An interrupted study goes on where it was: run the
same command again. OUT/ingredients.{json,md,png} hold the table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg ablate ingredients`."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset folder with features")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the study; goes on with what is there")
    parser.add_argument("--recipe", metavar="NAME", default="glrg", help="settings to start from (default: glrg)")
    parser.add_argument("--epochs", type=integer(1), metavar="N", help="most epochs of each phase")
    parser.add_argument("--seeds", metavar="N|N,N", default="1,2,3", help="how many, or which (default: 3)")
    parser.add_argument("--split", help="split to score on (default: test where it has features, else val)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--rows", metavar="ROW,ROW", help="of the table (default: all)")
    parser.add_argument("--jobs", type=integer(1), metavar="N", help="trainings side by side (default: one a core)")
    parser.add_argument("--threads", type=integer(0), metavar="N", help="of each training (default: cores / jobs)")
    parser.add_argument("--launcher", metavar="COMMAND", default="", help="put before each training: 'srun -c 2'")
    parser.add_argument("--dry-run", action="store_true", help="list the trainings; no training")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains and decodes what is missing of the study, then prints its table."""
    read_description(Path(args.data))  # a wrong path is told before anything is loaded
    seeds = ablate_tables.seeds_of(args.seeds)

    from glrg_cli.final_scores import evaluation_split
    from training import ingredients, ingredients_results
    from training.ablation import StudyData, missing_jobs

    dataset = CaptionDataset.load(args.data)
    split = args.split or evaluation_split(dataset)
    if split is None:
        raise DataError("neither test nor val has features", where=dataset.folder, remedy="name a --split")
    data = StudyData.open(args.data, split)
    wanted = [part.strip() for part in args.rows.split(",")] if args.rows else []
    rows = ingredients.build(data, ablate_tables.config_of(args, data), seeds, wanted, args.epochs)
    jobs = ingredients.jobs_of(rows)
    missing = missing_jobs(jobs, args.out)
    if args.dry_run:
        return _show(args, jobs, missing, console)
    if missing:
        ablate_tables.train(args, missing, console)
    total = sum(not row.file(args.out, job).is_file() for row in rows for job in row.jobs)
    with console.progress(total, "decoding and scoring", "captioners") as bar:

        def tell(row: ingredients.Ingredient, seed: int, cider: float) -> None:
            bar.update(1)
            console.info(f"{row.label}, seed {seed}: CIDEr {100 * cider:.1f}")

        ingredients.judge(rows, data, args.out, tell)
    document = ingredients_results.summarise(rows, data, args.out, ablate_tables.command_of(args))
    paths = ingredients_results.write(document, args.out)
    head, lines = ingredients_results.cells(document)
    console.table(f"\n{document['title']}; {split}, per cent", ("captioner", *head), lines)
    console.info(", ".join(map(str, paths)))
    if split == "val":
        console.info("val also chose the checkpoints of XE and DXE: expect less on videos that were never looked at")
    console.result(document)
    return 0


def _show(args: argparse.Namespace, jobs: list, missing: list, console: Console) -> int:
    keys = {job.key for job in missing}
    rows = [(job.name, job.seed, job.epochs, "missing" if job.key in keys else "done") for job in jobs]
    console.table("Trainings", ("training", "seed", "epochs at most", ""), rows)
    parallel, threads = parallel_of(args)
    console.info(f"{len(missing)} of {len(jobs)} trainings are missing; {parallel} side by side, {threads} threads")
    console.result({"jobs": len(jobs), "missing": len(missing), "parallel": parallel})
    return 0
