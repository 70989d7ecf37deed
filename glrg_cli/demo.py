"""`glrg demo`: the whole path on a small made-up dataset, with the commands that one would type.

A tiny world of who does what where (grammar_world.py) stands in for videos: its features really tell the caption, so
the three trainings can be seen to work within a minute or two, without any download.
"""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import shlex
import time
from typing import Any

from glrg_cli import grammar_world
from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError

HELP = "the whole path on a small made-up dataset, in minutes"
DESCRIPTION = """\
Makes a small dataset (made-up captions, and features that really tell them), imports it, trains XE, DXE and DR,
scores them on held-out videos and captions a few of these. Every command is shown before it runs."""
EXAMPLES = """\
examples:
  glrg demo
  glrg demo --out runs/demo --epochs 10"""

SIZES = {"train": 160, "val": 40, "test": 40}
_SMALL = ("model.pool_size=128", "model.embedding_size=128", "model.hidden_size=128", "train.batch_size=16")
_RATES = ("train.learning_rate=2e-3", "dr.learning_rate=3e-4")  # a small model on little data: larger steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg demo`."""
    parser.add_argument("--out", metavar="DIR", default="runs/demo", help="folder for everything (default: runs/demo)")
    parser.add_argument("--epochs", type=integer(1), metavar="N", default=30, help="most epochs a phase (default: 30)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the commands of the path one after another."""
    out = pathlib.Path(args.out)
    if out.exists():
        raise ConfigError("the demo's folder exists", where=out, remedy="remove it, or choose another --out")
    seed = 1 if args.seed is None else args.seed
    started = time.monotonic()
    source, dataset, captioner = out / "source", out / "dataset", out / "run"
    console.info(f"a made-up world: {sum(SIZES.values())} videos with {grammar_world.CAPTIONS_PER_VIDEO} captions each")
    grammar_world.write_source(source, seed, SIZES)
    features = source / "features.h5"
    _glrg(console, "data", "import", "table", source / "captions.jsonl", "--features", features, "--out", dataset)
    changes = [word for setting in (*_SMALL, *_RATES) for word in ("--set", setting)]
    words = ["--data", dataset, "--out", captioner, "--phases", "xe,dxe,dr", "--epochs", args.epochs, "--seed", seed]
    trained = _glrg(console, "train", *words, *changes)
    evaluated = _glrg(console, "evaluate", captioner, "--data", dataset, "--split", "test")
    held_out = out / "held_out.h5"
    truth = _write_held_out(held_out, seed)
    captions = _glrg(console, "caption", captioner, held_out, "--n", 2)
    rows = [(video["id"], video["captions"][0]["text"], truth[video["id"]].captions[0]) for video in captions]
    console.table("Held-out videos", ("video", "captioner", "one of its references"), rows)
    console.info(f"done in {time.monotonic() - started:.0f} s; everything is in {out}")
    console.result({"train": trained, "evaluate": evaluated, "caption": captions})
    return 0


def _write_held_out(path: pathlib.Path, seed: int) -> dict[str, grammar_world.Video]:
    from glrg_tf.data.feature_store import write_features

    videos = grammar_world.make_videos(seed, SIZES)
    values = grammar_world.make_features(seed, videos)
    chosen = [row for row, video in enumerate(videos) if video.split == "test"][:8]
    write_features(path, [videos[row].id for row in chosen], {name: array[chosen] for name, array in values.items()})
    return {videos[row].id: videos[row] for row in chosen}


def _glrg(console: Console, *words: object) -> Any:
    """Shows and runs one command; returns its JSON document.

    Raises:
        GlrgError: what the command raises.
    """
    from glrg_cli import main

    line = [str(word) for word in words]
    console.info(f"\n$ glrg {shlex.join(line)}")
    output = io.StringIO()
    inner = Console(debug=console.debug, quiet=console.quiet, json_output=True, output=output)
    try:
        code = main.run_command(line[0], [*line[1:], "--json"], inner)
    finally:
        console.interrupt_note = inner.interrupt_note
    if code:
        raise ConfigError(f"`glrg {line[0]}` ended with exit code {code}", remedy="its message is above")
    return json.loads(output.getvalue())
