"""`glrg convert`: turns original PyTorch checkpoints into captioners and backbones, without PyTorch."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from glrg_cli.convert_torchvision import EXAMPLES as TORCHVISION_EXAMPLES
from glrg_cli.convert_torchvision import add_parser as add_torchvision

if TYPE_CHECKING:
    from glrg_cli.common import Console

HELP = "turn an original PyTorch checkpoint into a captioner, or torchvision's weights into a backbone"
RELEASE_HELP = "turn an original PyTorch checkpoint into a captioner"
RELEASE_EXAMPLES = """\
example:
  glrg convert glrg-release model/GL-RG_XE_msrvtt/model.pth \\
      --vocabulary data/metadata/msrvtt_train_vocab.json --out captioners/glrg-xe-msrvtt

The vocabulary is the one of the train split: each split of the release has its own, in an order of its own."""
EXAMPLES = f"""\
{RELEASE_EXAMPLES}

{TORCHVISION_EXAMPLES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the formats and their options."""
    formats = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    release = formats.add_parser(
        "glrg-release", help="a model.pth of the GL-RG release", description=RELEASE_HELP, epilog=RELEASE_EXAMPLES
    )
    release.add_argument("checkpoint", metavar="MODEL.pth", help="torch file, legacy or zip")
    release.add_argument(
        "--vocabulary", required=True, metavar="FILE", help="the train split's *_vocab.json or *_sequencelabel.h5"
    )
    release.add_argument("--out", required=True, metavar="CAPTIONER", help="the captioner folder to write")
    release.set_defaults(_convert=_convert_release)
    add_torchvision(formats)


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen format."""
    return int(args._convert(args, console))


def _convert_release(args: argparse.Namespace, console: Console) -> int:
    """Converts and prints where every tensor went."""
    from glrg_tf.convert.glrg_captioner import convert_release

    checkpoint, lines = convert_release(args.checkpoint, args.vocabulary, args.out)
    rows = [
        [
            line.source,
            _shape(line.source_shape),
            line.target,
            _shape(line.target_shape),
            line.placement,
            f"{line.minimum:+.3f}..{line.maximum:+.3f}",
        ]
        for line in lines
    ]
    columns = ["PyTorch", "shape", "captioner", "shape", "placement", "range"]
    console.table("Tensors", columns, rows)
    total = sum(value.size for value in checkpoint.tensors.values())
    agreed = "agrees with" if checkpoint.words else "fits the size of"
    console.info(f"{total:,} parameters; the vocabulary {agreed} the checkpoint; written to {args.out}")
    console.result(
        {
            "captioner": args.out,
            "sha256": checkpoint.sha256,
            "parameters": total,
            "vocabulary_size": checkpoint.sizes["V"],
            "vocabulary_checked": checkpoint.words is not None,
            "tensors": [dataclasses.asdict(line) for line in lines],
        }
    )
    return 0


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
