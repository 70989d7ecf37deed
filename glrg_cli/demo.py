"""`glrg demo`: the whole path on the rendered sample world, with the commands that one would type.

Videos are rendered, three small encoders learn to read them, captioners learn from what fifteen annotators said, and
the result is scored, exported and shown clips it never saw. Every command is shown before it runs; nothing is
downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import pathlib
import shlex
import shutil
import time
from collections.abc import Sequence
from typing import Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.progress import duration
from glrg_tf.errors import ConfigError

HELP = "the whole path on the rendered sample world, in minutes"
DESCRIPTION = """\
Renders the sample world, trains the three small encoders on its clips, extracts features, trains XE, DXE and DR,
scores them on held-out clips, exports SavedModel and ONNX with the encoders inside, captions held-out clips and writes
a report. Every command is shown before it runs."""
EXAMPLES = """\
examples:
  glrg demo
  glrg demo --out runs/demo --clips 120 --quick"""

CLIPS = 500
_CAPTIONED = 8  # held-out clips shown at the end
_METRICS = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
_QUICK = ("--epochs", "2")
_EPOCHS = {"short-range": ("--epochs", "10")}  # the longest step; 350 clips are learned by then
_ROWS = 6  # shown of a table
ENCODERS = ("long-range", "short-range", "keyframe")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg demo`."""
    parser.add_argument("--out", metavar="DIR", default="runs/demo", help="folder for everything (default: runs/demo)")
    parser.add_argument("--clips", type=integer(20), metavar="N", default=CLIPS, help=f"to render (default: {CLIPS})")
    parser.add_argument("--quick", action="store_true", help="two epochs of everything: does it run here?")


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the commands of the path one after another."""
    out = pathlib.Path(args.out)
    if out.exists():
        raise ConfigError("the demo's folder exists", where=out, remedy="remove it, or choose another --out")
    demo = _Demo(out, args.clips, 1 if args.seed is None else args.seed, _QUICK if args.quick else (), console)
    demo.render()
    demo.encode()
    scores = demo.train()
    exported = demo.export()
    captions = demo.caption()
    report = demo.report()
    demo.show(scores, captions)
    console.info(f"\ndone in {duration(time.monotonic() - demo.started)}; everything is in {out}")
    console.info(f"open {report}")
    console.info(f"your own clip: glrg caption {shlex.quote(str(out / 'run'))} clip.mp4")
    console.result({"scores": scores, "export": exported, "caption": captions, "report": report, "seconds": demo.times})
    return 0


class _BriefConsole(Console):
    """Shows the beginning of long tables."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """See `Console`."""
        more = [["…", *([""] * (len(columns) - 1))]] if len(rows) > _ROWS else []
        super().table(title, columns, [*rows[:_ROWS], *more])


class _Demo:
    """The steps of the demo, each showing its commands.

    Args:
        out: folder for everything.
        clips: how many to render.
        seed: of everything.
        quick: further options of every training.
        console: where to.
    """

    def __init__(self, out: pathlib.Path, clips: int, seed: int, quick: tuple[str, ...], console: Console) -> None:
        self._out, self._clips, self._seed, self._quick, self._console = out, clips, seed, quick, console
        self._world, self._dataset, self._run = out / "world", out / "dataset", out / "run"
        self._encoder = out / "encoder"
        self.started = time.monotonic()
        self.times: dict[str, float] = {}
        self._step, self._since = 0, self.started

    # === Steps ===
    def render(self) -> None:
        """Clips, captions, the truth; a dataset folder."""
        self._title("render a world", "shapes that move, meet and change, and fifteen people who describe them")
        self._glrg("world", "--out", self._world, "--clips", self._clips, "--seed", self._seed)
        self._glrg("data", "import", "table", self._world / "captions.jsonl", "--out", self._dataset)

    def encode(self) -> None:
        """Three encoders, joined; features of every clip."""
        looks = {
            "long-range": "what changes over seconds: words of the captions, from three distant frames",
            "short-range": "what is done: actions, from the frames around a moment",
            "keyframe": "what is there: shapes, colours and places, from one frame",
        }
        runs = [self._out / f"encoder-{kind}" for kind in ENCODERS]
        for kind, run in zip(ENCODERS, runs, strict=True):
            self._title(f"the {kind} encoder", looks[kind])
            taught: tuple[object, ...] = ("--labels", self._world)
            if kind == "long-range":  # shares: one annotator who mixes up dusk and dawn does not make it both
                taught = ("--data", self._dataset, "--set", "targets=share")
            epochs = self._quick or _EPOCHS.get(kind, ())
            self._glrg("train-encoder", kind, *taught, "--out", run, "--seed", self._seed, *epochs)
        self._title("features", "every clip as three vocabularies")
        self._glrg("train-encoder", "bundle", *runs, "--out", self._encoder)
        self._glrg("extract", self._dataset, "--encoder", self._encoder, "--out", self._dataset / "features.h5")

    def train(self) -> dict[str, Any]:
        """XE, DXE and DR; their scores on the held-out clips."""
        self._title("the captioners", "XE copies everybody, DXE listens to the consensus, DR is rewarded for it")
        chosen = ("--recipe", "world", "--phases", "xe,dxe,dr", "--encoder", self._encoder)
        trained = self._glrg(
            "train", "--data", self._dataset, "--out", self._run, *chosen, "--seed", self._seed, *self._quick
        )
        return dict(trained["final"]["phases"])

    def export(self) -> Any:
        """SavedModel and ONNX, compared with Keras before they count."""
        self._title("export", "SavedModel and ONNX, each loaded again and compared with the model")
        target = self._out / "export"
        return self._glrg("export", self._run, "--format", "saved_model,onnx", "--out", target, "--data", self._dataset)

    def caption(self) -> list[dict[str, Any]]:
        """Captions of held-out clips, from the video files."""
        self._title("clips nobody trained on", "from the video file to the sentence")
        shown = self._held_out()
        videos = self._out / "held_out"
        videos.mkdir()
        for clip in shown:
            shutil.copy(self._world / clip.video, videos)
        found = self._glrg("caption", self._run, videos, "--n", 1, quiet=True)  # the table below shows them
        truth = {clip.id: clip.caption for clip in shown}
        rows = [(pathlib.Path(video["id"]).stem, video["captions"][0]["text"]) for video in found]
        return [{"id": name, "caption": text, "truth": truth[name]} for name, text in rows]

    def report(self) -> str:
        """The page of the run where this version has one, with a page of the held-out clips; else that one alone."""
        self._title("the report", "scores, captions and clips on one page")
        target, runs = self._out / "report.html", importlib.util.find_spec("glrg_cli.report_runs") is not None
        page = self._out / "clips.html" if runs else target
        references = self._world / "captions.jsonl"
        self._glrg("report", "clips", self._run, self._out / "held_out", "--references", references, "--out", page)
        if runs:
            self._glrg("report", "runs", self._run, "--out", target)
        return str(target)

    def show(self, scores: dict[str, Any], captions: list[dict[str, Any]]) -> None:
        """The two tables of the demo."""
        rows = [(row["id"], row["caption"], row["truth"]) for row in captions]
        self._console.table("\nHeld-out clips", ("clip", "the captioner says", "the truth"), rows)
        table = [[phase, *(100 * found["scores"][m] for m in _METRICS)] for phase, found in scores.items()]
        self._console.table("\nHeld-out scores, per cent", ("phase", *_METRICS), table)
        times = [(name, duration(seconds)) for name, seconds in self.times.items()]
        self._console.table("\nTime", ("step", "minutes"), times)

    # === Parts ===
    def _held_out(self) -> list[Any]:
        """Held-out clips of different stories, in the order of the world."""
        from glrg_tf.data.world.truth import load_truth

        clips = [clip for clip in load_truth(self._world) if clip.split == "test"]
        by_story: dict[str, list[Any]] = {}
        for clip in clips:
            by_story.setdefault(clip.events[-1].name, []).append(clip)
        rounds = zip(*(group + [None] * (len(clips) - len(group)) for group in by_story.values()), strict=True)
        chosen = [clip for turn in rounds for clip in turn if clip is not None][:_CAPTIONED]
        return sorted(chosen, key=lambda clip: clip.id)

    def _title(self, name: str, about: str) -> None:
        self._step += 1
        self._since = time.monotonic()
        self._name = name
        elapsed = duration(self._since - self.started)
        self._console.info(f"\n━━ {self._step} · {name} ━━ {elapsed}\n{about}")

    def _glrg(self, *words: object, quiet: bool = False) -> Any:
        """Shows and runs one command; returns its JSON document.

        Raises:
            GlrgError: what the command raises.
        """
        from glrg_cli import main

        line = [str(word) for word in words]
        self._console.info(f"$ glrg {shlex.join(line)}")
        output = io.StringIO()
        console = self._console
        inner = _BriefConsole(debug=console.debug, quiet=quiet or console.quiet, json_output=True, output=output)
        try:
            code = main.run_command(line[0], [*line[1:], "--json"], inner)
        finally:
            console.interrupt_note = inner.interrupt_note
            self.times[self._name] = time.monotonic() - self._since
        if code:
            raise ConfigError(f"`glrg {line[0]}` ended with exit code {code}", remedy="its message is above")
        return json.loads(output.getvalue())
