"""`glrg glove`: Visual GloVe, semantics of clips without labels: train, embed, look for neighbours, plot."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli import glove_use
from glrg_cli.common import Console
from glrg_cli.glove_sources import add_source_options, open_source
from glrg_cli.parser import integer
from glrg_cli.progress import Progress
from glrg_tf.errors import ConfigError
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from training.glove_reporting import GloveReporter

if TYPE_CHECKING:
    from glrg_tf.semantic.embedding import VisualGlove

HELP = "Visual GloVe: semantics of clips without labels, as a stream"
DESCRIPTION = """\
Clusters clip features into a codebook of visual words, counts which words stand near each other in time, and learns a
vector for every word (Visual GloVe, arXiv 2112.08455). No captions and no labels take part. A clip's embedding is its
word's vector: a further stream, `semantic`, for the captioner."""
EXAMPLES = """\
examples:
  glrg glove train stacks/ --out runs/glove                        # NAME_rgb.npy, NAME_flow.npy
  glrg glove train features.h5 --out runs/glove --words 200        # made by glrg extract --per-position
  glrg glove train clips/ --encoder world-nano --out runs/glove --words 100     # videos
  glrg glove embed runs/glove stacks/ --out embedded --concatenate both
  glrg glove embed runs/glove --features features.h5 --out features+semantic.h5
  glrg glove neighbours runs/glove v_QOlSCBRmfWY:3 --count 5
  glrg glove plot runs/glove --out words.png --highlight v_BNZf90PLJ0 --highlight v_j3QSVhAhDc"""
_TRAIN_EXAMPLES = """\
examples:
  glrg glove train i3d/ --out runs/glove
  glrg glove train i3d/ --ids train.json --out runs/glove --words 1500 --window 5 --dimensions 128
  glrg glove train features.h5 --streams keyframe --words 100 --out runs/glove
  glrg glove train i3d/ --codebook runs/glove --window 25 --out runs/glove-w25     # the same visual words
  glrg glove train i3d/ --compat reference --start-range 1 --out runs/as-published"""
EXIT_INTERRUPTED = 130
_CODEBOOK, _GLOVE = CodebookConfig(), GloveConfig()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_train(actions)
    glove_use.add_parsers(actions)


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs the chosen subcommand."""
    if args.action == "train":
        return _run_train(args, console)
    return glove_use.run(args, console)


def _add_train(actions: Any) -> None:
    parser = actions.add_parser("train", help="learn visual words and their vectors", epilog=_TRAIN_EXAMPLES)
    add_source_options(parser)
    parser.add_argument("--out", metavar="GLOVE", type=Path, required=True, help="folder to write; must be new")
    parser.add_argument("--codebook", metavar="GLOVE", type=Path, help="take the visual words of an earlier training")
    words = parser.add_argument_group("visual words")
    words.add_argument("--words", type=integer(2, 65536), metavar="V", default=_CODEBOOK.words, help=_told("words"))
    words.add_argument(
        "--codebook-epochs", type=integer(1), metavar="N", default=_CODEBOOK.epochs, help=_told("codebook_epochs")
    )
    words.add_argument(
        "--batch-rows", type=integer(1), metavar="N", default=_CODEBOOK.batch_rows, help=_told("batch_rows")
    )
    vectors = parser.add_argument_group("vectors")
    vectors.add_argument("--window", type=integer(2), metavar="W", default=_GLOVE.window, help=_told("window"))
    vectors.add_argument(
        "--dimensions", type=integer(32, 4096), metavar="D", default=_GLOVE.dimensions, help=_told("dimensions")
    )
    vectors.add_argument("--x-max", type=float, metavar="X", default=_GLOVE.x_max, help=_told("x_max"))
    vectors.add_argument("--alpha", type=float, metavar="A", default=_GLOVE.alpha, help=_told("alpha"))
    vectors.add_argument(
        "--learning-rate", type=float, metavar="R", default=_GLOVE.learning_rate, help=_told("learning_rate")
    )
    vectors.add_argument(
        "--batch-size", type=integer(1), metavar="N", default=_GLOVE.batch_size, help=_told("batch_size")
    )
    vectors.add_argument("--epochs", type=integer(1), metavar="N", default=_GLOVE.epochs, help=_told("epochs"))
    vectors.add_argument("--patience", type=integer(0), metavar="N", default=_GLOVE.patience, help=_told("patience"))
    vectors.add_argument("--unseen", type=float, metavar="X", default=_GLOVE.unseen, help=_told("unseen"))
    vectors.add_argument(
        "--start-range", type=float, metavar="R", default=_GLOVE.start_range, help=_told("start_range")
    )
    vectors.add_argument("--compat", choices=("off", "reference"), default="off", help=_told("compat"))


def _told(name: str) -> str:
    return f"{_MEANINGS[name]} (default: %(default)s)"


_MEANINGS = {
    "words": "size of the visual vocabulary",
    "codebook_epochs": "most passes of k-means over all clips",
    "batch_rows": "clips of a k-means step",
    "window": "clips on each side that count as context",
    "dimensions": "width of the embedding",
    "x_max": "co-occurrence from which a pair has full weight",
    "alpha": "exponent of the weight below it",
    "learning_rate": "Adagrad's",
    "batch_size": "pairs of a step",
    "epochs": "most passes over all pairs",
    "patience": "epochs without a better loss before stopping; 0 never stops early",
    "unseen": "co-occurrence of words that never meet, such as 0.1; 0 leaves these pairs out",
    "start_range": "start values lie within ± this; 0 takes 0.5/D, the published code has 1",
    "compat": "reference weighs pairs as the published code does, off by 1/distance",
}


def _run_train(args: argparse.Namespace, console: Console) -> int:
    config = GloveConfig(
        dimensions=args.dimensions,
        window=args.window,
        x_max=args.x_max,
        alpha=args.alpha,
        unseen=args.unseen,
        start_range=args.start_range,
        learning_rate=args.learning_rate,
        batch_size=args.batch_size,
        epochs=args.epochs,
        patience=args.patience,
        compat=args.compat,
    )
    codebook_config = CodebookConfig(args.words, args.batch_rows, args.codebook_epochs)
    if args.out.exists():
        raise ConfigError("the output already exists", where=args.out, remedy="choose another --out or remove it")
    from glrg_tf.semantic.artefact import load_glove, save_glove
    from glrg_tf.semantic.codebook import check_clips

    earlier = load_glove(args.codebook) if args.codebook else None
    with open_source(args, console) as stacks:
        if earlier is not None:
            earlier.check_width(stacks.width, stacks.source["path"])
            earlier.check_source(stacks.source)
        else:
            check_clips(stacks, args.words)  # before TensorFlow is loaded

        from glrg_cli.training_console import Stopper
        from training.glove import train

        with Stopper(console) as stopper:
            reporter = ConsoleReporter(console, stopper)
            try:
                glove = train(
                    stacks,
                    codebook_config,
                    config,
                    seed=args.seed or 0,
                    workers=args.workers,
                    codebook=earlier.codebook if earlier else None,
                    reporter=reporter,
                    stop=stopper,
                )
            finally:
                reporter.close()
        save_glove(glove, args.out)
    _show_training(glove, args.out, console)
    if stopper.requested:
        console.interrupt_note = f"the best epoch so far is saved in {shlex.quote(str(args.out))}"
        raise KeyboardInterrupt
    return 0


def _show_training(glove: VisualGlove, out: Path, console: Console) -> None:
    from glrg_tf.semantic.artefact import describe
    from glrg_tf.semantic.embedding import describe_source

    counts = glove.clips.counts
    rows = [
        ("clips", len(glove.clips.words)),
        ("videos", len(glove.clips.ids)),
        ("words", glove.codebook.words),
        ("words without a clip", int((counts == 0).sum())),
        ("words without a neighbour", int((~glove.seen).sum())),
        ("most clips of one word", int(counts.max())),
        ("pairs of words", glove.report["pairs"]),
        ("epochs", len(glove.report["losses"])),
        ("loss of the kept epoch", f"{min(glove.report['losses']):.5g}"),
    ]
    console.table(f"Visual GloVe of {describe_source(glove.source)} in {out}", ("", ""), rows)
    summary = describe(glove)
    summary["training"] = {**summary["training"], "losses": glove.report["losses"][-1:]}
    console.result({"glove": str(out), **summary})


class ConsoleReporter(GloveReporter):
    """A bar for each stage.

    Args:
        console: where to.
        stopper: told while the vectors are trained: then Ctrl-C saves the best epoch.
    """

    def __init__(self, console: Console, stopper: Any) -> None:
        self._console, self._stopper = console, stopper
        self._bar: Progress | None = None

    def stage(self, name: str, total: int | None, unit: str) -> None:
        """See `GloveReporter`."""
        self.close()
        self._bar = self._console.progress(total, name, unit)
        self._bar.__enter__()
        self._stopper.stepping = name == "vectors"

    def advance(self, count: int, **fields: object) -> None:
        """See `GloveReporter`."""
        if self._bar is not None:
            self._bar.update(count, **fields)

    def message(self, text: str) -> None:
        """See `GloveReporter`."""
        self._console.info(text)

    def close(self) -> None:
        """Takes the bar away; called on every way out."""
        self._stopper.stepping = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None
