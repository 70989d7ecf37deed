"""`glrg recap run`: captions one long video: chapters, summary, subtitles, a searchable timeline."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import integer, number
from glrg_tf.errors import ConfigError

if TYPE_CHECKING:
    from glrg_cli.progress import Progress
    from glrg_tf.recap.hierarchy import Hierarchy
    from glrg_tf.recap.protocol import RecapModel
    from glrg_tf.recap.run_options import RunReport

DESCRIPTION = """\
Captions a video of any length: a caption every few seconds, a description every few minutes, one summary. CAPTIONER is
a captioner of `glrg recap train`, or a plain one with its encoder (a run, a folder, a preset such as world-nano), which
tells clips only. Memory does not grow with the video. A run that was interrupted, or killed, goes on where it was with
the same command. Texts edited in recap.json or recap.md, or given with --edits, are kept; what depends on them is told
anew.

--out holds recap.html (timeline with pictures and search), recap.json, recap.md, and chapters and clips as .vtt
and .srt."""
EXAMPLES = """\
examples:
  glrg recap run runs/recap hour.mp4 --out hour
  glrg recap run world-nano hour.mp4 --out hour --segment-seconds 120
  glrg recap run runs/recap hour.mp4 --out hour --edits corrections.json"""
_SECONDS = number(0.1, 604_800.0)
_BARS = {
    "clip": ("clips", "captioning clips"),
    "segment": ("segments", "describing segments"),
    "video": ("summary", "summarising"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg recap run`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="a folder of `glrg recap train`, or a plain captioner")
    parser.add_argument("video", metavar="VIDEO", type=Path, help="a video file")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the texts, kept up to date")
    parser.add_argument("--edits", metavar="FILE", type=Path, help="your corrections (.json or .md)")
    parser.add_argument("--forget-edits", action="store_true", help="take all corrections back")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever the folder holds")
    parser.add_argument("--no-thumbnails", action="store_true", help="no pictures in recap.html")
    parser.add_argument(
        "--max-hours",
        type=number(1 / 3600, 168.0),
        metavar="H",
        default=24.0,
        help="refuse longer videos (default: 24)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")
    plain = parser.add_argument_group("with a plain captioner")
    plain.add_argument("--encoder", metavar="ENC", help="what turns clips into features (default: the captioner's)")
    plain.add_argument("--clip-seconds", type=_SECONDS, metavar="S", help="of a clip (default: 4)")
    plain.add_argument("--segment-seconds", type=_SECONDS, metavar="S", help="of a chapter (default: 180)")
    plain.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept (default: the captioner's)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the recursion and writes the texts."""
    import dataclasses

    from glrg_cli.html.recap import recap_page
    from glrg_tf.io import atomic
    from glrg_tf.io.lock import only_one
    from glrg_tf.recap.frames import LONG
    from glrg_tf.recap.journal import FOLDER
    from glrg_tf.recap.outputs import write_texts
    from glrg_tf.recap.recursion import Recursion
    from glrg_tf.recap.run_options import RunOptions

    if args.forget_edits and args.edits is not None:
        raise ConfigError("--edits would be forgotten by --forget-edits", remedy="take them back first, then edit")
    if not args.video.is_file():
        from glrg_tf.errors import VideoError

        raise VideoError("no such file", where=args.video, remedy="check the path")
    limits = dataclasses.replace(LONG, max_duration=3600.0 * args.max_hours)
    options = RunOptions(args.edits, args.fresh, args.forget_edits, not args.no_thumbnails, limits)
    model = open_model(args)
    if args.dry_run:
        from glrg_cli.recap_plan import show

        show(model, args.video, args.out, limits, console)
        return 0
    with only_one(args.out / FOLDER), contextlib.ExitStack() as stack:
        console.interrupt_note = "finished clips are kept; the same command goes on"
        recursion = stack.enter_context(Recursion(model, args.video, args.out, _name(args.captioner), options))
        bars = stack.enter_context(_Bars(console))
        report = recursion.run(bars.tell)
        bars.close()
        files = write_texts(report.recap, args.out)
        page = args.out / "recap.html"
        atomic.write_text(page, recap_page(report.recap, recursion.journal.thumbnail))
    _show(report, args.out, console)
    console.result(_result(report, [page, *files]))
    return 0


def open_model(args: argparse.Namespace) -> RecapModel:
    """The captioner of the command line.

    Raises:
        CheckpointError: not found or damaged.
        ConfigError: it cannot look at clips, or options that are not for it.
    """
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.recap.plain import PlainClipCaptioner

    folder = Path(args.captioner)
    if _is_recap(folder):
        from glrg_tf.recap.captioner import RecapCaptioner
        from glrg_tf.recap.hierarchy import CLIP

        for name in ("encoder", "clip_seconds", "segment_seconds", "beam"):
            if getattr(args, name) is not None:
                what = f"--{name.replace('_', '-')} is for plain captioners; this one brings its own"
                raise ConfigError(what, where=folder, remedy="leave it out")
        captioner = RecapCaptioner.load(folder)
        if CLIP not in captioner.levels or captioner.encoder is None:
            raise ConfigError(
                "this captioner reads features, not videos: it has no encoder, or no level of clips",
                where=folder,
                remedy="train it with --encoder ENC",
            )
        return captioner
    plain = VideoCaptioner.from_preset(args.captioner)
    if args.encoder is not None:
        from glrg_cli.encoders import open_encoder

        plain.encoders = open_encoder(args.encoder)
    return PlainClipCaptioner(plain, _hierarchy(args), args.beam)


def _is_recap(folder: Path) -> bool:
    from glrg_tf.errors import DataError
    from glrg_tf.io import documents

    for config in (folder / "config.json", folder / "captioner" / "config.json"):
        if config.is_file():
            with contextlib.suppress(DataError):
                values = documents.read_json(config, max_bytes=2**22)
                if isinstance(values, dict) and values.get("format") == "glrg-recap":
                    return True
    return False


def _hierarchy(args: argparse.Namespace) -> Hierarchy:
    from glrg_tf.recap.hierarchy import Hierarchy

    named = {"clip_seconds": args.clip_seconds, "segment_seconds": args.segment_seconds}
    return Hierarchy(**{name: value for name, value in named.items() if value is not None})


class _Bars:
    """One bar a level, opened when the level begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._level, self._bar = "", contextlib.ExitStack()
        self._progress: Progress | None = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the open bar."""
        self._bar.close()

    def tell(self, level: str, done: int, total: int) -> None:
        """Moves the bar of a level."""
        if level != self._level:
            self._bar.close()
            unit, what = _BARS[level]
            self._progress = self._bar.enter_context(self._console.progress(total, what, unit))
            self._level = level
        if done and self._progress is not None:
            self._progress.update(done)


def _show(report: RunReport, out: Path, console: Console) -> None:
    recap = report.recap
    for note in recap.notes:
        console.warning(note)
    if recap.summary is not None:
        console.line(recap.summary.text)
    from glrg_tf.recap.timeline import clock

    rows = [(clock(told.window.start), told.text) for told in recap.segments]
    console.table("", ("chapter", "text"), rows)
    kept = len(recap.clips) - report.seen
    parts = [_count(len(recap.clips), "clip") + (f" ({kept} of them kept from before)" if kept else "")]
    parts.append(_count(len(recap.segments), "segment" if recap.summary is not None else "chapter"))
    if report.edits:
        parts.append(f"{_count(report.edits, 'text')} by hand")
    console.info(f"{', '.join(parts)}: {out / 'recap.html'}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def _result(report: RunReport, files: list[Path]) -> dict[str, Any]:
    recap = report.recap
    return {
        "files": [str(file) for file in files],
        "duration": recap.video["duration"],
        "clips": len(recap.clips),
        "segments": len(recap.segments),
        "summary": recap.summary.text if recap.summary else None,
        "told": report.told,
        "edits": report.edits,
        "group": report.group,
        "seconds": {name: round(value, 3) for name, value in report.seconds.items()},
        "notes": list(recap.notes),
    }


def _name(captioner: str) -> str:
    return Path(captioner).name or captioner
