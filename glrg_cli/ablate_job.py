"""`glrg ablate job`: one job of a study; what `glrg ablate` starts side by side, and what a scheduler may start."""

from __future__ import annotations

import argparse
import os
import sys
import threading

from glrg_cli.common import Console

SUMMARY = "one job of a study, by its folder (what the studies start; for schedulers of one's own)"

EXAMPLES = """\
examples:
  glrg ablate job runs/study/jobs/dxe-cider-seed1-3f0a2b4c5d6e"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg ablate job`."""
    parser.add_argument("folder", metavar="FOLDER", help="OUT/jobs/NAME, which holds job.json")
    parser.add_argument("--attached", action="store_true", help="save and stop when standard input closes")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains and judges one job."""
    from glrg_cli.training_console import ConsoleReporter, Stopper
    from training.ablation_job import run_job

    closed = threading.Event()
    if args.attached:
        threading.Thread(target=_await_close, args=(closed,), daemon=True).start()
    with Stopper(console) as stopper:
        reporter = ConsoleReporter(console, stopper)
        try:
            result = run_job(args.folder, reporter=reporter, stop=lambda: closed.is_set() or stopper())
        finally:
            reporter.close()
    console.result(result)
    return 0


def _await_close(closed: threading.Event) -> None:
    # Not through sys.stdin: a thread that waits inside it when the interpreter ends makes it abort.
    while os.read(sys.stdin.fileno(), 1):
        pass
    closed.set()
