"""Replicas and workers train as one device does, with everything random switched on; and how TF_CONFIG is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_tf.data.batches import CaptionBatches
from glrg_tf.errors import CheckpointError, ConfigError
from tests.training import distributed_run
from training import distribution

STEPS = 4  # the second epoch has begun; `python -m tests.training.distributed_run` takes 50 of each phase


@pytest.mark.slow
def test_replicas_and_workers_equal_one_device(world, tmp_path):
    """DR: drawn captions, rewards, dropout. DXE's divisor, the global batch's tokens, is tested by the two workers."""
    start = tmp_path / "dxe-one"
    jobs = [(start, "one", "dxe", STEPS, ""), (tmp_path / "dr-one", "one", "dr", STEPS, start)]
    jobs.append((tmp_path / "dr-mirrored", "mirrored", "dr", STEPS, start))
    ((dxe, dr, mirrored),) = distributed_run.run_jobs([(world, *job) for job in jobs])
    workers = distributed_run.run_way(world, tmp_path / "workers", "workers", "dxe", STEPS)
    assert len(workers) == 2
    for one, other in ((dr, mirrored), *((dxe, worker) for worker in workers)):
        loss, weights, same = distributed_run.difference(one, other)
        assert loss < 1e-5 and weights < 2e-5 and same, (loss, weights)
    assert len((tmp_path / "workers" / "metrics.jsonl").read_text().splitlines()) == 2  # one writer


def test_places_cover_a_batch_once_for_any_number_of_parts():
    for places in (1, 6, 7, 32):
        for parts in range(1, places + 1):
            ends = [distribution.first_place(part, parts, places) for part in range(parts + 1)]
            assert ends[0] == 0 and ends[-1] == places
            sizes = np.diff(ends)
            assert sizes.min() >= 1 and sizes.max() - sizes.min() <= 1


class FakeStrategy:
    """Records what each worker's pipeline yields."""

    def __init__(self, replicas, workers):
        self.num_replicas_in_sync, self.workers = replicas, workers

    def distribute_datasets_from_function(self, make):
        import tensorflow as tf

        return [
            make(tf.distribute.InputContext(self.workers, worker, self.num_replicas_in_sync))
            for worker in range(self.workers)
        ]


@pytest.mark.parametrize(("replicas", "workers"), [(2, 1), (2, 2), (4, 2), (3, 3), (5, 1)])
def test_every_number_of_workers_sees_the_same_records(replicas, workers):
    ids = [np.full((3, 4), row, np.int32) for row in range(11)]
    batches = CaptionBatches(lambda rows: np.eye(11)[rows], ids, [np.ones(3)] * 11, 5, 2, seed=3)
    pipelines = distribution.sharded_batches(FakeStrategy(replicas, workers), batches, 2, 3)
    local = replicas // workers
    found = [list(pipeline.as_numpy_iterator()) for pipeline in pipelines]
    for step in range(3):
        pieces = [piece for mine in found for piece in mine[step * local : (step + 1) * local]]
        whole = batches.batch(2 + step)
        for name in whole._fields:
            np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in pieces]), getattr(whole, name))


def test_more_replicas_than_videos_are_refused():
    batches = CaptionBatches(lambda rows: rows[:, None], [np.ones((1, 3), np.int32)] * 2, [np.ones(1)] * 2, 5, 1, 1)
    with pytest.raises(ConfigError, match="2 videos cannot be shared by 3"):
        distribution.sharded_batches(FakeStrategy(3, 1), batches, 0, 1)


def config(cluster, job, index):
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


TWO = {"worker": ["a:1", "b:1"]}


def test_tasks_of_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert distribution.read_task() == distribution.Task(0, 1)
    for text, wanted in (
        (config(TWO, "worker", 1), (1, 2, False)),
        (config({"chief": ["c:1"], **TWO}, "worker", 0), (1, 3, False)),
        (config({"chief": ["c:1"], **TWO}, "chief", 0), (0, 3, True)),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        task = distribution.read_task()
        assert (task.index, task.workers, task.chief) == wanted


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", config(TWO, "worker", 2), config(TWO, "ps", 0), config({"ps": ["a:1"], **TWO}, "ps", 0)]
)
def test_a_wrong_tf_config_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError):
        distribution.read_task()


def test_a_strategy_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(TWO, "worker", 1))
    with pytest.raises(ConfigError, match="names 2 workers"):
        distribution.make_strategy("mirrored")
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(ConfigError, match="two workers"):
        distribution.make_strategy("multiworker")


class Agreed(distribution.Workers):
    """Two workers of which the other adds what the test says."""

    def __init__(self, index, other):
        super().__init__(None)
        self.task, self.other = distribution.Task(index, 2), list(other)

    def total(self, values):
        return np.asarray(values, float) + self.other.pop(0)


def test_a_failure_of_the_chief_fails_everywhere():
    with pytest.raises(CheckpointError, match="chief could not write"):
        Agreed(1, [1.0]).on_chief(lambda: pytest.fail("only the chief writes"))

    def full():
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        Agreed(0, [0.0]).on_chief(full)


def test_workers_that_see_other_checkpoints_stop():
    Agreed(1, [6.0, 0.0]).agree_on(6, "checkpoint", "RUN")
    with pytest.raises(CheckpointError, match="do not see the same checkpoint"):
        Agreed(1, [0.0, 1.0]).agree_on(6, "checkpoint", "RUN")


def test_workers_share_what_there_is_to_compute():
    parts = []
    for index in range(3):
        workers = distribution.Workers(None)
        workers.task = distribution.Task(index, 3)
        parts.append(workers.mine(10))
    assert np.concatenate(parts).tolist() == list(range(10))
