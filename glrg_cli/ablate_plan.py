"""`glrg ablate … --dry-run`: the trainings of a study, what they share, and how long they take."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.dry_run import about

if TYPE_CHECKING:
    from training.ablation import Job, Table

_START = 20.0  # seconds that a process takes to start and to judge


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
    alone = _seconds(jobs, missing, args.out, console) if missing else 0.0
    seconds = alone / min(parallel, len(missing)) if missing else 0.0
    console.info(f"about {about(alone)} of work, about {about(seconds)} side by side, less where phases stop early")
    console.result({"jobs": len(jobs), "missing": len(missing), "parallel": parallel, "seconds": round(seconds, 1)})
    return 0


def _seconds(jobs: list[Job], missing: list[Job], out: str, console: Console) -> float:
    """Of all missing jobs one after another: by those that are done, else by a few timed steps of each phase."""
    from training.ablation import RESULT, job_folder
    from training.ablation_job import read_result

    rates: dict[str, list[float]] = {}
    for job in jobs:
        if (job_folder(out, job) / RESULT).is_file():
            result = read_result(job_folder(out, job))
            epochs = max(1, int(result.get("epochs", job.epochs)))
            rates.setdefault(job.phase, []).append(sum(result["seconds"].values()) / epochs)
    known = {phase: sum(values) / len(values) for phase, values in rates.items()}
    for phase in {job.phase for job in missing} - set(known):
        known[phase] = _measured(next(job for job in missing if job.phase == phase), console)
    return sum(known[job.phase] * job.epochs + _START for job in missing)


def _measured(job: Job, console: Console) -> float:
    """Seconds an epoch of a job's phase."""
    from training.curriculum import make_plan
    from training.estimate import estimate

    phases = ("dxe", "dr") if job.phase == "dr" else (job.phase,)
    console.info(f"timing a few steps of {job.phase}")
    with tempfile.TemporaryDirectory() as scratch:
        plan = make_plan(job.data.folder, f"{scratch}/run", job.config, phases, seed=job.seed)
        time = estimate(dataclasses.replace(plan, phases=(job.phase,)))[0]
    return time.seconds / time.epochs


def parallel_of(args: argparse.Namespace) -> tuple[int, int]:
    """How many trainings run side by side, and the threads of each."""
    from training.ablation_engine import cores, default_parallel

    parallel = args.jobs or default_parallel()
    return parallel, max(1, cores() // parallel) if args.threads is None else args.threads
