"""Where `glrg glove` takes clips from: the options and the opening that its subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from glrg_tf.semantic.stacks import Stacks


def add_source_options(parser: argparse.ArgumentParser, *, optional: bool = False, videos: bool = True) -> None:
    """Adds the source and how to read it; `videos`: whether it may be videos."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="*" if optional else "+",
        type=Path,
        help="folders of .npy stacks (NAME_rgb.npy), a features.h5 with positions"
        + (", or with --encoder videos" if videos else ""),
    )
    group = parser.add_argument_group("reading clips")
    group.add_argument("--streams", metavar="A,B", help="streams of a features.h5, side by side (default: all)")
    group.add_argument("--ids", metavar="FILE", type=Path, help="take these videos only: a JSON list, or one id a line")
    group.add_argument("--rgb-suffix", metavar="TEXT", help="end of the stacks' names (default: _rgb.npy, else .npy)")
    group.add_argument("--flow-suffix", metavar="TEXT", default="_flow.npy", help="end of the flow stacks' names")
    group.add_argument(
        "--encoder", metavar="ENC", help="SOURCE are videos: `glrg extract` their clips with this encoder"
    )
    group.add_argument("--workers", type=integer(1, 1024), metavar="N", help="threads (default: one a processor)")


def open_source(
    args: argparse.Namespace, console: Console, sources: Sequence[Path] = (), streams: Sequence[str] | None = None
) -> Stacks:
    """Opens the clips that the options name and tells what was left out.

    Args:
        args: of `add_source_options`.
        console: told what was left out.
        sources: instead of `args.source`.
        streams: of a `features.h5` where `--streams` is not given.

    Raises:
        ConfigError: no source.
        DataError: see `open_stacks`.
    """
    from glrg_tf.semantic.stack_sources import open_stacks, read_id_list

    chosen = list(sources or args.source)
    if not chosen:
        raise ConfigError("no clips are named", remedy="name folders of .npy stacks or a features.h5")
    if getattr(args, "encoder", None):
        chosen = [_extract(chosen, args, console)]
    stacks = open_stacks(
        chosen,
        streams=[name.strip() for name in args.streams.split(",")] if args.streams else streams,
        keep=read_id_list(args.ids) if args.ids else None,
        rgb_suffix=args.rgb_suffix,
        flow_suffix=args.flow_suffix,
    )
    for note in stacks.notes:
        console.warning(note)
    console.info(f"{len(stacks):,} clips of {stacks.videos:,} videos, {stacks.width} wide")
    return stacks


def _extract(videos: Sequence[Path], args: argparse.Namespace, console: Console) -> Path:
    """Makes a features.h5 of videos beside the output; it goes on where an earlier run was interrupted.

    Raises:
        DataError: no video can be read.
    """
    from glrg_cli import main

    features = args.out.with_name(f"{args.out.stem}.clips.h5")
    words = [*map(str, videos), "--out", str(features), "--encoder", args.encoder, "--per-position"]
    if args.workers:
        words += ["--workers", str(args.workers)]
    inner = Console(debug=console.debug, quiet=console.quiet)
    try:
        main.run_command("extract", words, inner)
    finally:
        console.interrupt_note = inner.interrupt_note
    console.info(f"the clips' features are kept in {features}")
    return features
