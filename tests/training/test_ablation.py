"""Studies: which trainings the paper's tables need, what they share, going on after an interruption, what is said."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.feature_store import write_features
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic
from training import ablation_results
from training.ablation import METRICS, RESULT, StudyData, job_folder, missing_jobs, needed_jobs
from training.ablation_engine import Engine
from training.ablation_tables import NAMES, build, subsets
from training.config import PhaseConfig, RunConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
STREAMS = (("long_range", 4), ("short_range", 3), ("keyframe", 5))
PHASE = PhaseConfig(epochs=1, batch_size=4, captions_per_video=2)
MODEL = CaptionerConfig(streams=STREAMS, pool_size=8, embedding_size=8, hidden_size=8)
CONFIG = RunConfig(model=MODEL, min_count=1, xe=PHASE, dxe=PHASE, dr=PHASE)
SMALL = ["model.pool_size=8", "model.embedding_size=8", "model.hidden_size=8", "min_count=1", "train.batch_size=4"]
# A job that writes what a training would, as soon as it has started.
PRETEND = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
if job["name"] == sys.argv[2]:
    print("error: no luck", file=sys.stderr)
    sys.exit(4)
scores = dict.fromkeys(["Bleu_4", "METEOR", "ROUGE_L", "CIDEr"], 0.1 * job["seed"])
result = {"scores": scores, "ids": ["a", "b"], "per_video": {"CIDEr": [0.0, 0.2 * job["seed"]]}, "seconds": {"t": 1.0}}
(folder / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    from glrg_cli.main import main

    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    rows = [
        {"video": f"v{n}", "split": split, "captions": ["a red ball bounces", "the ball jumps"]}
        for n, split in enumerate(["train"] * 6 + ["test"] * 3)
    ]
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {name: rng.random((9, width)).astype(np.float32) for name, width in STREAMS}
    write_features(folder / "f.h5", [row["video"] for row in rows], values)
    words = ["data", "import", "table", folder / "c.jsonl", "--features", folder / "f.h5", "--quiet"]
    assert main([*map(str, words), "--out", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def data(dataset):
    return StudyData.open(dataset, "test")


def tables_of(data, seeds=(1, 2)):
    return {name: build(name, data, CONFIG, seeds) for name in NAMES}


def test_subsets():
    names = [name for name, _ in STREAMS]
    chosen = subsets(names)
    assert len(chosen) == 7 and chosen[0] == ("long_range",) and chosen[-1] == tuple(names)


def test_tables_share_what_is_the_same(data):
    tables = tables_of(data)
    assert [len(table.rows) for table in tables.values()] == [7, 5, 4, 4]
    dxe = tables["weighting"].rows[-1].jobs
    assert [job.key for job in dxe] == [job.key for job in tables["streams"].rows[-1].jobs]
    assert [job.entrance.key for job in tables["baseline"].rows[0].jobs] == [job.key for job in dxe]
    b2 = next(row for row in tables["baseline"].rows if row.key == "b2")
    assert b2.jobs[0].key == tables["entrance"].rows[-1].jobs[0].key
    # A seed: 7 subsets, 4 further weightings (XE among them), DR from XE, DR with 4 baselines.
    jobs = needed_jobs(tables.values())
    assert len(jobs) == len({job.key for job in jobs}) == len({job.folder for job in jobs}) == 2 * (7 + 4 + 1 + 4)
    seen = set()
    for job in jobs:
        assert job.entrance is None or job.entrance.key in seen
        seen.add(job.key)
    assert [job.seed for job in jobs] == [1] * 16 + [2] * 16


def test_a_job_is_what_determines_its_scores(data):
    job = tables_of(data)["baseline"].rows[0].jobs[0]
    for changed in (
        dataclasses.replace(job, seed=9),
        dataclasses.replace(job, data=dataclasses.replace(data, digest="other")),
        dataclasses.replace(job, config=dataclasses.replace(CONFIG, decoding_beam=2)),
        dataclasses.replace(job, entrance=dataclasses.replace(job.entrance, seed=9)),
    ):
        assert changed.key != job.key
    elsewhere = dataclasses.replace(CONFIG, xe=dataclasses.replace(PHASE, epochs=9))
    assert dataclasses.replace(job, config=dataclasses.replace(elsewhere, dr=job.config.dr)).key == job.key


def test_what_cannot_be_built_is_refused(data):
    with pytest.raises(ConfigError, match="no table"):
        build("colours", data, CONFIG, (1,))
    with pytest.raises(ConfigError, match="no stream 'sound'"):
        build("streams", data, CONFIG, (1,), streams=("sound",))
    with pytest.raises(ConfigError, match="entrance model"):
        build("streams", data, CONFIG, (1,), phases=("dr",))
    with pytest.raises(ConfigError, match="no row"):
        build("baseline", data, CONFIG, (1,), rows=("b3",))
    rows = build("baseline", data, CONFIG, (1,), rows=("loo", "b2")).rows
    assert [row.key for row in rows] == ["b2", "loo"]
    chain = build("streams", data, CONFIG, (1,), phases=("xe", "dxe", "dr")).rows[0].jobs[0]
    assert chain.phase == "dr" and chain.entrance.phase == "dxe" and chain.config.model.stream_names == ("long_range",)


def test_the_engine_runs_what_is_missing_and_stops_at_a_failure(data, tmp_path):
    table = build("entrance", data, CONFIG, (1, 2))
    jobs, told = needed_jobs([table]), []
    bad = jobs[1].name

    def engine(failing):
        command = [sys.executable, "-c", PRETEND]
        return Engine(tmp_path, lambda folder: [*command, str(folder), failing], 2, told=lambda *of: told.append(of))

    with pytest.raises(DataError, match="no luck") as refused:
        engine(bad).run(jobs)
    assert refused.value.where.endswith("log.txt") and 0 < len(missing_jobs(jobs, tmp_path)) < len(jobs)
    finished = {job.key for job in jobs} - {job.key for job in missing_jobs(jobs, tmp_path)}
    told.clear()
    engine("").run(jobs)
    assert not missing_jobs(jobs, tmp_path)
    started = [job.key for what, job, _ in told if what == "started"]
    assert not finished & set(started) and len(started) == len(jobs) - len(finished)
    assert [number for what, _, number in told if what == "done"]
    document = ablation_results.summarise(table, data, tmp_path, "glrg ablate …")
    best = document["rows"][-1]
    assert best["mean"]["CIDEr"] == pytest.approx(0.15) and best["deviation"]["CIDEr"] == pytest.approx(
        0.0707, abs=1e-4
    )
    assert "difference" not in best and document["rows"][0]["difference"]["mean"] == 0.0 and document["videos"] == 2


def test_a_launcher_that_is_not_there_is_told(data, tmp_path):
    jobs = needed_jobs([build("weighting", data, CONFIG, (1,))])
    with pytest.raises(ConfigError, match="'no-such-launcher' cannot be started"):
        Engine(tmp_path, lambda folder: ["no-such-launcher", str(folder)]).run(jobs)


WAIT = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "begun").touch()
sys.stdin.buffer.read()
(folder / "stopped").touch()
sys.exit(130)
"""
STUDY = """
import sys
from tests.training.test_ablation import *
data = StudyData.open(sys.argv[1], "test")
jobs = needed_jobs([build("weighting", data, CONFIG, (1,))])
Engine(pathlib.Path(sys.argv[2]), lambda folder: [sys.executable, "-c", WAIT, str(folder)], 2).run(jobs)
"""


def test_jobs_notice_that_the_study_was_killed(dataset, tmp_path):
    study = subprocess.Popen([sys.executable, "-c", STUDY, dataset, tmp_path], cwd=ROOT, stderr=subprocess.PIPE)
    try:
        assert awaited(lambda: len(list(tmp_path.glob("jobs/*/begun"))) == 2), study.stderr.read1()
    finally:
        study.kill()
        study.communicate()
    assert awaited(lambda: len(list(tmp_path.glob("jobs/*/stopped"))) == 2)


def awaited(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


@pytest.mark.slow
def test_trainings_as_processes(dataset, tmp_path, capsys):
    from glrg_cli.main import main

    words = ["--data", dataset, "--out", tmp_path / "s", "--seeds", "1", "--epochs", "1", "--jobs", "2", "--json"]
    words += ["--recipe", "world", "--rows", "dxe,dxe-dr", *(word for change in SMALL for word in ("--set", change))]
    assert main(["ablate", "entrance", *map(str, words)]) == 0
    captured = capsys.readouterr()
    assert [row["seeds"] for row in json.loads(captured.out)["rows"]] == [[1], [1]]
    assert not list(tmp_path.glob("s/jobs/*/run")) and len(list(tmp_path.glob("s/jobs/*/captioner"))) == 1


def test_tables_for_people(data, tmp_path):
    table = build("baseline", data, CONFIG, (1, 2))
    for row in table.rows[1:]:  # the first has no seed finished
        for job in row.jobs:
            scores = dict.fromkeys(METRICS, 0.1 * job.seed + 0.01 * len(row.key))
            videos = {"CIDEr": [0.1, 0.3 + 0.1 * len(row.key)]}
            result = {"scores": scores, "ids": ["a", "b"], "per_video": videos, "seconds": {"training": 3.0}}
            atomic.write_json(job_folder(tmp_path, job) / RESULT, result)
    document = ablation_results.summarise(table, data, tmp_path, "glrg ablate baseline --data d")
    paths = ablation_results.write(document, table, tmp_path)
    assert [path.suffix for path in paths] == [".json", ".md", ".png"] and all(path.stat().st_size for path in paths)
    text = paths[1].read_text("utf-8")
    assert "| none | – | – | – | – | 0 |" in text and "17.0 ± 7.1" in text and "glrg ablate baseline --data d" in text
    assert "46.9 / 31.2 / 65.7 / 60.6" in text and "published (MSR-VTT" in text
    assert json.loads(paths[0].read_text())["rows"][1]["difference"]["mean"] == pytest.approx(10.0)


def test_seeds():
    from glrg_cli.ablate_tables import seeds_of

    assert seeds_of("3") == (1, 2, 3) and seeds_of("7,5") == (7, 5) and seeds_of("1") == (1,)
    for text in ("1,1", "0", "a", "", "²"):
        with pytest.raises(ConfigError, match="seeds"):
            seeds_of(text)


def test_the_command_plans_trains_and_goes_on(dataset, tmp_path, capsys, monkeypatch):
    from glrg_cli import ablate_tables
    from glrg_cli.main import main
    from training.ablation_job import run_job

    def in_this_process(engine, jobs):
        for job in jobs:
            run_job(ablation_job.write_job(engine.out, job))
            engine.told("done", job, 0.0)

    from training import ablation_job

    monkeypatch.setattr(Engine, "run", in_this_process)
    words = ["--data", dataset, "--out", tmp_path / "s", "--seeds", "1", "--epochs", "1", "--recipe", "world"]
    words += [word for change in SMALL for word in ("--set", change)]
    line = [*map(str, words)]
    assert main(["ablate", "streams", *line, "--streams", "keyframe", "--json"]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert row["streams"] == ["keyframe"] and len(row["scores"]["CIDEr"]) == 1
    assert "keyframe" in captured.err and "Table 2" in captured.err
    (folder,) = (tmp_path / "s" / "jobs").iterdir()
    assert not (folder / "run").exists() and (folder / "captioner" / "model.weights.h5").is_file()
    assert main(["ablate", "entrance", *line, "--rows", "dxe,dxe-dr", "--json"]) == 0
    captured = capsys.readouterr()
    assert [row["row"] for row in json.loads(captured.out)["rows"]] == ["dxe", "dxe-dr"]
    monkeypatch.setattr(Engine, "run", None)  # nothing is missing any more
    assert main(["ablate", "entrance", *line, "--rows", "dxe,dxe-dr"]) == 0
    capsys.readouterr()
    assert main(["ablate", "all", *line, "--dry-run", "--json", "--jobs", "3"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["jobs"] == 16 and plan["missing"] == 13
    assert main(["ablate", "streams", *line, "--streams", "sound"]) == 2
    assert main(["ablate", "streams", *line, "--seeds", "1,1"]) == 2
    capsys.readouterr()
    monkeypatch.undo()
    assert main(["ablate", "weighting", *line, "--launcher", "srun 'x"]) == 2
    assert "--launcher cannot be read" in capsys.readouterr().err
    assert main(["ablate", "streams", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "s")]) == 4
    assert ablate_tables.command_of  # the command that repeats a table is in its files
    assert "--set min_count=1" in (tmp_path / "s" / "entrance.md").read_text()
