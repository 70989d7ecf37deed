"""The launcher: TF_CONFIG of each worker, one exit code, nobody left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from training import distribution, launch

INDEX = "import json, os, sys, time; index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"


def run(tmp_path, program, workers=3):
    command = [sys.executable, "-c", INDEX + program]
    return launch.main(["--workers", str(workers), "--logs", str(tmp_path), "--", *command])


def test_every_worker_gets_its_task(tmp_path, monkeypatch):
    assert run(tmp_path, f"open(r'{tmp_path}/' + str(index), 'w').write(os.environ['TF_CONFIG'])") == 0
    found = [json.loads((tmp_path / str(index)).read_text()) for index in range(3)]
    assert all(config["cluster"] == found[0]["cluster"] for config in found)
    assert len(set(found[0]["cluster"]["worker"])) == 3
    for index, config in enumerate(found):
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        assert distribution.read_task() == distribution.Task(index, 3)


def test_one_worker_of_named_hosts(tmp_path, capfd):
    words = ["--hosts", "a:1,b:2", "--index", "1", "--logs", str(tmp_path)]
    program = [sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"]
    assert launch.main([*words, "--", *program]) == 0
    assert json.loads(capfd.readouterr().out) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }


def test_a_worker_that_fails_ends_the_others(tmp_path, capfd):
    started = time.monotonic()
    program = "print('the disk is full') if index == 1 else time.sleep(60)\nsys.exit(5)"
    assert run(tmp_path, program) == 5
    assert time.monotonic() - started < 30
    told = capfd.readouterr().err
    assert "worker 1 ended with 5" in told and "the disk is full" in told


def test_a_command_that_cannot_start_is_told_and_leaves_nobody(tmp_path, capsys, monkeypatch):
    words = ["--workers", "2", "--logs", str(tmp_path), "--"]
    assert launch.main([*words, "no-such-command"]) == 127
    assert "no-such-command cannot be started" in capsys.readouterr().err
    begun, start = [], subprocess.Popen

    def once(*of, **options):
        if begun:
            raise BlockingIOError(11, "too many processes")
        begun.append(start(*of, **options))
        return begun[0]

    monkeypatch.setattr(launch.subprocess, "Popen", once)
    assert launch.main([*words, sys.executable, "-c", "import time; time.sleep(60)"]) == 127
    assert begun[0].poll() is not None


def test_a_stop_goes_to_all(tmp_path):
    """Every worker saves and exits 130, and so does the launcher."""
    program = INDEX + (
        f"import signal\ndef stop(*_): open(r'{tmp_path}/stopped' + str(index), 'w'); sys.exit(130)\n"
        f"signal.signal(signal.SIGTERM, stop); open(r'{tmp_path}/ready' + str(index), 'w'); time.sleep(60)"
    )
    words = [sys.executable, "-m", "training.launch", "--workers", "2", "--logs", str(tmp_path), "--"]
    process = subprocess.Popen([*words, sys.executable, "-c", program])
    try:
        limit = time.monotonic() + 30
        while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < limit:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert sorted(path.name for path in tmp_path.glob("stopped*")) == ["stopped0", "stopped1"]


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "2"],
        ["--workers", "1", "--", "true"],
        ["--hosts", "a:1,b", "--", "true"],
        ["--hosts", "a:1,b:2", "--index", "2", "--", "true"],
        ["--workers", "2", "--index", "0", "--", "true"],
        ["--", "true"],
    ],
)
def test_wrong_arguments_are_refused(words, capsys):
    with pytest.raises(SystemExit) as end:
        launch.main(words)
    assert end.value.code == 2
