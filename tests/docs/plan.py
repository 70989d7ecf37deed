"""What is run of the pages, with what size, and why the rest is only checked against the parsers.

A command of a page is run in every test run, unless `SLOW` names it (then `make test-docs` runs it) or `NOT_RUN` does
(then it never runs here, for the reason given). What takes hours by its nature (the paper's tables, trainings,
benchmarks) is run all the same, on a dataset of five or ten videos, with one epoch, one seed and a small network: that
the command does what it says, not what it gives. A page that `PAGES` does not know is checked and not run, and the
tests say so by a warning: add it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.docs.pages import ROOT


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
    *("docs/command-line.md", "docs/reports.md", "docs/reproduce.md", "docs/long-video.md", "docs/recap.md"),
    "CONTRIBUTING.md",
)

NOT_RUN = (
    Rule(ANY, r"make |source |cd /|git ", "sets up or runs the whole project"),
    Rule(ANY, r"pip install|npm ", "installs from a package registry"),
    Rule(D + r"distributed\.md", r"glrg .*--engine beam", "an environment of its own: `make test-beam`"),
    Rule(D + r"backbones\.md", r"glrg convert torchvision --download", "published weights of 340 MB: tests/convert"),
    Rule(D + r"serving\.md", r"docker", "a container of TF Serving: tests/serving/test_tf_serving.py has a stand-in"),
    Rule(D + r"gpu\.md", r"python run_portable", "jaxlib and a GPU: tests/benchmarks/test_portable.py"),
    Rule(r"CONTRIBUTING\.md", r"python -m pytest|ruff", "this is the test run"),
)

# Run by `make test-docs` only.
SLOW = (
    Rule(D + r"(quick-start|own-data|evaluation)\.md", r"glrg (train|evaluate|score|caption runs)", "minutes"),
    Rule(
        D + r".*",
        r"glrg (demo|train|evaluate|export|explain|glove|serve|report|ablate|recap|bench|plus|zoo)",
        "minutes",
    ),
    Rule(D + r".*", r"python -m (export|training|benchmarks)", "minutes"),
    Rule(D + r".*", r"glrg world .*--stories", "a minute"),
    Rule(D + r"(extraction|world|quick-start|own-data)\.md", r"glrg caption", "README.md does the same"),
    Rule(r"README\.md", r"glrg (train|evaluate) .*(runs/a|data/msrvtt)|glrg (serve|recap)", "minutes"),
    Rule(D + r"export\.md", r"python:|TF=|saved_model_cli", "after exports"),
    Rule(D + r"release-bridge\.md", r"glrg", "a made-up release: downloaded, converted, captioned, scored"),
    Rule(D + r"(explain|long-video|backbones)\.md", r"python:", "half a minute"),
    Rule(D + r"backbones\.md", r"glrg convert", "half a minute"),
    Rule(D + r"command-line\.md", r"glrg|mkdir", "half a minute"),
    Rule(D + r"recap\.md", r"glrg data import stories", "after rendering"),
    Rule(D + r"distributed\.md", r"W=|HOSTS=", "two processes each"),
    Rule(D + r"serving\.md", r"cd |python |curl ", "a server each"),
)

# command -> options that make it small: put in the place of the page's, or added unless they begin with "=".
SMALL: dict[str, tuple[str, ...]] = {
    "glrg train": ("--epochs", "1", "--set", "train.batch_size=4", "--set", "model.hidden_size=16"),
    "glrg train-encoder": ("--epochs", "1", "--set", "draws=1"),
    "glrg ablate": (
        *("--seeds", "1", "--epochs", "1", "--jobs", "2"),
        *("--set", "train.batch_size=4", "--set", "model.hidden_size=16"),
    ),
    "glrg bench": ("--vocabulary", "2000", "--pairs", "1", "=--requests", "50"),
    "glrg world": ("--clips", "10", "=--stories", "4", "=--minutes", "0.5", "=--segment-seconds", "12"),
    "glrg recap train": ("--steps", "2"),
    "glrg recap pseudo": ("--steps", "30"),
    "glrg glove train": ("--words", "24"),
    "glrg extract": ("--workers", "1"),
    "glrg caption": ("--workers", "1"),
    "glrg zoo": ("--from", "../release"),
    "glrg data download": ("--from", "../release"),
}

# page, what stands there (a pattern), what is run in its place: names of one's own, sizes of programs not `glrg`.
INSTEAD: tuple[tuple[str, str, str], ...] = (
    ("docs/backbones.md", "resnext101.h5", "resnet18.h5"),
    ("docs/backbones.md", "resnet18-f37072fd", "resnet18"),  # the name tells the published file's digest
    ("docs/backbones.md", "--preset paper", "--backbone resnet18 --input-size 32"),
    ("docs/backbones.md", r'load_backbone\("resnext101_32x8d"', 'load_backbone("resnet18"'),
    ("docs/command-line.md", "export runs/a", "export runs/mine"),
    # One process a machine: two here. Both exit codes count.
    (
        "docs/distributed.md",
        r"^glrg (.*) --strategy multiworker$",
        r"python -m training.launch --workers 2 -- glrg \1 --strategy auto",
    ),
    (
        "docs/distributed.md",
        "^(.*) --hosts node0:12345,node1:12345 --index 0 (.*)$",
        r"HOSTS=localhost:12347,localhost:12348; \1 --hosts $HOSTS --index 1 \2 & "
        r"\1 --hosts $HOSTS --index 0 \2 && wait $!",
    ),
    ("docs/distributed.md", r"& done; wait$", r'& all="$all $!"; done; for one in $all; do wait $one || exit; done'),
    ("docs/distributed.md", r"s/\$/:12345/", r"1s/$/:12351/;2s/$/:12352/"),  # both nodes are this machine
    ("docs/distributed.md", r"--data data/msrvtt", r"--phases dxe --data data/msrvtt"),
    ("docs/explain.md", "video7", "world00000"),
    ("docs/export.md", "export/runtimes/caption.c", str(ROOT / "export/runtimes/caption.c")),
    ("docs/gpu.md", "--out portable", "--out portable --vocabulary 2000 --videos 2"),
    ("docs/long-video.md", "runs/recap", "world-nano"),
    ("docs/recap.md", "story0039", "story0003"),
    ("docs/quick-start.md", "glrg demo", "glrg demo --quick --clips 30"),
    ("docs/performance.md", "COMMAND", "true"),
    ("docs/performance.md", "bench all", "bench all --only reward_ciderd,beam5"),
    # All tables are trained for the first study; of these two, some rows.
    ("docs/reproduce.md", "all (.*) --out runs/(sample|world-study)", r"weighting \1 --out runs/\2 --rows none,CIDEr"),
    ("docs/serving.md", "runs/a --encoder", "runs/mine --encoder"),
    ("docs/serving.md", r"\[0.1, ...\]", str([0.1] * 1700)),
    ("docs/serving.md", r"^(python (rest_client|load_generator).*)$", r"\1 --url http://127.0.0.1:8501"),
    ("docs/serving.md", r"^(python grpc_client.*)$", r"\1 --address 127.0.0.1:8501"),
    ("docs/serving.md", r"features\.", "../../../features."),
    ("docs/serving.md", "--requests 20000 --clients 32", "--requests 100 --clients 4"),
    ("docs/visual-glove.md", "--out runs/study", "--out runs/study --seeds 1 --set train.epochs=1"),
)

# What a command talks to while it runs: the reason holds the words after `glrg serve`.
ASKS = (
    Rule(D + r"serving\.md", r"curl -d", "runs/a"),
    Rule(D + r"serving\.md", r"curl -F", "runs/mine"),
    Rule(D + r"serving\.md", r"python (rest_client|load_generator)", "../../../runs/a"),
    Rule(D + r"serving\.md", r"python grpc_client", "grpc ../saved_model/1"),
)

# Pages that show several ways to the same folder: each begins anew.
ALTERNATIVES = ("docs/distributed.md",)

# page -> what a prepared thing is called there.
CALLED: dict[str, dict[str, str]] = {
    "docs/world.md": {"runs/a": "runs/mine"},
    "docs/release-bridge.md": {"features.h5": "release.h5"},
    "docs/export.md": {"runs/world": "runs/mine"},
    "docs/explain.md": {"runs/a": "runs/mine"},
    "docs/extraction.md": {"ENC": "runs/encoder", "CAPTIONER": "runs/mine"},
    "docs/gpu.md": {"DATASET": "data/msrvtt"},
    "docs/reproduce.md": {"data/dataset": "data/mine"},
}

# page -> commands that come before its first one, when the long ones are run.
BEFORE: dict[str, tuple[str, ...]] = {
    "docs/backbones.md": ("python -m tests.docs.materials resnet18",),
    "docs/explain.md": ("glrg extract clips/ --per-position --out features.h5 --encoder runs/encoder",),
    "docs/extraction.md": ("python -m tests.docs.materials classifier",),
    "docs/glrg-plus.md": ("glrg train --data data/msrvtt --out runs/a --recipe dxe",),
    "docs/long-video.md": (
        "glrg recap run world-nano hour.mp4 --out hour",
        """echo '[{"level": "clip", "index": 0, "text": "a red ball rolls"}]' > corrections.json""",
        "glrg world --out data/world --stories 2 --minutes 0.5 --segment-seconds 12",
        "glrg data import stories data/world --out data/stories",
    ),
    "docs/recap.md": ("python -m tests.docs.materials partly",),
    "docs/reports.md": (
        "glrg train --data data/msrvtt --out runs/a --recipe dxe",
        "glrg train --data data/msrvtt --out runs/b --recipe xe",
    ),
    "docs/serving.md": (
        "mkdir -p runs/enc && cp -r runs/encoder/. runs/enc",
        "glrg export runs/a --format saved_model --out exported/a",
        "cp -r exported/a/saved_model exported/saved_model",
    ),
    "docs/visual-glove.md": ("for v in v_BNZf90PLJ0 v_j3QSVhAhDc; do cp clip.mp4 clips/$v.mp4; done",),
}


def in_small(page: str, text: str) -> str:
    """A step's text with the names and sizes that are run here."""
    for where, there, here in INSTEAD:
        if where == page:
            text = re.sub(there, here, text, flags=re.MULTILINE)
    return text
