"""`glrg train-s2vt`: an S2VT captioner, the model that caption-guided saliency was made for."""

from __future__ import annotations

import argparse
import pathlib

from glrg_cli.common import Console
from glrg_cli.parser import integer, number
from glrg_tf.errors import ConfigError

HELP = "train an S2VT captioner"
DESCRIPTION = """\
Trains a captioner whose one LSTM reads a vector a position and then says the sentence (S2VT), by cross-entropy on a
dataset whose features were extracted with --per-position. OUT is a captioner folder for `glrg explain`; with --encoder
it explains videos."""
EXAMPLES = """\
examples:
  glrg extract data/mine --encoder runs/encoder --per-position --out data/mine/features.h5
  glrg train-s2vt --data data/mine --out runs/s2vt --encoder runs/encoder --streams keyframe
  glrg explain runs/s2vt clip.mp4 --stills words/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg train-s2vt`."""
    parser.add_argument("--data", metavar="DATASET", required=True, help="dataset with features of every position")
    parser.add_argument("--out", metavar="DIR", required=True, help="captioner folder; must not exist")
    parser.add_argument("--streams", metavar="NAME", nargs="+", help="streams it reads (default: all)")
    parser.add_argument("--encoder", metavar="ENC", help="encoder of those features, to be kept with the captioner")
    parser.add_argument("--epochs", metavar="N", type=integer(1), default=30, help="most epochs (default: 30)")
    parser.add_argument("--hidden", metavar="H", type=integer(1, 65536), default=1300, help="LSTM (default: 1300)")
    parser.add_argument("--learning-rate", metavar="X", type=number(1e-9, 10.0), default=5e-4, help="default: 0.0005")
    parser.add_argument("--seed", metavar="N", type=integer(0), default=1, help="default: 1")


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains and saves."""
    out = pathlib.Path(args.out)
    if out.exists():
        raise ConfigError("the folder exists", where=out, remedy="choose another --out")
    from glrg_tf.captioner.s2vt import S2VTConfig
    from glrg_tf.data.dataset import CaptionDataset
    from training.s2vt import Epoch, S2VTTraining, train_s2vt

    dataset = CaptionDataset.load(args.data)
    store = dataset.features
    if store is None:
        raise ConfigError("the dataset has no features", where=args.data, remedy="glrg extract … --per-position")
    names = args.streams or list(store.streams)
    for name in names:
        if name not in store.streams:
            raise ConfigError(f"no stream '{name}'", where="--streams", remedy="it has " + ", ".join(store.streams))
    streams = tuple((name, store.streams[name]) for name in names)
    small = max(1, args.hidden * 300 // 1300)
    config = S2VTConfig(streams=streams, visual_size=args.hidden, embedding_size=small, hidden_size=args.hidden)
    settings = S2VTTraining(epochs=args.epochs, learning_rate=args.learning_rate, seed=args.seed)
    bundle = None
    if args.encoder is not None:
        from glrg_cli.encoders import open_encoder
        from glrg_tf.captioner.video_input import check_encoder

        bundle = open_encoder(args.encoder)
        check_encoder(config, dict(bundle.widths))  # type: ignore[arg-type]  # what it reads is the same

    def told(epoch: Epoch) -> None:
        bar.update(1)
        console.info(f"epoch {epoch.epoch + 1}  loss {epoch.loss:.3f}  val loss {epoch.val_loss:.3f}")

    with console.progress(args.epochs, "training", "epochs") as bar:
        captioner, history = train_s2vt(dataset, config, settings, told)
    captioner.encoders = bundle
    captioner.save_to_preset(out)
    best = min(history, key=lambda epoch: epoch.val_loss)
    console.line(f"{out}: epoch {best.epoch + 1} of {len(history)}, val loss {best.val_loss:.3f}")
    console.result({"captioner": str(out), "epochs": len(history), "best": best.epoch + 1, "val_loss": best.val_loss})
    return 0
