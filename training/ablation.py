"""The paper's ablations as jobs: a job is one phase of one captioner, a row of a table is one job a seed.

The key of a job is a digest of all that determines its scores: data, split, model, the settings of its phase, seed
and the job that it starts from. Rows of different tables that ask for the same training therefore share it: the DXE
captioner of seed 1 is trained once, whichever tables want it. What the rows are: ablation_tables.py.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from glrg_tf import config as settings
from glrg_tf.data.dataset import CAPTIONS, FEATURES, CaptionDataset
from glrg_tf.errors import DataError
from glrg_tf.io import atomic
from training.config import PHASES, PhaseConfig, PhaseName, RunConfig

VERSION = 1  # of what a job does: raise it when the same settings no longer give the same scores
METRICS = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
RESULT = "result.json"  # of a job, written last


@dataclasses.dataclass(frozen=True)
class StudyData:
    """What all jobs of a study are trained and judged on."""

    folder: str  # of the dataset
    name: str
    digest: str  # sha256 of captions and features
    split: str  # judged on
    widths: tuple[tuple[str, int], ...]  # streams of the features

    @classmethod
    def open(cls, folder: str | os.PathLike[str], split: str) -> StudyData:
        """Reads and fingerprints a dataset.

        Raises:
            DataError: damaged, without features, or without that split.
        """
        data = CaptionDataset.load(folder)
        if data.features is None:
            raise DataError("the dataset has no features", where=data.folder, remedy="`glrg extract` makes them")
        data.records(split)
        files = (data.folder / CAPTIONS, data.folder / FEATURES)
        digest = hashlib.sha256("".join(map(atomic.sha256_file, files)).encode()).hexdigest()
        return cls(str(data.folder), data.name, digest, split, tuple(data.features.streams.items()))


@dataclasses.dataclass(frozen=True)
class Job:
    """One phase of one captioner.

    Attributes:
        name: for people and folders: "dxe-cider", "dr-b2-from-dxe-cider".
        phase: which.
        config: settings; only the model, the shared ones and those of the phase count.
        seed: of everything random.
        data: trained and judged on.
        entrance: whose captioner it starts from; None for scratch.
        keeps: whether the captioner of boosting is kept too (seeding's always is).
    """

    name: str
    phase: PhaseName
    config: RunConfig
    seed: int
    data: StudyData
    entrance: Job | None = None
    keeps: bool = False

    @functools.cached_property
    def key(self) -> str:
        """Twelve hex digits that two jobs share exactly when they train the same."""
        values = _changed(settings.to_dict(self.config), settings.to_dict(RunConfig()))
        shared = {name: value for name, value in values.items() if name not in PHASES}
        identity: dict[str, Any] = {
            "version": VERSION,
            "data": self.data.digest,
            "split": self.data.split,
            "phase": self.phase,
            "seed": self.seed,
            "shared": shared,
            "settings": _changed(settings.to_dict(self.config.phase(self.phase)), settings.to_dict(PhaseConfig())),
            "entrance": self.entrance.key if self.entrance else None,
        }
        identity |= {"keeps": True} if self.keeps else {}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of its folder under OUT/jobs."""
        return f"{self.name}-seed{self.seed}-{self.key}"

    @property
    def epochs(self) -> int:
        """At most, of this phase alone."""
        return self.config.phase(self.phase).epochs


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: one setting, one job a seed."""

    key: str  # as `--rows` names it
    label: str
    jobs: tuple[Job, ...]
    published: dict[str, float] = dataclasses.field(default_factory=dict)  # of the paper, per cent; empty: none
    streams: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """One ablation."""

    name: str  # as the command line names it
    number: int  # the paper's
    title: str
    varies: str  # head of the first column
    rows: tuple[Row, ...]
    reference: str  # key of the row that the paper settles on: the others are compared with it


def needed_jobs(tables: Iterable[Table]) -> list[Job]:
    """Every job of the tables once, entrances before what starts from them, all of a seed before the next seed."""
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        if job.entrance is not None:
            add(job.entrance)
        found.setdefault(job.key, job)

    rows = [row for table in tables for row in table.rows]
    for seed in range(max((len(row.jobs) for row in rows), default=0)):  # an unfinished study has whole tables
        for row in rows:
            add(row.jobs[seed])
    return list(found.values())


def job_folder(out: str | os.PathLike[str], job: Job) -> Path:
    """Where a job of the study in `out` lies."""
    return Path(out) / "jobs" / job.folder


def missing_jobs(jobs: Sequence[Job], out: str | os.PathLike[str]) -> list[Job]:
    """Those without scores so far."""
    return [job for job in jobs if not (job_folder(out, job) / RESULT).is_file()]


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not at their defaults: one that later versions add changes no key."""
    return {
        name: _changed(value, defaults[name])
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in values.items()
        if value != defaults.get(name)
    }
