"""Runs the jobs of a study side by side, each as a process of its own, entrances before what starts from them.

Whatever ends this process, its jobs notice (their standard input closes), save their state and stop; the same study
started again goes on with them. A job that fails ends the study: what is finished is kept.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from glrg_tf.errors import CheckpointError, ConfigError, DataError, GlrgError
from training.ablation import RESULT, Job, missing_jobs
from training.ablation_job import EPOCHS, RUN, read_result, write_job

LOG = "log.txt"
_POLL = 0.2  # seconds
_PATIENCE = 120.0  # seconds that a job has to save its state
_ERRORS: dict[int, type[GlrgError]] = {2: ConfigError, 4: DataError, 5: CheckpointError}

Told = Callable[[Literal["started", "epochs", "done"], Job, float], object]  # number: epochs more, or the CIDEr


@dataclass
class _Running:
    job: Job
    folder: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    epochs: int = 0


@dataclass
class Engine:
    """Trains what a study lacks.

    Args:
        out: folder of the study.
        command: makes the command line that runs the job of a folder as long as its standard input is open.
        parallel: processes side by side.
        threads: of each process; 0 leaves that to TensorFlow.
        told: hears of starts, of epochs and of finished jobs.
    """

    out: Path
    command: Callable[[Path], Sequence[str]]
    parallel: int = 1
    threads: int = 1
    told: Told = lambda what, job, number: None
    _running: list[_Running] = field(default_factory=list)

    def run(self, jobs: Sequence[Job]) -> None:
        """Runs those of `jobs` that have no result yet.

        Raises:
            GlrgError: a job failed, its log is named; or the command of a job cannot be started.
        """
        waiting = missing_jobs(jobs, self.out)
        try:
            while waiting or self._running:
                unfinished = {job.key for job in waiting} | {running.job.key for running in self._running}
                for job in list(waiting):
                    ready = job.entrance is None or job.entrance.key not in unfinished
                    if ready and len(self._running) < self.parallel:
                        waiting.remove(job)
                        self._start(job)
                time.sleep(_POLL)
                self._look()
        finally:
            self._stop()

    def _start(self, job: Job) -> None:
        folder = write_job(self.out, job)
        environment = dict(os.environ)
        if self.threads:
            for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                environment.setdefault(name, str(self.threads))
        log = open(folder / LOG, "ab")  # noqa: SIM115  (closed when the process has ended)
        command = list(self.command(folder))
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then lets them save
            )
        except OSError as error:
            log.close()
            what = f"'{command[0]}' cannot be started ({error.strerror})"
            raise ConfigError(what, where="--launcher", remedy="name a program that is installed") from None
        self._running.append(_Running(job, folder, process, log))
        self.told("started", job, 0)

    def _look(self) -> None:
        for running in list(self._running):
            code = running.process.poll()
            done = _epochs_done(running.folder)
            if code is None:
                if done > running.epochs:
                    self.told("epochs", running.job, done - running.epochs)
                    running.epochs = done
                continue
            self._running.remove(running)
            running.log.close()
            if code and not (running.folder / RESULT).is_file():
                raise _failure(running, code)
            self.told("epochs", running.job, max(0, running.job.epochs - running.epochs))  # stopped early: all done
            self.told("done", running.job, read_result(running.folder)["scores"]["CIDEr"])

    def _stop(self) -> None:
        for running in self._running:
            if running.process.stdin is not None:
                running.process.stdin.close()
        deadline = time.monotonic() + _PATIENCE
        for running in self._running:
            try:
                running.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.process.kill()
            running.log.close()
        self._running.clear()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_parallel() -> int:
    """Jobs side by side that suit this machine: one a core, one alone where a GPU is shared."""
    return 1 if Path("/dev/nvidia0").exists() else cores()


def _epochs_done(folder: Path) -> int:
    try:
        return (folder / RUN / EPOCHS).read_bytes().count(b"\n")
    except OSError:
        return 0


def _failure(running: _Running, code: int) -> GlrgError:
    log = running.folder / LOG
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    last = (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
    said = f"killed by signal {-code}: out of memory?" if code < 0 else last[:300]
    remedy = "what is finished is kept: mend it and run the same command again"
    return _ERRORS.get(code, GlrgError)(
        f"the job {running.job.name}, seed {running.job.seed}, failed: {said}", where=log, remedy=remedy
    )
