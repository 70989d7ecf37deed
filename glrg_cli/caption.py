"""`glrg caption`: sentences for videos and for feature files.

Inputs are looked at before the captioner is loaded, so that a wrong path is told at once. One bad input, or one bad
video of a feature file, does not stop the others. Captions of videos are printed as they come.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from glrg_cli import vocabularies
from glrg_cli.caption_inputs import Failure, FeatureInput, Input, look_at
from glrg_cli.common import Console
from glrg_cli.parser import add_selection, integer
from glrg_cli.progress import SilentProgress
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.captioner import Caption, VideoCaptioner
    from glrg_tf.encoders.extract import Outcome

HELP = "write captions for videos and feature files"
DESCRIPTION = """\
Captions every input: a video of any codec, a folder of videos, a dataset, a features.h5 of ours, or a file of the
GL-RG release (`feats` (N, 1700), optional `video_ids`). CAPTIONER is a run of `glrg train`, a captioner folder or a
preset name. It captions videos by the encoder that it carries; --encoder names another. A score is the natural
logarithm of the caption's probability, divided by its length where the captioner ranks by that, as those of `glrg
train` do (with --compat release: minus the perplexity, as the released code ranks).

Exits 3 when some inputs fail and 4 when all do; they are listed."""
EXAMPLES = """\
examples:
  glrg caption world-nano clip.mp4
  glrg caption runs/a clips/ --n 3 --show-vocabularies
  glrg caption runs/a clip.mp4 --encoder runs/encoder
  glrg caption runs/a features.h5 --beam 10 --n 3
  glrg caption runs/a a.mp4 b.webm features.h5 --json > captions.json"""

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg caption`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="video, folder, dataset or feature file")
    parser.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept; 1 is greedy (default: 5)")
    parser.add_argument(
        "--n", type=integer(1), default=1, metavar="N", help="captions a video, best first (default: 1)"
    )
    add_selection(parser)
    parser.add_argument("--compat", choices=["release"], help="decode as the released code does")
    parser.add_argument("--encoder", metavar="ENC", help="what turns videos into features (default: the captioner's)")
    parser.add_argument("--workers", type=integer(1, 256), metavar="N", help="decoding processes (default: one a core)")
    parser.add_argument("--show-vocabularies", action="store_true", help="show the words of each stream that stand out")


def run(args: argparse.Namespace, console: Console) -> int:
    """Captions every input; returns 0, 3 (some failed) or 4 (all failed)."""
    if args.beam is not None and args.n > args.beam:
        raise ConfigError(f"--n {args.n} captions cannot come from --beam {args.beam}", remedy="raise --beam")
    inputs = look_at(args.inputs)
    if all(isinstance(found, Failure) for found in inputs):
        rows = [_failed(found, console) for found in inputs if isinstance(found, Failure)]
    else:
        session = _Session(args, console)
        rows = list(session.rows(inputs))
    failed = sum("error" in row for row in rows)
    if failed:
        console.error(f"{failed} failed, {len(rows) - failed} captioned")
    console.result(rows)
    if not failed:
        return 0
    return 3 if failed < len(rows) else 4


class _Session:
    """A loaded captioner and what it was asked for."""

    def __init__(self, args: argparse.Namespace, console: Console) -> None:
        from glrg_tf.captioner.captioner import VideoCaptioner

        self._args, self._console = args, console
        self._captioner: VideoCaptioner = VideoCaptioner.from_preset(args.captioner)
        self._beam = args.beam or max(args.n, self._captioner.decoding.beam_size)
        if args.encoder is not None:
            from glrg_cli.encoders import open_encoder

            self._captioner.encoders = open_encoder(args.encoder)
        encoders = self._captioner.encoders if args.show_vocabularies else None
        self._labels = vocabularies.Labels(self._captioner.config.streams, encoders)

    def rows(self, inputs: list[Input]) -> Iterator[Row]:
        """One row a video, in the order of the inputs; shown as they come."""
        items = [found for found in inputs if isinstance(found, VideoItem)]
        outcomes = self._encode(items) if items else iter(())
        bar = self._console.progress(len(items), "captioning", "videos") if items else SilentProgress()
        with bar as progress:
            for found in inputs:
                if isinstance(found, Failure):
                    yield _failed(found, self._console)
                elif isinstance(found, pathlib.Path):
                    yield from self._caption_file(found)
                else:
                    yield self._caption_video(next(outcomes))
                    progress.update(1)

    def _encode(self, items: list[VideoItem]) -> Iterator[Outcome]:
        from glrg_tf.encoders.extract import encode_videos

        bundle, names = self._captioner.encoders, self._captioner.config.stream_names
        if bundle is None:
            raise ConfigError(
                "this captioner has no encoder: it reads feature files, not videos",
                where=self._args.captioner,
                remedy="name one with --encoder ENC, or train the captioner with --encoder ENC",
            )
        return encode_videos(bundle, items, workers=self._args.workers, streams=names)

    def _caption_video(self, outcome: Outcome) -> Row:
        from glrg_tf.encoders.extract import Failed

        if isinstance(outcome, Failed):
            return _failed(Failure(outcome.item.id, outcome.error), self._console)
        features = outcome.pooled(self._captioner.config.stream_names)
        row = self._row(outcome.item.id, features, self._generate(features[None])[0])
        row["video"] = str(outcome.item.path)
        row["frames"] = {"expected": outcome.expected, "decoded": outcome.decoded, "used": outcome.used}
        if outcome.warnings:
            row["warnings"] = list(outcome.warnings)
        self._show(row)
        return row

    def _caption_file(self, path: pathlib.Path) -> Iterator[Row]:
        try:
            source = FeatureInput(path, self._captioner)
        except DataError as error:
            yield _failed(Failure(str(path), error), self._console)
            return
        self._labels.add(source.labels)
        rows: list[Row] = []
        with self._console.progress(len(source.ids), f"captioning {path.name}", "videos") as progress:
            for chunk in source.chunks():
                if isinstance(chunk, Failure):
                    rows.append(_failed(chunk, self._console))
                    progress.update(1)
                    continue
                ids, features = chunk
                found = self._generate(features)
                rows += [self._row(i, f, captions) for i, f, captions in zip(ids, features, found, strict=True)]
                progress.update(len(ids))
        self._show_file([row for row in rows if row["captions"]])
        yield from rows

    def _generate(self, features: np.ndarray) -> list[list[Caption]]:
        return self._captioner.generate(
            features,
            beam_size=self._beam,
            num_captions=self._args.n,
            compat=self._args.compat,
            selection=self._args.selection,
        )

    def _row(self, video_id: str, features: np.ndarray, captions: list[Caption]) -> Row:
        row: Row = {"id": video_id, "captions": [_entry(caption) for caption in captions]}
        if self._args.show_vocabularies:
            row["vocabularies"] = vocabularies.as_json(self._labels.top(features))
        return row

    def _show(self, row: Row) -> None:
        """A video's captions as lines, at once."""
        entries = [f"{caption['score']:7.2f}  {caption['text']}" for caption in row["captions"]]
        if len(entries) == 1:
            self._console.line(f"{row['id']}  {entries[0]}")
        else:
            self._console.line(row["id"])
            for entry in entries:
                self._console.line(f"  {entry}")
        self._show_words(row)
        for text in row.get("warnings", ()):
            self._console.warning(f"{row['id']}: {text}")

    def _show_file(self, rows: list[Row]) -> None:
        """The captions of a feature file as one table, or with their vocabularies video by video."""
        if self._args.show_vocabularies:
            for row in rows:
                self._show(row)
        elif rows:
            cells = [
                (row["id"] if rank == 0 else "", caption["score"], caption["text"])
                for row in rows
                for rank, caption in enumerate(row["captions"])
            ]
            self._console.table("", ("video", "score", "caption"), cells)

    def _show_words(self, row: Row) -> None:
        found = {
            name: [(entry["word"], entry["value"]) for entry in words]
            for name, words in row.get("vocabularies", {}).items()
        }
        for line in vocabularies.lines(found):
            self._console.line(line)


def _entry(caption: Caption) -> dict[str, Any]:
    return {"text": caption.text, "score": float(caption.score), "token_ids": [int(i) for i in caption.token_ids]}


def _failed(failure: Failure, console: Console) -> Row:
    error = failure.error
    where = error.where if error.where and failure.id not in error.where else None
    console.error(f"{failure.id}: " + "; ".join(part for part in (error.what, where, error.remedy) if part))
    return {"id": failure.id, "captions": [], "error": error.what}
