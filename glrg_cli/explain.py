"""`glrg explain`: where and when each word of a caption looked, and which concepts drove it."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_tf.errors import ConfigError, DataError

if TYPE_CHECKING:
    from glrg_tf.explain.captioners import Captioner
    from glrg_tf.explain.explanation import Explanation

HELP = "show where and when each word of a caption looked"
DESCRIPTION = """\
Explains the captioner's own caption of a video, or --sentence: every cell of every frame is shown to the captioner
alone, with the sentence forced, and what it then makes of each word is the word's map (caption-guided saliency, CVPR
2017). Needs no labels and no attention layers. Words the captioner does not have are named and get no map.

VIDEO may be a features.h5 (with --id): then --chart and --concepts tell when and why, but not where. The same holds for
videos when no stream of the captioner has a map (a classifier file has none, a keyframe encoder has one).

With --pointing-game, VIDEO is a sample world (`glrg world`) or a folder of Flickr30k Entities (Annotations/,
Sentences/, images/), and the maps are measured against the boxes there."""
EXAMPLES = """\
examples:
  glrg explain world-nano clip.mp4 --out overlay.mp4
  glrg explain runs/a clip.mp4 --sentence "a man plays a guitar" --stills words/ --chart when.png --concepts why.png
  glrg explain runs/a clip.mp4 --word guitar --out guitar.mp4
  glrg explain runs/a features.h5 --id video7 --chart when.png --concepts why.png
  glrg explain world-nano data/world --pointing-game --fine"""

_PERCENT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg explain`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("video", metavar="VIDEO", type=pathlib.Path, help="video, features.h5, or data with boxes")
    parser.add_argument("--id", metavar="ID", help="which video of a features.h5")
    parser.add_argument("--sentence", metavar="TEXT", help="what is asked about (default: the caption)")
    parser.add_argument("--out", metavar="FILE.mp4", help="film with the maps over every frame, a panel a word")
    parser.add_argument("--word", metavar="WORD", help="--out shows this word alone, in full size")
    parser.add_argument("--stills", metavar="DIR", help="the best frame of every word, as PNG")
    parser.add_argument("--chart", metavar="FILE.png", help="when each word was seen")
    parser.add_argument("--concepts", metavar="FILE.png", help="which words, actions and classes drove each word")
    parser.add_argument(
        "--mode",
        choices=("logprob", "gain", "kl"),
        default="logprob",
        help="what is measured: ln q(word) of each cell; less ln p(word) of the video; -KL(p, q) (default: logprob)",
    )
    parser.add_argument(
        "--others", choices=("none", "pooled"), help="what a cell sees of the other streams (default: none)"
    )
    parser.add_argument("--rate", metavar="FPS", type=float, default=1.5, help="frames a second; 0: all (default: 1.5)")
    parser.add_argument("--max-frames", metavar="N", type=integer(1, 4096), default=96, help="default: 96")
    parser.add_argument("--fine", action="store_true", help="maps twice as fine: more hits on small things, slower")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="score every cell by itself: four times the work; without it alike cells are interpolated from each other",
    )
    parser.add_argument("--encoder", metavar="ENC", help="what turns videos into features (default: the captioner's)")
    parser.add_argument("--pointing-game", action="store_true", help="measure the maps on data with boxes")
    parser.add_argument("--split", default="test", help="--pointing-game: clips of this split (default: test)")
    parser.add_argument("--clips", metavar="N", type=integer(1), help="--pointing-game: at most N clips or images")


def run(args: argparse.Namespace, console: Console) -> int:
    """Explains a video, or plays the pointing game."""
    _check(args)
    from glrg_cli.explain_text import show, to_json
    from glrg_tf.explain.captioners import load_captioner

    captioner = load_captioner(args.captioner)
    if args.encoder is not None:
        from glrg_cli.encoders import open_encoder

        captioner.encoders = open_encoder(args.encoder)
    if args.pointing_game:
        from glrg_cli.explain_game import play

        return play(captioner, args, console)
    explanation = _explain(captioner, args, console)
    if args.out is not None or args.stills is not None:
        explanation.need_maps()
    word = _word(explanation, args.word)
    show(explanation, console)
    console.result({**to_json(explanation), "files": _write(explanation, word, args, console)})
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuses what cannot be written, or is not there, before anything is loaded."""
    from glrg_tf.explain.charts import check_chart

    if not args.video.exists():
        raise DataError("no such file", where=args.video, remedy="check the path")
    if args.pointing_game:
        if not args.video.is_dir():
            raise ConfigError("--pointing-game takes a folder", where=args.video, remedy="`glrg world` makes one")
        return
    if args.video.is_dir():
        raise ConfigError("a folder, not a video", where=args.video, remedy="name one video, or --pointing-game")
    if _is_features(args.video) and (args.out or args.stills):
        what = "features tell when and why, not where: there are no frames to draw on"
        raise ConfigError(what, where=args.video, remedy="--chart and --concepts, or name the video itself")
    if args.id is not None and not _is_features(args.video):
        raise ConfigError("--id names a video of a features.h5", where=args.video, remedy="leave it out")
    if args.word is not None and args.out is None:
        raise ConfigError("--word is about the film", remedy="add --out FILE.mp4")
    for path in (args.chart, args.concepts):
        if path is not None:
            check_chart(path)
    if args.out is not None and pathlib.Path(args.out).suffix.lower() not in (".mp4", ".m4v", ".mov", ".mkv", ".avi"):
        raise ConfigError("cannot tell the video container", where=args.out, remedy="end it in .mp4")


def _is_features(path: pathlib.Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf5")


def _explain(captioner: Captioner, args: argparse.Namespace, console: Console) -> Explanation:
    from glrg_tf.explain.explanation import ExplainSettings

    settings = ExplainSettings(mode=args.mode, rate=args.rate, max_frames=args.max_frames, fine=args.fine)
    if args.others is not None:
        settings = dataclasses.replace(settings, others=args.others)
    if args.exact:
        settings = dataclasses.replace(settings, tolerance=0.0)
    if _is_features(args.video):
        from glrg_tf.explain.stored import explain_features

        return explain_features(captioner, args.video, args.id, args.sentence, settings)
    from glrg_tf.explain.video import explain_video

    with console.progress(None, "explaining", "frames") as bar:
        return explain_video(captioner, args.video, args.sentence, settings, progress=bar.update)


def _word(explanation: Explanation, word: str | None) -> int | None:
    """The number of the word that the film shows alone."""
    if word is None:
        return None
    wanted = word.lower()
    if wanted not in explanation.words or not explanation.query.known[explanation.words.index(wanted)]:
        known = [w for w, has in zip(explanation.words, explanation.query.known, strict=True) if has]
        raise ConfigError(f"no word '{word}' with a map", where="--word", remedy="one of: " + " ".join(known))
    return explanation.words.index(wanted)


def _write(explanation: Explanation, word: int | None, args: argparse.Namespace, console: Console) -> list[str]:
    """Writes what was asked for; returns the paths."""
    from glrg_tf.explain import charts, overlay

    written: list[Any] = []
    if args.chart is not None:
        charts.write_time_chart(explanation, args.chart)
        written.append(args.chart)
    if args.concepts is not None:
        charts.write_concept_chart(explanation, args.concepts)
        written.append(args.concepts)
    if args.stills is not None:
        written += overlay.write_stills(explanation, args.video, args.stills)
    if args.out is not None:
        with console.progress(explanation.frame_count, "writing the film", "frames") as bar:
            overlay.write_overlay(explanation, args.video, args.out, word, bar.update)
        written.append(args.out)
    for path in written:
        console.info(f"  {path}")
    return [str(path) for path in written]
