"""The options that several actions of `glrg recap` share."""

from __future__ import annotations

import argparse

from glrg_tf.recap.hierarchy import Hierarchy

_LENGTHS = Hierarchy()
EXAMPLE = "learning_rate=5e-4"  # of --set


def add_clip_seconds(parser: argparse.ArgumentParser) -> None:
    """Adds `--clip-seconds`."""
    told = f"of a clip (default: {_LENGTHS.clip_seconds:g})"
    parser.add_argument("--clip-seconds", metavar="S", type=float, default=_LENGTHS.clip_seconds, help=told)


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """Adds `--clip-seconds` and `--segment-seconds`."""
    add_clip_seconds(parser)
    told = f"of a segment (default: {_LENGTHS.segment_seconds:g})"
    parser.add_argument("--segment-seconds", metavar="S", type=float, default=_LENGTHS.segment_seconds, help=told)


def hierarchy_of(args: argparse.Namespace) -> Hierarchy:
    """The windows of these options; without `--segment-seconds`, segments that hold a clip whatever its length.

    Raises:
        ConfigError: lengths that cannot be.
    """
    segment = getattr(args, "segment_seconds", max(_LENGTHS.segment_seconds, args.clip_seconds))
    return Hierarchy(args.clip_seconds, segment)
