"""`glrg evaluate`: the scores of a captioner on a split of a dataset, the same numbers coco-caption gives."""

from __future__ import annotations

import argparse

from glrg_cli.common import Console
from glrg_cli.parser import add_selection, add_strategy, integer, refuse_folder
from training import distribution

HELP = "score a captioner on a dataset (BLEU, METEOR, ROUGE-L, CIDEr)"
DESCRIPTION = """\
Captions every video of a split that has features and scores the captions against its references with coco-caption's
BLEU-1..4, METEOR, ROUGE-L and CIDEr. The table shows percentages with 95 % intervals over videos; --json gives
fractions and the captions."""
EXAMPLES = """\
examples:
  glrg evaluate runs/a --data data/msrvtt --split val
  glrg evaluate runs/a --data data/msrvtt --split test --beam 1 --json > scores.json
  glrg evaluate runs/a --data data/msrvtt --out scores.json
  glrg evaluate runs/a --data data/msrvtt --strategy mirrored"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg evaluate`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset folder of `glrg data import`")
    parser.add_argument("--split", default="test", help="split to score on (default: test)")
    parser.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept; 1 is greedy (default: 5)")
    add_selection(parser)
    parser.add_argument("--compat", choices=["release"], help="decode as the released code does")
    add_strategy(parser)
    parser.add_argument("--out", metavar="FILE", help="write the JSON document there too")


def run(args: argparse.Namespace, console: Console) -> int:
    """Captions and scores one split."""
    from glrg_tf.data.dataset import CaptionDataset

    refuse_folder(args.out, "scores.json")
    dataset = CaptionDataset.load(args.data)
    videos = dataset.records(args.split)  # a wrong split is told before TensorFlow is loaded

    strategy = distribution.make_strategy(args.strategy)  # workers must meet before TensorFlow does anything else

    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.io import atomic
    from glrg_tf.metrics.coco import bootstrap_interval
    from training.evaluator import predict_split

    captioner = VideoCaptioner.from_preset(args.captioner)
    console.info(f"captioning and scoring {args.split} of {dataset.name} ({len(videos)} videos)")
    predictions = predict_split(
        captioner,
        dataset,
        args.split,
        beam_size=args.beam,
        compat=args.compat,
        selection=args.selection,
        strategy=strategy,
    )
    if not distribution.read_task().chief:
        return 0
    evaluation = predictions.score()
    intervals = bootstrap_interval(evaluation.scores)
    scores = evaluation.scores.overall
    missing = len(videos) - len(evaluation.predictions)
    if missing:
        console.warning(f"{missing} videos of {args.split} have no features and are not scored")
    rows = [
        [name, f"{100 * value:.2f}", "{:.2f} .. {:.2f}".format(*(100 * bound for bound in intervals[name]))]
        for name, value in scores.items()
    ]
    console.table(f"{args.captioner} on {args.split}, {len(evaluation.predictions)} videos", ("", "%", "95 %"), rows)
    document = {
        "scores": scores,
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "split": args.split,
        "predictions": evaluation.predictions_json(),
    }
    if args.out:
        atomic.write_json(args.out, document)
    console.result(document)
    return 0
