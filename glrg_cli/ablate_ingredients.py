"""`glrg ablate ingredients`: what each ingredient of the recipe glrg-plus is worth, alone and together."""

from __future__ import annotations

import argparse
from pathlib import Path

from glrg_cli import ablate_tables
from glrg_cli.ablate_plan import parallel_of
from glrg_cli.common import Console
from glrg_tf.data.dataset import read_description

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
    ablate_tables.add_study_options(parser, "glrg")
    parser.add_argument("--rows", metavar="ROW,ROW", help="of the table (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="list the trainings; no training")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains and decodes what is missing of the study, then prints its table."""
    read_description(Path(args.data))  # a wrong path is told before anything is loaded
    seeds = ablate_tables.seeds_of(args.seeds)

    from training import ingredients, ingredients_results
    from training.ablation import missing_jobs

    data = ablate_tables.data_of(args)
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
    console.table(f"\n{document['title']}; {data.split}, per cent", ("captioner", *head), lines)
    console.info(", ".join(map(str, paths)))
    if data.split == "val":
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
