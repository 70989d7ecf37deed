"""`glrg train-encoder`: one of the three encoders from videos with captions or labels, or several joined to one."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import shlex
import time
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import add_strategy, integer
from glrg_cli.progress import Progress
from glrg_tf import config as settings
from glrg_tf.errors import ConfigError
from training import distribution

if TYPE_CHECKING:
    import tensorflow as tf

    from training.encoder_plan import EncoderChoices, EncoderPlan

KINDS = ("long-range", "short-range", "keyframe")
HELP = "train an encoder: words, actions or classes of videos"
DESCRIPTION = """\
Trains one encoder of the three, or joins trained ones into the folder that `glrg extract --encoder` takes.

  long-range   words of the captions, from three distant frames (t-n, t, t+n)
  short-range  actions, from the frames t-10..t+10
  keyframe     what is in one frame
  bundle       joins runs, encoder folders and config files

Labels of short-range and keyframe come from a table (csv or jsonl with the columns video or id, and labels; where
known split, start, end in seconds), or from the folder of a `glrg world`. Every step draws new random frames. Training
stops early when val gets no better; Ctrl-C saves the state, --resume goes on exactly there."""
EXAMPLES = """\
examples:
  glrg train-encoder long-range --data data/mine --videos clips/ --out runs/long
  glrg train-encoder short-range --labels actions.csv --videos clips/ --out runs/short
  glrg train-encoder keyframe --labels data/world --out runs/key
  glrg train-encoder keyframe --labels classes.csv --videos clips/ --out runs/key --backbone EfficientNetV2B0 \\
      --weights imagenet
  glrg train-encoder keyframe --out runs/key --resume
  glrg train-encoder keyframe --labels data/world --out runs/key --strategy mirrored
  glrg train-encoder bundle runs/long runs/short runs/key --out runs/encoder"""
_SHOWN = 12  # labels in the table at the end, best and worst


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg train-encoder`."""
    parser.add_argument(
        "kind", metavar="KIND", choices=[*KINDS, "bundle"], help="long-range, short-range, keyframe, bundle"
    )
    parser.add_argument("sources", metavar="RUN", nargs="*", help="bundle: runs, encoder folders, config files")
    parser.add_argument("--out", metavar="DIR", required=True, help="run folder; new unless --resume")
    parser.add_argument("--data", metavar="DATASET", help="dataset of `glrg data import`: captions, or splits")
    parser.add_argument("--videos", metavar="DIR", help="folder of the video files, named by id")
    parser.add_argument("--labels", metavar="FILE", help="table of labels, or the folder of a `glrg world`")
    parser.add_argument("--preset", choices=["nano", "paper"], help="layer sizes (default: nano)")
    parser.add_argument("--backbone", metavar="NAME", help="2D network: resnet18, … or one of keras.applications")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        action="append",
        help="of `glrg convert torchvision`; imagenet for keras.applications",
    )
    parser.add_argument("--input-size", type=integer(16), metavar="N", help="pixels a side (default: the preset's)")
    parser.add_argument("--words", type=integer(1), metavar="K", help="long-range: most words (nano 120, paper 300)")
    parser.add_argument("--word-list", metavar="FILE", help="long-range: these words, one a line")
    parser.add_argument("--activation", choices=["sigmoid", "softmax"], help="(default: by the labels)")
    parser.add_argument("--epochs", type=integer(1), metavar="N", help="most epochs")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    add_strategy(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, show layers and settings, write nothing"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains, or joins."""
    if args.kind == "bundle":
        return _join(args, console)
    if args.sources:
        raise ConfigError(f"unexpected '{args.sources[0]}'", remedy="only `bundle` takes runs")
    strategy = distribution.make_strategy(args.strategy)  # workers must meet before TensorFlow does anything else

    from training.encoder_plan import make_plan

    choices, chosen = _choices(args)
    plan = make_plan(choices, chosen)
    if args.dry_run:
        _show(plan, console)
        return 0
    return _train(plan, args, console, strategy)


def _join(args: argparse.Namespace, console: Console) -> int:
    if not args.sources:
        raise ConfigError("nothing to join", remedy="`glrg train-encoder bundle RUN RUN RUN --out ENC`")
    from training.encoder_plan import join_bundles

    bundle = join_bundles(args.sources)
    bundle.save(args.out)
    streams = ", ".join(f"{name} {width}" for name, width in bundle.widths)
    console.info(f"encoder: {args.out} ({streams})")
    console.result({"encoder": args.out, "streams": dict(bundle.widths), "fingerprint": bundle.fingerprint})
    return 0


def _choices(args: argparse.Namespace) -> tuple[EncoderChoices, Any]:
    """Choices and settings from the options; what is not given on --resume is taken from the run."""
    from training.encoder_config import EncoderTraining, default_training
    from training.encoder_plan import EncoderChoices
    from training.encoders import read_run

    kind = args.kind.replace("-", "_")
    given = {
        "data": args.data,
        "videos": args.videos,
        "labels": args.labels,
        "preset": args.preset,
        "backbone": args.backbone,
        "weights": tuple(args.weights) if args.weights else None,
        "words": args.words,
        "word_list": args.word_list,
        "input_size": args.input_size,
        "activation": args.activation,
        "seed": args.seed,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if args.resume:
        saved = read_run(pathlib.Path(args.out))
        choices = settings.from_dict(EncoderChoices, saved.get("choices", {}))
        if choices.kind != kind:
            raise ConfigError(f"the run trains a {choices.kind.replace('_', '-')} encoder", where=args.out)
        choices = dataclasses.replace(choices, **given)
        chosen = settings.from_dict(EncoderTraining, saved.get("settings", {}))
    else:
        choices = EncoderChoices(kind, **given)
        chosen = default_training(kind, choices.preset)
    overrides = [*args.set, *([f"epochs={args.epochs}"] if args.epochs else [])]
    return choices, settings.override_all(chosen, overrides, "learning_rate=1e-3")


def _show(plan: EncoderPlan, console: Console) -> None:
    stream, notes = plan.build()
    counts = {split: len(plan.material.split(split)) for split in ("train", "val", "test")}
    console.info(", ".join(f"{split} {count} videos" for split, count in counts.items()) + "; nothing was written")
    for note in notes:
        console.info(f"weights: {note}")
    rows = [(layer.name, type(layer).__name__, _shape(layer), layer.count_params()) for layer in stream.model.layers]
    title = f"{plan.spec.name}: {stream.model.count_params():,} parameters"
    console.table(title, ("layer", "type", "output", "parameters"), rows)
    console.result(
        {
            "spec": settings.to_dict(plan.spec),
            "settings": settings.to_dict(plan.settings),
            "splits": counts,
            "parameters": stream.model.count_params(),
        }
    )


def _shape(layer: Any) -> str:
    output = layer.output
    return "x".join("N" if side is None else str(side) for side in output.shape) if hasattr(output, "shape") else ""


def _train(
    plan: EncoderPlan, args: argparse.Namespace, console: Console, strategy: tf.distribute.Strategy | None
) -> int:
    from glrg_cli.training_console import Stopper
    from training.encoder_report import write_report
    from training.encoders import EncoderTrainer

    resume = f"`glrg train-encoder {args.kind} --out {shlex.quote(args.out)} --resume`"
    started = time.monotonic()
    with Stopper(console) as stopper, _Bars(console, stopper) as bars:
        stream, notes = plan.build()
        labels = f"{plan.spec.width} {'words' if args.kind == 'long-range' else 'labels'}"
        console.info(f"{args.kind}: {stream.model.count_params():,} parameters, {labels}, {plan.spec.activation}")
        for note in notes:
            console.info(f"weights: {note}")
        extra = {"choices": settings.to_dict(plan.choices)}
        trainer = EncoderTrainer(
            stream,
            plan.material,
            plan.settings,
            plan.plan,
            pathlib.Path(args.out),
            seed=plan.choices.seed,
            reporter=bars,
            stop=stopper,
            extra=extra,
            strategy=strategy,
        )
        try:
            trained = trainer.train(resume=args.resume)
        except KeyboardInterrupt:
            if (pathlib.Path(args.out) / "config.json").is_file():
                console.interrupt_note = f"go on with {resume}"
            raise
        stopper.stepping = False
        report = write_report(trainer, trained)
    if not trainer.workers.chief:
        return 0
    console.info(f"{trained.reason}; epoch {trained.best['epoch']:.0f} is kept")
    _tables(report, console)
    console.info(
        f"encoder: {trained.folder}   report: {trainer.run / 'report.png'}   {time.monotonic() - started:.0f} s"
    )
    console.result({"run": args.out, "encoder": str(trained.folder), "report": report})
    return 0


def _tables(report: dict[str, Any], console: Console) -> None:
    names = ("videos", "positions", "auc", "ap", "accuracy")
    rows = []
    for split, figures in report["splits"].items():
        single = figures.get("single") == 1.0
        rows.append([split, *(_figure(figures.get(name)) if name != "accuracy" or single else "" for name in names)])
    if rows:
        console.table(f"{report['stream']}, {report['width']} labels", ("", *names), rows)
    split = next(reversed(report["splits"]), None)
    judged = [row for row in report["splits"][split]["labels"] if row["ap"] is not None] if split else []
    judged.sort(key=lambda row: -row["ap"])
    shown = judged if len(judged) <= 2 * _SHOWN else [*judged[:_SHOWN], *judged[-_SHOWN:]]
    if shown:
        left = f" ({len(shown)} of {len(judged)} labels; all in report.json)" if len(shown) < len(judged) else ""
        cells = [(row["label"], row["positives"], _figure(row["auc"]), _figure(row["ap"])) for row in shown]
        console.table(f"by label on {split}{left}", ("label", "positives", "AUC", "AP"), cells)


def _figure(value: float | int | None) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


class _Bars:
    """The `EncoderReporter` of the command: a bar for the work at hand, a line for each message."""

    def __init__(self, console: Console, stopper: Any) -> None:
        self._console, self._stopper = console, stopper
        self._bar: Progress | None = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *failure: object) -> None:
        self._close()

    def work(self, name: str, total: int, unit: str) -> None:
        """See `EncoderReporter`."""
        self._close()
        self._bar = self._console.progress(total, name, unit)
        self._bar.__enter__()
        self._stopper.stepping = unit == "steps"

    def advance(self, n: int, **fields: object) -> None:
        """See `EncoderReporter`."""
        if self._bar is not None:
            self._bar.update(n, **fields)

    def message(self, text: str) -> None:
        """See `EncoderReporter`."""
        self._console.info(text)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
