"""`glrg ablate … --dry-run`: the trainings of a study, what they share, and how long they take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from glrg_cli.common import Console

if TYPE_CHECKING:
    from training.ablation import Job, Table


def show(args: argparse.Namespace, tables: list[Table], jobs: list[Job], missing: list[Job], console: Console) -> int:
    """Prints the plan of a study; trains nothing."""
    keys = {job.key for job in missing}
    wanted_by: dict[str, list[int]] = {}
    for table in tables:
        for job in (job for row in table.rows for job in row.jobs):
            chain: Job | None = job
            while chain is not None:
                numbers = wanted_by.setdefault(chain.key, [])
                numbers += [] if table.number in numbers else [table.number]
                chain = chain.entrance
    rows = [
        (
            job.name,
            job.seed,
            job.epochs,
            ", ".join(map(str, wanted_by[job.key])),
            "missing" if job.key in keys else "done",
        )
        for job in jobs
    ]
    console.table("Trainings", ("training", "seed", "epochs at most", "for table", ""), rows)
    parallel, threads = parallel_of(args)
    console.info(
        f"{len(missing)} of {len(jobs)} trainings are missing; {parallel} side by side, {threads} threads each"
    )
    console.result({"jobs": len(jobs), "missing": len(missing), "parallel": parallel})
    return 0


def parallel_of(args: argparse.Namespace) -> tuple[int, int]:
    """How many trainings run side by side, and the threads of each."""
    from training.ablation_engine import cores, default_parallel

    parallel = args.jobs or default_parallel()
    return parallel, max(1, cores() // parallel) if args.threads is None else args.threads
