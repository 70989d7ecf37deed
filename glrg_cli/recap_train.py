"""`glrg recap train`: clips, then segments, then summaries, each from what the level below wrote."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.progress import Progress
from glrg_cli.recap_options import EXAMPLE, add_lengths, hierarchy_of
from glrg_tf import config as settings
from glrg_tf.errors import ConfigError
from glrg_tf.recap.hierarchy import LEVELS
from glrg_tf.recap.settings import PRESETS, preset
from training.recap_config import RecapTraining
from training.reporting import Reporter

if TYPE_CHECKING:
    from glrg_cli.training_console import Stopper
    from training.recap import RecapParts

DESCRIPTION = """\
Trains a captioner of long video. Clips are learned from dense features, then the captioner writes every clip's caption;
segments are learned from feature rows and these captions; then summaries from rows and the segments it wrote. Without
--features it learns from texts alone."""
EXAMPLES = """\
examples:
  glrg recap train --data data/stories --features data/features --out runs/recap
  glrg recap train --data data/stories --features data/features --out runs/recap-u --unified
  glrg recap train --data data/hirest --out runs/hirest --levels video                # texts alone
  glrg recap train --data data/long --features rows --clip-captioner runs/glrg --levels segment,video --out runs/b
  glrg recap train --data data/ego4d --features features --preset paper --levels segment,video --out runs/paper \
      --gpt2 gpt2/model.safetensors --byte-pairs gpt2/vocab.json gpt2/merges.txt"""
_DEFAULT = RecapTraining()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg recap train`."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset whose records have texts at levels")
    parser.add_argument("--out", metavar="RUN", required=True, help="run folder; must be new unless --resume")
    parser.add_argument("--features", metavar="DIR", help="features of clips (`glrg recap features`)")
    parser.add_argument("--encoder", metavar="ENC", help="encoder of those features (default: DIR/encoder)")
    parser.add_argument("--levels", metavar="L,L", default=",".join(LEVELS), help="some of clip,segment,video")
    parser.add_argument("--unified", action="store_true", help="one network for all levels")
    parser.add_argument("--inputs", choices=("both", "video", "text"), help="what levels above clips read")
    parser.add_argument("--clip-captioner", metavar="CAP", help="a GL-RG captioner that writes the clips' captions")
    parser.add_argument("--start", metavar="RECAP", help="take the lower levels, words and first weights from this one")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="nano", help="sizes (default: nano)")
    parser.add_argument("--gpt2", metavar="FILE", help="GPT-2's published weights (.safetensors): the decoder's start")
    parser.add_argument("--byte-pairs", metavar=("VOCAB", "MERGES"), nargs=2, help="GPT-2's vocab.json and merges.txt")
    add_lengths(parser)
    parser.add_argument("--steps", metavar="N", type=integer(1), help="of every stage (default: 600)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting")
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out stopped")


def run(args: argparse.Namespace, console: Console) -> int:
    """Checks, trains, says where the captioner is."""
    chosen = training_settings(args)
    from glrg_tf.data.dataset import CaptionDataset

    dataset = CaptionDataset.load(args.data)
    captioner = _train(args, chosen, dataset, console)
    sizes = {name: network.count() for name, network in captioner.named_networks.items()}
    counted = ", ".join(f"{name} {count:,}" for name, count in sizes.items())
    console.line(f"{args.out}: writes {', '.join(captioner.levels)}; parameters: {counted}")
    told = "" if args.features is None else f" --features {shlex.quote(args.features)}"
    console.info(f"next: `glrg recap evaluate {shlex.quote(args.out)} --data {shlex.quote(args.data)}{told}`")
    console.result({"run": args.out, "levels": list(captioner.levels), "parameters": sizes})
    return 0


def training_settings(args: argparse.Namespace) -> RecapTraining:
    """The settings of the options.

    Raises:
        ConfigError: what cannot be.
    """
    levels = tuple(name.strip() for name in args.levels.split(","))
    unknown = [name for name in levels if name not in LEVELS]
    if unknown:
        raise ConfigError(f"there is no level '{unknown[0]}'", where="--levels", remedy="of clip, segment, video")
    model = preset(args.preset)
    if args.inputs is not None:
        model = dataclasses.replace(model, inputs=args.inputs)
    chosen = RecapTraining(
        levels=levels,
        unified=args.unified,
        hierarchy=hierarchy_of(args),
        model=model,
        steps=(args.steps,) * 3 if args.steps else _DEFAULT.steps,
        seed=_DEFAULT.seed if args.seed is None else args.seed,
    )
    return settings.override_all(chosen, args.set, EXAMPLE)


def _train(args: argparse.Namespace, chosen: RecapTraining, dataset: Any, console: Console) -> Any:
    from glrg_cli.training_console import Stopper
    from training.recap import train_recap

    if (args.gpt2 is None) != (args.byte_pairs is None):
        raise ConfigError("GPT-2's weights go with its byte pairs", remedy="give both --gpt2 and --byte-pairs")
    if args.preset == "paper" and args.gpt2 is None and args.start is None:
        console.warning("the paper's decoder starts from GPT-2 (--gpt2, --byte-pairs); without it it learns to speak")
    parts = _parts(args)
    features = Path(args.features) if args.features is not None else None
    with Stopper(console) as stopper:
        reporter = RecapReporter(console, stopper)
        try:
            return train_recap(
                dataset, Path(args.out), chosen, features, parts, resume=args.resume, reporter=reporter, stop=stopper
            )
        except KeyboardInterrupt:
            console.interrupt_note = "state saved; go on with the same command and --resume"
            raise
        finally:
            reporter.close()


def _parts(args: argparse.Namespace) -> RecapParts:
    from training.recap import RecapParts

    encoder = clip_captioner = start = None
    beside = Path(args.features) / "encoder" if args.features is not None else None  # `glrg recap features` leaves it
    named = args.encoder or (str(beside) if beside is not None and (beside / "encoder.json").is_file() else None)
    if named is not None:
        from glrg_cli.encoders import open_encoder

        encoder = open_encoder(named)
    if args.clip_captioner is not None:
        from glrg_tf.captioner.captioner import VideoCaptioner

        clip_captioner = VideoCaptioner.from_preset(args.clip_captioner)
    if args.start is not None:
        from glrg_tf.recap.captioner import RecapCaptioner

        start = RecapCaptioner.load(args.start)
    tokens = None
    if args.byte_pairs is not None:
        from glrg_tf.recap.byte_pairs import BytePairTokens

        tokens = BytePairTokens.from_files(*args.byte_pairs)
    return RecapParts(encoder, clip_captioner, start, tokens, Path(args.gpt2) if args.gpt2 is not None else None)


class RecapReporter(Reporter):
    """A bar a stage, a line a checkpoint.

    Args:
        console: where to.
        stopper: told when steps are under way.
    """

    def __init__(self, console: Console, stopper: Stopper) -> None:
        self._console, self._stopper = console, stopper
        self._bar: Progress | None = None

    def message(self, text: str) -> None:
        """See `Reporter`."""
        self.close()
        self._console.info(text)

    def phase_started(self, phase: str, first_step: int, total_steps: int, steps_per_epoch: int) -> None:
        """See `Reporter`."""
        self.close()
        self._bar = self._console.progress(total_steps - first_step, phase, "steps")
        self._bar.__enter__()
        self._stopper.stepping = True

    def step_done(self, phase: str, step: int, tokens: float) -> None:
        """See `Reporter`."""
        if self._bar is not None:
            self._bar.update(1)

    def epoch_done(self, phase: str, metrics: dict[str, float]) -> None:
        """See `Reporter`."""
        losses = "  ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in metrics.items() if "_loss" in key)
        self._console.info(f"{phase} step {metrics['step']:.0f}  {losses}")

    def phase_finished(self, phase: str, reason: str, best: dict[str, float]) -> None:
        """See `Reporter`."""
        self.close()

    def close(self) -> None:
        """Takes the bar away; called on every way out."""
        self._stopper.stepping = False
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
