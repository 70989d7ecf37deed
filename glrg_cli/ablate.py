"""`glrg ablate streams`: a captioner for every subset of the streams, several seeds each (the paper's Table 2)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.data.dataset import read_description
from glrg_tf.errors import ConfigError

HELP = "the paper's ablation tables on any dataset"
DESCRIPTION = "Trains the same captioner on parts of what there is, and prints what each part is worth."
STREAMS = "which of the streams are needed: every subset of them, several seeds each (Table 2)"
EXAMPLES = """\
examples:
  glrg ablate streams --data data/dataset --out runs/table2
  glrg ablate streams --data data/msrvtt --out runs/table2 --recipe dxe --seeds 1
  glrg ablate streams --data data/dataset --out runs/table2 --epochs 20 --set model.hidden_size=64

An interrupted study goes on where it was: run the same command again."""

_SHORT = {"long_range": "long", "short_range": "short", "keyframe": "keyframe"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the studies of `glrg ablate`."""
    studies = parser.add_subparsers(dest="study", metavar="STUDY", required=True)
    streams = studies.add_parser("streams", help=STREAMS, description=STREAMS, epilog=EXAMPLES)
    streams.add_argument("--data", metavar="DATASET", required=True, help="dataset folder with features")
    streams.add_argument("--out", metavar="DIR", required=True, help="folder of the study; resumes what is there")
    streams.add_argument("--streams", metavar="S,S", help="those studied (default: all that the dataset has)")
    streams.add_argument("--recipe", metavar="NAME", default="world", help="settings (default: world)")
    streams.add_argument("--phases", metavar="P,P", default="dxe", help="of xe,dxe,dr (default: dxe)")
    streams.add_argument("--epochs", type=integer(1), metavar="N", help="most epochs of each phase")
    streams.add_argument("--seeds", metavar="N,N", default="1,2,3", help="of the trainings (default: 1,2,3)")
    streams.add_argument("--split", default="test", help="split to score on (default: test)")
    streams.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs what is missing of the study, then prints its table."""
    config, seeds = _config(args), _seeds(args.seeds)
    phases = tuple(part.strip() for part in args.phases.split(","))
    read_description(Path(args.data))  # a wrong path is told before TensorFlow is loaded

    from training.stream_study import study_streams

    console.interrupt_note = "what is finished is kept; run the same command again to go on"
    streams = tuple(part.strip() for part in args.streams.split(",")) if args.streams else _streams(args.data)
    total = len(seeds) * (2 ** len(streams) - 1)
    with console.progress(total, "training", "captioners") as bar:

        def tell(name: str, seed: int, cider: float | None) -> None:
            if cider is not None:
                console.info(f"{label(name.split('+'))}, seed {seed}: CIDEr {100 * cider:.1f}")
                bar.update(1)

        rows = study_streams(
            args.data,
            args.out,
            config,
            phases=phases,  # type: ignore[arg-type]
            seeds=seeds,
            streams=streams,
            split=args.split,
            progress=tell,
        )
    print_study(rows, console, f"Streams and scores on {args.split} (mean ± deviation over seeds, per cent)")
    console.result(
        [{"streams": list(row.streams), "seeds": list(row.seeds), "scores": dict(row.scores)} for row in rows]
    )
    return 0


def print_study(rows: list[Any], console: Console, title: str) -> None:
    """Prints the rows of a study as the paper's Table 2."""
    from training.stream_study import METRICS

    cells = [
        [label(row.streams), *(f"{100 * row.mean(m):.1f} ± {100 * row.spread(m):.1f}" for m in METRICS)] for row in rows
    ]
    console.table(title, ("streams", *METRICS), cells)


def label(streams: list[str] | tuple[str, ...]) -> str:
    """The streams of a row as people say them: "long + keyframe"."""
    return " + ".join(_SHORT.get(name, name) for name in streams)


def _config(args: argparse.Namespace) -> Any:
    from training import config as training_config
    from training.recipes import get_recipe

    config = get_recipe(args.recipe).config
    if args.epochs is not None:
        config = training_config.override(config, [f"train.epochs={args.epochs}"])
    return training_config.override(config, args.set)


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts) or len(set(parts)) < len(parts):
        raise ConfigError(f"'{text}' is no list of different seeds", where="--seeds", remedy="example: --seeds 1,2,3")
    return tuple(int(part) for part in parts)


def _streams(folder: str) -> tuple[str, ...]:
    from glrg_tf.data.dataset import CaptionDataset

    features = CaptionDataset.load(folder).features
    return tuple(features.streams) if features is not None else ()
