"""`glrg score`: BLEU, METEOR, ROUGE-L and CIDEr of any system's captions, with intervals over videos."""

from __future__ import annotations

import argparse

from glrg_cli.common import Console
from glrg_cli.parser import integer

HELP = "score any system's captions"
DESCRIPTION = """\
Scores captions against references with the numbers coco-caption gives (PTB tokenizer), as percentages with 95 %
bootstrap intervals over videos. References are a COCO annotation file; predictions a list of image_id and caption,
or what `glrg evaluate --json` prints."""
EXAMPLES = """\
examples:
  glrg score --references captions_test.json --predictions results.json
  glrg score --references captions_test.json --predictions results.json --json > scores.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg score`."""
    parser.add_argument("--references", required=True, metavar="FILE", help="COCO annotations: images and annotations")
    parser.add_argument("--predictions", required=True, metavar="FILE", help="a list of image_id and caption")
    parser.add_argument(
        "--subset", action="store_true", help="score only the predicted images; otherwise every image needs one"
    )
    parser.add_argument(
        "--tokenizer",
        choices=("ptb", "none"),
        default="ptb",
        help="none: words are what blanks separate (default: ptb)",
    )
    parser.add_argument(
        "--resamples", type=integer(1, 100_000), default=1000, metavar="N", help="for the intervals (default: 1000)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Scores the predictions and prints the table."""
    from glrg_tf.metrics import coco, coco_files

    references = coco_files.read_references(args.references)
    predictions = coco_files.read_predictions(args.predictions)
    if args.subset:
        references = {image: captions for image, captions in references.items() if image in predictions}
    count = sum(map(len, references.values()))
    console.info(f"{len(predictions)} captions against {count} references; METEOR takes some seconds to start")
    scores = coco.score_captions(references, predictions, tokenizer=args.tokenizer)
    intervals = coco.bootstrap_interval(scores, args.resamples, seed=args.seed or 0)
    rows = [
        (metric, 100 * value, f"{100 * intervals[metric][0]:.2f} to {100 * intervals[metric][1]:.2f}")
        for metric, value in scores.overall.items()
    ]
    console.table(f"{len(scores.ids)} videos", ("metric", "score (%)", "95 % interval"), rows)
    console.result(
        {
            "scores": scores.overall,
            "intervals": {metric: list(bounds) for metric, bounds in intervals.items()},
            "videos": len(scores.ids),
            "tokenizer": args.tokenizer,
            "predictions": [{"id": image, "caption": caption} for image, caption in predictions.items()],
        }
    )
    return 0
