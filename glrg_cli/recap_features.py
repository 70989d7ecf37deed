"""`glrg recap features`: looks at every clip of long videos once, for `glrg recap train --features`."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.recap_options import add_clip_seconds, hierarchy_of

if TYPE_CHECKING:
    from glrg_cli.progress import Progress

DESCRIPTION = """\
Looks at every clip of whole videos with an encoder and writes its features, for `glrg recap train --features`. SOURCE
is a dataset whose records name their videos, a folder, a list or a video. Goes on where it was interrupted. OUT/encoder
is the encoder to train with (`glrg recap train --encoder OUT/encoder`)."""
EXAMPLES = """\
example:
  glrg recap features data/stories --encoder world-nano --positions 2 --out data/features
  glrg recap train --data data/stories --features data/features --encoder data/features/encoder --out runs/recap"""
EXIT_SOME_FAILED, EXIT_REFUSED = 3, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg recap features`."""
    parser.add_argument("source", metavar="SOURCE", nargs="+", help="datasets, folders, lists or videos")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the features")
    parser.add_argument("--encoder", metavar="ENC", default="world-nano", help="(default: world-nano's)")
    parser.add_argument("--positions", type=integer(1, 1000), metavar="P", help="looked at in a clip (the encoder's)")
    add_clip_seconds(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Extracts, and lists what failed."""
    from glrg_cli.encoders import open_encoder
    from glrg_tf.encoders.extract_items import list_videos
    from glrg_tf.io.lock import only_one
    from glrg_tf.recap.extraction import extract_clips, with_positions

    hierarchy = hierarchy_of(args)
    items = list_videos(args.source)
    encoder = with_positions(open_encoder(args.encoder), args.positions)
    with only_one(args.out), contextlib.ExitStack() as stack:
        console.interrupt_note = "finished videos are kept; the same command goes on"
        videos = stack.enter_context(console.progress(len(items), "looking at", "videos"))
        bars = _Bars(console, videos, stack)
        report = extract_clips(encoder, items, args.out, hierarchy, bars.tell)
    for name, error in report.failed:
        console.error(f"{name}: {error.what}" + (f"; {error.remedy}" if error.remedy else ""))
    console.info(
        f"{len(report.extracted)} videos, {len(report.kept)} kept from before, {len(report.failed)} failed: {args.out}"
    )
    console.result(
        {
            "folder": str(args.out),
            "extracted": report.extracted,
            "kept": report.kept,
            "failed": [{"id": name, "error": error.what} for name, error in report.failed],
        }
    )
    if not report.failed:
        return 0
    return EXIT_SOME_FAILED if report.extracted or report.kept else EXIT_REFUSED


class _Bars:
    """A bar for videos, and one for the clips of the video at hand."""

    def __init__(self, console: Console, videos: Progress, stack: contextlib.ExitStack) -> None:
        self._console, self._videos, self._left = console, videos, 0
        self._clips: Progress | None = None
        stack.callback(self._close)

    def tell(self, name: str, done: int, total: int) -> None:
        """Moves the bars."""
        if not done:
            self._close()
            self._clips, self._left = self._console.progress(total, name, "clips"), total
        elif self._clips is not None:
            self._clips.update(done)
            self._left -= done
            if self._left == 0:
                self._videos.update(1)

    def _close(self) -> None:
        if self._clips is not None:
            self._clips.close()
            self._clips = None
