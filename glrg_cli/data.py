"""`glrg data`: makes caption datasets from foreign formats and checks them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_cli import data_download
from glrg_tf.data.importers import FORMATS, ImportOptions, import_dataset

if TYPE_CHECKING:
    from glrg_cli.common import Console

HELP = "import, verify and download caption datasets"
EXIT_REFUSED = 4

EXAMPLES = """\
examples:
  glrg data import msrvtt ../shared/data/msrvtt --out data/msrvtt
  glrg data verify data/msrvtt

`glrg data import --help` lists the formats."""
_IMPORT_EXAMPLES = """\
examples:
  glrg data import msrvtt ../shared/data/msrvtt --out data/msrvtt
  glrg data import msrvtt train_val_videodatainfo.json test_videodatainfo.json --features feats.h5 --out data/msrvtt
  glrg data import msvd video_corpus.csv youtube_mapping.txt --out data/msvd
  glrg data import activitynet train.json val_1.json val_2.json --out data/activitynet
  glrg data import coco captions_train.json captions_val.json --out data/mine
  glrg data import ego4d-hcap Ego4D_HCap --out data/hcap
  glrg data import hirest all_data_train.json all_data_val.json --out data/hirest
  glrg data import table captions.csv --videos clips --tokenizer unicode --out data/mine
  glrg data import glrg-release GL-RG/data --name msrvtt --out data/msrvtt

formats:
"""
_VERIFY_EXAMPLES = """\
example:
  glrg data verify data/msrvtt

Exit code 4, with the list of problems, when counts, ids, splits, shapes, values or hashes are wrong. Video files that
cannot be read are listed and are no problem of the dataset."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_import(actions)
    _add_verify(actions)
    data_download.add_parser(actions)


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen subcommand."""
    return {"import": _run_import, "verify": _run_verify, "download": data_download.run}[args.action](args, console)


def _add_import(actions: argparse._SubParsersAction) -> None:
    formats = "\n".join(f"  {name:22s} {meaning}" for name, meaning in FORMATS.items())
    parser = actions.add_parser(
        "import", help="make a dataset folder from captions of another format", epilog=_IMPORT_EXAMPLES + formats
    )
    parser.add_argument("format", metavar="FORMAT", choices=tuple(FORMATS), help="one of the formats below")
    parser.add_argument("source", metavar="SRC", nargs="+", type=Path, help="files, or a folder searched for them")
    parser.add_argument("--out", metavar="DATASET", type=Path, required=True, help="the folder to write; must be new")
    parser.add_argument(
        "--features",
        metavar="FILE.h5",
        type=Path,
        action="append",
        default=[],
        help="a feature file of ours or of the release; may be repeated; default: those found in the folder SRC",
    )
    parser.add_argument("--drop-missing", action="store_true", help="leave videos without features out")
    parser.add_argument("--drop-empty", action="store_true", help="leave empty captions out")
    parser.add_argument("--videos", metavar="DIR", type=Path, help="folder searched for the video files")
    parser.add_argument("--splits", metavar="FILE", type=Path, help="json {split: [ids]}, or lines `id split`")
    parser.add_argument(
        "--tokenizer", choices=("release", "unicode"), default="release", help="unicode: captions in any language"
    )
    parser.add_argument("--name", help="name of the data set; glrg-release: which of the two (msrvtt, msvd)")


def _add_verify(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser("verify", help="check a dataset folder whole", epilog=_VERIFY_EXAMPLES)
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="a dataset folder")
    parser.add_argument("--skip-videos", action="store_true", help="do not open the video files")


def _run_import(args: argparse.Namespace, console: Console) -> int:
    options = ImportOptions(
        features=tuple(args.features),
        videos=args.videos,
        splits=args.splits,
        tokenizer=args.tokenizer,
        name=args.name,
        drop_missing=args.drop_missing,
        drop_empty=args.drop_empty,
    )
    description = import_dataset(args.format, args.source, args.out, options).description
    _show_splits(console, f"{description['name']} in {args.out}", description["splits"])
    if description["streams"]:
        console.info("feature streams: " + ", ".join(f"{k} {v}" for k, v in description["streams"].items()))
    for note in description["notes"]:
        console.warning(note)
    console.result({"dataset": str(args.out), **description})
    return 0


def _run_verify(args: argparse.Namespace, console: Console) -> int:
    from glrg_tf.data.verify import verify

    with console.progress(None, "verifying", "videos") as bar:
        report = verify(args.dataset, videos=not args.skip_videos, progress=lambda done, total: bar.update(1))
    _show_splits(console, f"{report.name} in {args.dataset}", report.splits)
    for warning in report.warnings:
        console.warning(warning)
    for video_id, what in report.undecodable:
        console.warning(f"the video of '{video_id}' cannot be read: {what}")
    for problem in report.problems:
        console.error(problem)
    if report.sound:
        console.info("sound: counts, ids, splits, shapes, values and hashes agree")
    else:
        console.error(f"{len(report.problems)} problem(s) in {args.dataset}; import the dataset again")
    console.result(
        {
            "dataset": str(args.dataset),
            "sound": report.sound,
            "splits": report.splits,
            "streams": report.streams,
            "problems": report.problems,
            "warnings": report.warnings,
            "undecodable": [{"id": video_id, "error": what} for video_id, what in report.undecodable],
        }
    )
    return 0 if report.sound else EXIT_REFUSED


def _show_splits(console: Console, title: str, splits: dict[str, dict[str, int]]) -> None:
    rows = [[split, *(counts[column] for column in _COUNTED)] for split, counts in splits.items()]
    if len(rows) > 1:
        rows.append(["all", *(sum(counts[column] for counts in splits.values()) for column in _COUNTED)])
    console.table(title, ["split", "videos", "captions", "with features"], rows)


_COUNTED = ("videos", "captions", "features")
