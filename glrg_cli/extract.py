"""`glrg extract`: a folder of videos becomes `features.h5`, whatever happens on the way."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from glrg_cli.common import Console
from glrg_cli.encoders import DEFAULT, has_random_weights, open_encoder
from glrg_cli.engines import add_engine, beam_choice
from glrg_cli.parser import integer, refuse_folder

if TYPE_CHECKING:
    from glrg_tf.encoders.extract_file import ExtractReport

HELP = "turn videos into features.h5"
DESCRIPTION = """\
Decodes videos, lets the encoders look at them and writes what they see as streams of a features.h5. VIDEOS is a
folder (with its subfolders), a dataset of `glrg data import`, a list (.txt: a path a line; .jsonl: objects with
`video` and, if known, `id`, `start`, `end` in seconds), or video files.

Run the same command again after a crash: finished videos are not done again. A finished file gets the videos it does
not have yet. Files that cannot be read are listed in OUT's .errors.jsonl and do not stop the others: exit code 3, and
4 when none could be read."""
EXAMPLES = """\
examples:
  glrg extract clips/ --out features.h5
  glrg extract data/mine --out data/mine/features.h5 --encoder runs/encoder --workers 4
  glrg extract list.txt --out features.h5 --per-position
  glrg extract /shared/clips --out features.h5 --parts /shared --engine beam \\
      --engine-options "runner=FlinkRunner flink_master=HOST:8081\""""

_SHOWN = 10  # bad files that are named; all are in the list beside the output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg extract`."""
    parser.add_argument("videos", metavar="VIDEOS", nargs="+", help="folder, dataset, list or video files")
    parser.add_argument("--out", metavar="FILE.h5", required=True, help="the feature file")
    parser.add_argument(
        "--encoder",
        metavar="ENC",
        default=DEFAULT,
        help=f"encoder folder or config, or a captioner that carries one (default: {DEFAULT})",
    )
    parser.add_argument("--workers", type=integer(1, 256), metavar="N", help="decoding processes (default: one a core)")
    parser.add_argument("--per-position", action="store_true", help="keep every position, not only their mean")
    add_engine(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")


def run(args: argparse.Namespace, console: Console) -> int:
    """Extracts; returns 0, 3 (some failed) or 4 (all failed)."""
    from glrg_tf.encoders.extract_items import list_videos

    output = pathlib.Path(args.out)
    refuse_folder(output, "features.h5")
    beam = beam_choice(args, args.out)
    items = list_videos(args.videos)  # a wrong path is told before TensorFlow is loaded

    from glrg_tf.data.attach import attach_features, is_feature_file_of_dataset
    from glrg_tf.encoders.beam_pipeline import BeamGroups
    from glrg_tf.encoders.extract import encode_groups
    from glrg_tf.encoders.extract_file import extract

    bundle = open_encoder(args.encoder)
    streams = ", ".join(f"{name} {width}" for name, width in bundle.widths)
    if has_random_weights(args.encoder):
        console.warning(
            f"the preset '{args.encoder}' has random weights: its features mean nothing until it is trained"
        )
    if args.dry_run:
        from glrg_cli.extract_plan import show

        show(bundle, items, output, args.workers, args.per_position, console)
        return 0
    console.info(f"{_videos(len(items))} into {streams} ({bundle.plan.positions} positions each)")
    console.interrupt_note = "finished videos are kept; the same command goes on with the others"
    groups = BeamGroups(beam.options, beam.parts) if beam is not None else None
    with console.progress(len(items), "extracting", "videos") as bar:
        report = extract(
            bundle,
            items,
            output,
            workers=args.workers,
            per_position=args.per_position,
            progress=lambda count, _: bar.update(count),
            groups=groups or encode_groups,
        )
    if groups is not None:
        groups.remove()
    console.interrupt_note = None
    if output.exists() and is_feature_file_of_dataset(output):
        attach_features(output.parent)
    _report(report, console)
    if not report.failed:
        return 0
    return 3 if report.extracted + report.reused else 4


def _report(report: ExtractReport, console: Console) -> None:
    for video_id, text in report.warnings:
        console.warning(f"{video_id}: {text}")
    for item, error in report.failed[:_SHOWN]:
        console.error(f"{item.path}: {error.what}")
    more = len(report.failed) - _SHOWN
    if report.failed:
        rest = f"{more} more; " if more > 0 else ""
        console.error(f"{rest}{len(report.failed)} of {report.videos} failed, listed in {report.errors_file}")
    rate = report.extracted / report.seconds if report.seconds else 0.0
    done = [f"{_videos(report.extracted)} extracted, {rate:.1f} a second"] if report.extracted else []
    done += [f"{_videos(report.reused)} there already"] if report.reused else []
    if done:
        console.info(f"{report.output}: {', '.join(done)}")
    console.result(
        {
            "out": str(report.output),
            "videos": report.videos,
            "extracted": report.extracted,
            "reused": report.reused,
            "seconds": round(report.seconds, 3),
            "videos_per_second": round(rate, 3),
            "failed": [{"id": item.id, "video": str(item.path), "error": e.what} for item, e in report.failed],
            "warnings": [{"id": video_id, "warning": text} for video_id, text in report.warnings],
        }
    )


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count:,} videos"
