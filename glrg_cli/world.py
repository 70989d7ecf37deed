"""`glrg world`: renders the sample world, short clips with captions and the truth about them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError

HELP = "render the sample world: short clips, captions by many hands, and the truth"
DESCRIPTION = """\
Renders short mp4 clips of shapes that move, meet and change in many scenes, lets fifteen annotators of different style
and care describe them, and writes the truth about every frame. The same seed gives the same world."""
EXAMPLES = """\
examples:
  glrg world --out data/world
  glrg world --out data/world --clips 1000 --seed 7
  glrg data import table data/world/captions.jsonl --out data/world/dataset"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg world`."""
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to make; must not exist")
    parser.add_argument("--clips", type=integer(10), metavar="N", default=400, help="how many clips (default: 400)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Renders the world."""
    from glrg_tf.data.world.make import make_world

    out = Path(args.out)
    if out.exists():
        raise ConfigError("the folder exists", where=out, remedy="remove it, or choose another --out")
    seed = 1 if args.seed is None else args.seed
    started = time.monotonic()
    with console.progress(args.clips, "rendering", "clips") as progress:
        make_world(out, args.clips, seed, progress.update)
    console.info(f"{args.clips} clips of the world of seed {seed} in {time.monotonic() - started:.0f} s: {out}")
    console.info(f"next: glrg data import table {out / 'captions.jsonl'} --out {out / 'dataset'}")
    console.result({"folder": out, "clips": args.clips, "seed": seed})
    return 0
