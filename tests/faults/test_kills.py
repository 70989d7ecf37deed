"""A few of the kills of `python -m tests.faults.kills` (`make test-faults` does 200)."""

from __future__ import annotations

import subprocess
import sys


def test_killed_runs_end_as_one_that_was_left_alone():
    command = [sys.executable, "-m", "tests.faults.kills", "--kills", "4", "--epochs", "4", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert "4 kills" in done.stdout and "bit for bit" in done.stdout, done.stderr[-3000:]
