"""What is run of the pages, with what size, and why the rest is only checked against the parsers.

A command of a page is run in every test run, unless `SLOW` names it (then `make test-docs` runs it) or `NOT_RUN` does
(then it never runs here, for the reason given). A page that `PAGES` does not know is checked and not run, and the tests
say so by a warning: add it.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """What holds for the commands of a page that match."""

    page: str  # pattern of its whole name
    command: str  # pattern of the beginning of the command; "python:" + the first line for Python blocks
    reason: str

    def matches(self, page: str, text: str) -> bool:
        """Whether it speaks about this command."""
        return bool(re.fullmatch(self.page, page) and re.match(self.command, text))


ANY = r"(README|CONTRIBUTING|docs/.*)\.md"
D = r"docs/"

# Pages whose commands are run, in every test run as far as they are quick.
PAGES = (
    *("README.md", "docs/architecture.md", "docs/backbones.md", "docs/distributed.md", "docs/encoders.md"),
    *("docs/explain.md", "docs/export.md", "docs/extraction.md", "docs/gpu.md", "docs/performance.md"),
    *("docs/release-bridge.md", "docs/serving.md", "docs/training.md", "docs/video.md", "docs/visual-glove.md"),
    *("docs/world.md", "docs/LOG.md", "docs/index.md", "docs/quick-start.md", "docs/own-data.md", "docs/evaluation.md"),
    *("docs/extending.md", "docs/troubleshooting.md", "docs/comparison.md", "docs/model-cards.md", "docs/glrg-plus.md"),
    *("docs/command-line.md", "docs/reports.md", "docs/reproduce.md", "docs/glrg-plus.md", "docs/long-video.md"),
    *("docs/recap.md", "CONTRIBUTING.md"),
)

NOT_RUN = (
    Rule(ANY, r"make |source |cd /|git ", "sets up or runs the whole project"),
    Rule(ANY, r"glrg demo", "seven minutes: `make demo`"),
    Rule(ANY, r"pip install|npm ", "installs from a package registry"),
    Rule(ANY, r"glrg train .*--strategy (mirrored|multiworker)", "several devices: tests/training"),
    Rule(D + r"distributed\.md", r"glrg train .*--resume", "after a training: tests/training/test_loop.py"),
    Rule(D + r"distributed\.md", r"python -m training.launch|W=|for i in 0 1|HOSTS=|RESUME=|srun ", "tests/training"),
    Rule(D + r"distributed\.md", r"glrg .*--engine beam", "an environment of its own: `make test-beam`"),
    Rule(D + r"release-bridge\.md", r"python:import h5py", "a file of the release's review copy"),
    Rule(D + r"backbones\.md", r"glrg|python:", "published weights of 40 to 360 MB: tests/convert"),
    Rule(D + r"extraction\.md", r"cat > mobilenet|glrg (train|report).*(runs/real)", "a classifier of 3.6 MB, an hour"),
    Rule(D + r"serving\.md", r"cd exported|python |curl -d|\{", "TF Serving: tests/serving/test_tf_serving.py"),
    Rule(D + r"serving\.md", r"glrg serve (runs/a --encoder|exported)", "needs an export: tests/serving"),
    Rule(D + r"serving\.md", r"curl -F", "a running server: tests/serving/test_caption.py"),
    Rule(D + r"export\.md", r"TF=|cc |\./caption|saved_model_cli", "a C compiler: tests/export/test_runtimes.py"),
    Rule(
        D + r"visual-glove\.md",
        r"glrg glove (train|embed|neighbours|plot) .*(i3d|runs/glove (v_|word|--out words))|"
        r"glrg glove embed runs/glove i3d",
        "I3D features: tests/semantic",
    ),  # fmt: skip
    Rule(D + r"visual-glove\.md", r"glrg data import activitynet|python -m benchmarks", "ActivityNet; hours"),
    Rule(D + r"(performance|gpu)\.md", r"glrg|python|pip|#", "minutes on a quiet machine: tests/benchmarks"),
    Rule(D + r"reproduce\.md", r"glrg", "minutes to hours: tests/training/test_ablation.py"),
    Rule(r"CONTRIBUTING\.md", r"python -m pytest|ruff", "this is the test run"),
    Rule(D + r"glrg-plus\.md", r"glrg ablate", "hours: tests/training/test_ablation.py"),
    Rule(
        D + r"long-video\.md", r"glrg data import|glrg recap features", "data sets of others: tests/data, tests/recap"
    ),
    Rule(D + r"explain\.md", r"glrg explain runs/a", "a captioner that says something: tests/explain"),
    Rule(D + r"(long-video|recap)\.md", r"glrg recap run runs/recap", "a longer training: tests/recap/test_run_cli.py"),
    Rule(D + r"command-line\.md", r"glrg", "tests/test_cli_dry_run.py, tests/test_cli_completion.py"),
    Rule(D + r"glrg-plus\.md", r"glrg", "an hour: tests/training/test_ingredients.py"),
    Rule(D + r"world\.md", r"glrg ablate|glrg world --out data/hour", "an hour: tests/training/test_ablation.py"),
)

# Run by `make test-docs` only.
SLOW = (
    Rule(D + r"(quick-start|own-data|evaluation)\.md", r"glrg (train|evaluate|score|caption runs)", "minutes"),
    Rule(D + r".*", r"glrg (train|evaluate|export|explain|glove|serve|report|ablate|recap)", "minutes"),
    Rule(D + r".*", r"python -m export", "minutes"),
    Rule(D + r".*", r"glrg world .*--stories", "a minute"),
    Rule(D + r"(extraction|world|quick-start|own-data)\.md", r"glrg caption", "README.md does the same"),
    Rule(r"README\.md", r"glrg (train|evaluate) .*(runs/a|data/msrvtt)|glrg (serve|recap)", "minutes"),
    Rule(D + r"export\.md", r"python:", "after exports"),
    Rule(D + r"release-bridge\.md", r"glrg", "a made-up release: downloaded, converted, captioned, scored"),
    Rule(D + r"(explain|long-video)\.md", r"python:", "half a minute"),
    Rule(D + r"recap\.md", r"glrg data import stories", "after rendering"),
)

# command -> options that make it small: put in the place of the page's, or added unless they begin with "=".
SMALL: dict[str, tuple[str, ...]] = {
    "glrg train": ("--epochs", "1", "--set", "train.batch_size=4", "--set", "model.hidden_size=16"),
    "glrg train-encoder": ("--epochs", "1", "--set", "draws=1"),
    "glrg world": ("--clips", "10", "=--stories", "4", "=--minutes", "0.5", "=--segment-seconds", "12"),
    "glrg recap train": ("--steps", "2"),
    "glrg glove train": ("=--words", "8"),
    "glrg recap run": ("--segment-seconds", "12"),
    "glrg extract": ("--workers", "1"),
    "glrg caption": ("--workers", "1"),
    "glrg zoo": ("--from", "../release"),
    "glrg data download": ("--from", "../release"),
}

# page -> what a prepared thing is called there.
CALLED: dict[str, dict[str, str]] = {
    "docs/world.md": {"runs/a": "runs/mine"},
    "docs/release-bridge.md": {"features.h5": "release.h5"},
    "docs/export.md": {"runs/world": "runs/mine"},
    "docs/extraction.md": {"ENC": "runs/encoder", "CAPTIONER": "runs/mine"},
}

# page -> commands that come before its first one, when the long ones are run.
BEFORE: dict[str, tuple[str, ...]] = {
    "docs/reports.md": (
        "glrg train --data data/msrvtt --out runs/a --recipe dxe",
        "glrg train --data data/msrvtt --out runs/b --recipe xe",
    ),
}
