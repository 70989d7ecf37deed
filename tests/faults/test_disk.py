"""Full disks, folders without rights, two runs on one folder: the last good checkpoint stays, the cause is named."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io import hdf5, lock
from tests.faults.subjects import make_checkpoints
from tests.training import conftest
from training import checkpoints, curriculum
from training.reporting import Reporter


@pytest.fixture
def run(tmp_path):
    """A run folder with the checkpoints of steps 3 and 6."""
    return make_checkpoints(tmp_path / "run").folder


def save_next(run):
    folder = checkpoints.CheckpointFolder(run)
    state, place = folder.restore()
    from glrg_tf.captioner.captioner import VideoCaptioner

    return folder.save(VideoCaptioner.from_preset(place), dataclasses.replace(state, step=9), best=True)


def files(run):
    return sorted(str(path.relative_to(run)) for path in run.rglob("*"))


def no_room(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_last_checkpoint(run, monkeypatch):
    """HDF5 cannot be left to find out: it would take the process with it."""
    before = files(run)
    with monkeypatch.context() as patched:
        patched.setattr(hdf5.os, "posix_fallocate", no_room)
        with pytest.raises(CheckpointError, match="no space left") as refusal:
            save_next(run)
    assert "checkpoints/000006 is whole" in refusal.value.remedy
    assert files(run) == before
    assert checkpoints.CheckpointFolder(run).restore()[0].step == 6
    assert save_next(run).name == "000009"  # with room again


def test_a_disk_that_fills_up_leaves_no_feature_file(tmp_path):
    with pytest.raises(OSError, match="errno = 28"), hdf5.new_file(tmp_path / "features.h5") as handle:
        handle["a"] = np.ones(10**5)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, handle.id.get_vfd_handle())
        os.close(full)
        handle["b"] = np.ones(10**5)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("broken", ["mkdtemp", "replace", "fsync"])
def test_refusals_of_the_system_leave_the_last_checkpoint(run, monkeypatch, number, broken):
    """At the start of a save, at its end, and when the pages are written out."""
    from glrg_tf.io import atomic

    def refuse(*args, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(atomic.tempfile if broken == "mkdtemp" else atomic.os, broken, refuse)
        with pytest.raises(CheckpointError, match=os.strerror(number).lower()):
            save_next(run)
    folder = checkpoints.CheckpointFolder(run)
    assert folder.restore()[0].step == 6 and not folder.refused


def test_a_second_run_on_the_folder_is_refused(tmp_path):
    holder = "import sys, time; from glrg_tf.io import lock\n"
    holder += "with lock.only_one(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"in use by process {process.pid}"), lock.only_one(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.wait()
    with lock.only_one(tmp_path / "run"):  # a dead process holds nothing
        pass


def test_training_holds_its_folder(world, tmp_path):
    """And what a killed save had begun is cleared away; a start that got no further than the lock may be repeated."""
    run = tmp_path / "run"
    config = dataclasses.replace(conftest.CONFIG, xe=dataclasses.replace(conftest.PHASE, epochs=1))
    with lock.only_one(run), pytest.raises(ConfigError, match="in use"):
        curriculum.train(curriculum.make_plan(world, run, config, ("xe",)))
    assert os.listdir(run) == [lock.LOCK]
    begun = run / "checkpoints" / ".000003.abc.part"
    begun.mkdir(parents=True)
    (begun / "half").write_text("x")
    (run / "checkpoints").rename(run / ".later")  # a fresh start wants nothing but hidden files
    plan = curriculum.make_plan(world, run, config, ("xe",))
    (run / ".later").rename(run / "checkpoints")
    curriculum.train(plan)
    assert sorted(os.listdir(run / "checkpoints")) == ["000003"]


def test_a_damaged_checkpoint_is_passed_over_and_told(world, tmp_path):
    told: list[str] = []

    class Listener(Reporter):
        def message(self, text: str) -> None:
            told.append(text)

    settings = dataclasses.replace(conftest.PHASE, epochs=1, save_every=2, keep_checkpoints=3)
    config = dataclasses.replace(conftest.CONFIG, xe=settings)
    run = tmp_path / "run"
    curriculum.train(curriculum.make_plan(world, run, config, ("xe",)))
    assert sorted(os.listdir(run / "checkpoints")) == ["000002", "000003"]
    damaged = run / "checkpoints" / "000003" / "training.h5"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    plan = curriculum.make_plan(world, run, config, ("xe",), resume=True)
    curriculum.train(plan, resume=True, reporter=Listener())
    assert any("damaged and was left out" in text and "000003" in text for text in told)
    assert any("resumed from 000002" in text for text in told)
    assert checkpoints.CheckpointFolder(run).restore()[0].step == 3  # written anew


@pytest.mark.parametrize("content", [b"\xff\xfe", b"../../..", b"checkpoints/000099", b"\0"])
def test_a_damaged_pointer_does_not_hide_the_checkpoints(run, content):
    (run / "latest").write_bytes(content)
    assert checkpoints.CheckpointFolder(run).restore()[0].step == 6
