"""The corpus and a few random mutations (`make test-faults` does 1,000 flips and 100 cuts).

In a process of its own: a library that crashes on damaged bytes must fail one test, not end them all.
"""

from __future__ import annotations

import subprocess
import sys


def test_damage_is_refused_or_harmless():
    command = [sys.executable, "-m", "tests.faults.mutations", "--flips", "60", "--cuts", "12", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and " 0 wrong" in done.stdout, (done.returncode, done.stdout, done.stderr[-2000:])
