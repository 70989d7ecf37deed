"""`glrg plus`: a trained captioner that from now on decodes as those of the recipe glrg-plus do; nothing is trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from glrg_cli.common import Console
from glrg_cli.parser import integer, number
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError

HELP = "better captions from a trained captioner: decode by what the features foretell"
DESCRIPTION = """\
Fits what foretells captions' content from features to the training videos of a dataset (a second or two), and writes
the captioner with it into a new folder: its search is steered by the foretold words, and of the beam's captions the one
with the foretold n-grams is chosen. The networks stay as they are. Recipe glrg-plus does the same while training."""
EXAMPLES = """\
examples:
  glrg plus runs/a --data data/msrvtt --out captioners/a-plus
  glrg plus runs/a --data data/msrvtt --out captioners/a-plus --beam 5
  glrg evaluate captioners/a-plus --data data/msrvtt --split val"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg plus`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("--data", metavar="DATASET", required=True, help="whose training videos and captions foretell")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the new captioner")
    parser.add_argument("--beam", type=integer(1, 50), metavar="K", default=12, help="hypotheses kept (default: 12)")
    parser.add_argument(
        "--word-bias", type=number(0.0, 4.0), metavar="X", default=0.5, help="exponent of words' odds; 0: not steered"
    )
    parser.add_argument(
        "--ridge", type=number(1e-6, 1e6), metavar="X", default=0.2, help="how careful the forecast is (default: 0.2)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Fits and writes."""
    dataset = CaptionDataset.load(args.data)
    dataset.records("train")  # a dataset without them is told before TensorFlow is loaded
    target = Path(args.out)
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise ConfigError("the folder is not empty", where=target, remedy="choose another --out")

    import dataclasses

    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.locate import resolve
    from training import material

    captioner = VideoCaptioner.from_preset(args.captioner)
    card = (resolve(args.captioner) / "model_card.md").read_text("utf-8").rstrip() + "\n"
    beam = min(args.beam, captioner.config.vocabulary_size)
    settings = dataclasses.replace(captioner.decoding, beam_size=beam, selection="content", word_bias=args.word_bias)
    prior = material.equip_with_content(captioner, dataset, args.ridge)
    captioner.decoding = settings
    card += f"\nDecoded by content foretold from the training videos of {dataset.name}: beam {beam}.\n"
    captioner.save_to_preset(target, card=card)
    rank, size = prior.components.shape
    console.info(f"{target}: {size:,} n-grams foretold by {rank} components")
    console.result({"captioner": str(target), "ngrams": size, "components": rank, "beam": beam})
    return 0
