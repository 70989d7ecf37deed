"""`glrg world`: renders the sample world, short clips with captions and the truth about them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from glrg_cli.common import Console
from glrg_cli.parser import integer, number
from glrg_tf.errors import ConfigError

HELP = "render the sample world: short clips, captions by many hands, and the truth"
DESCRIPTION = """\
Renders short mp4 clips of shapes that move, meet and change in many scenes, lets fifteen annotators of different style
and care describe them, and writes the truth about every frame. The same seed gives the same world."""
EXAMPLES = """\
examples:
  glrg world --out data/world
  glrg world --out data/world --clips 1000 --seed 7
  glrg world --out data/stories --stories 20 --minutes 6 --segment-seconds 60
  glrg world --out data/hour --stories 1 --minutes 60 --size 320x240
  glrg data import table data/world/captions.jsonl --out data/world/dataset"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg world`."""
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to make; must not exist")
    parser.add_argument("--clips", type=integer(10), metavar="N", default=400, help="how many clips (default: 400)")
    stories = parser.add_argument_group("long stories, with captions, segment descriptions and summaries")
    stories.add_argument("--stories", type=integer(1), metavar="N", help="render stories instead of clips")
    stories.add_argument(
        "--minutes", type=number(0.01, 10_080.0), metavar="M", default=12.0, help="of each (default: 12)"
    )
    stories.add_argument(
        "--segment-seconds", type=integer(12), metavar="S", default=180, help="of a segment (default: 180)"
    )
    stories.add_argument("--size", type=_size, metavar="WxH", help="enlarge the pictures (default: 128x96, as drawn)")
    stories.add_argument("--frame-rate", type=integer(1), metavar="F", default=12, help="a second (default: 12)")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 320x240")
    return int(width), int(height)


def run(args: argparse.Namespace, console: Console) -> int:
    """Renders the world."""
    out = Path(args.out)
    if out.exists():
        raise ConfigError("the folder exists", where=out, remedy="remove it, or choose another --out")
    seed = 1 if args.seed is None else args.seed
    started = time.monotonic()
    count, noun = (args.stories, "stories") if args.stories else (args.clips, "clips")
    if args.stories:
        from glrg_tf.data.world.story_video import make_stories

        seconds = 60.0 * args.minutes
        with console.progress(round(count * seconds), "rendering", "seconds of video") as progress:
            make_stories(out, count, seconds, args.segment_seconds, seed, args.frame_rate, progress.update, args.size)
    else:
        from glrg_tf.data.world.make import make_world

        with console.progress(count, "rendering", "clips") as progress:
            make_world(out, count, seed, progress.update)
    console.info(f"{count} {noun} of the world of seed {seed} in {time.monotonic() - started:.0f} s: {out}")
    if not args.stories:
        console.info(f"next: glrg data import table {out / 'captions.jsonl'} --out {out / 'dataset'}")
    console.result({"folder": out, noun: count, "seed": seed})
    return 0
