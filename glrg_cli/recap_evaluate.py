"""`glrg recap evaluate`: CIDEr, ROUGE-L and METEOR of each level of a captioner of long video."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glrg_cli.common import Console
from glrg_cli.parser import refuse_folder
from glrg_tf.io import atomic
from glrg_tf.recap.hierarchy import LEVELS

DESCRIPTION = """\
Lets the captioner write a whole split, clips first and each level from what it wrote below, and scores every level that
people described there."""
EXAMPLES = """\
examples:
  glrg recap evaluate runs/recap --data data/stories --features data/features --split test
  glrg recap evaluate runs/hirest --data data/hirest --split val --samples 10 --out scores.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg recap evaluate`."""
    parser.add_argument("captioner", metavar="RECAP", help="run or captioner folder")
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset whose records have texts at levels")
    parser.add_argument("--features", metavar="DIR", help="features of clips, as in training")
    parser.add_argument("--split", metavar="NAME", default="val", help="default: val")
    parser.add_argument("--level", choices=LEVELS, action="append", help="score only this level; may be repeated")
    parser.add_argument("--samples", metavar="N", type=int, default=3, help="texts shown of each level (default: 3)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write scores and all texts as JSON")


def run(args: argparse.Namespace, console: Console) -> int:
    """Writes, scores, shows."""
    from glrg_tf.data.dataset import CaptionDataset
    from glrg_tf.recap.captioner import RecapCaptioner
    from training.recap_data import FeatureFolder, load_videos
    from training.recap_evaluator import METRICS, evaluate_recap

    refuse_folder(args.out, "scores.json")
    dataset = CaptionDataset.load(args.data)
    dataset.records(args.split)  # a split that is not there is told before TensorFlow's work begins
    captioner = RecapCaptioner.load(args.captioner)
    folder = FeatureFolder(Path(args.features), captioner.row_streams) if args.features is not None else None
    videos = load_videos(dataset, captioner.hierarchy, folder, (args.split,))
    with console.progress(len(captioner.levels), "writing", "levels") as bar:
        found = evaluate_recap(captioner, videos, args.level or (), progress=lambda level: bar.update(1, level=level))
    rows = [(one.level, len(one.written), *(f"{100 * one.scores[m]:.2f}" for m in METRICS)) for one in found]
    console.table(f"{args.captioner} on {args.split}", ("level", "texts", *METRICS), rows)
    for one in found:
        for example, text in one.written[: max(0, args.samples)]:
            console.info(f"{one.level} {example.video}: {text}\n    people: {example.references[0]}")
    result = [_as_json(one) for one in found]
    if args.out is not None:
        atomic.write_json(args.out, result)
    console.result(result)
    return 0


def _as_json(one: Any) -> dict[str, Any]:
    texts = [
        {"id": e.video, "start": e.start_us / 1e6, "end": e.end_us / 1e6, "text": t, "references": list(e.references)}
        for e, t in one.written
    ]
    return {"level": one.level, "scores": one.scores, "texts": texts}
