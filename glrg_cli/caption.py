"""`glrg caption`: sentences for videos and for feature files.

Inputs are looked at before the captioner is loaded, so that a wrong path is told at once. One bad input, or one bad
video of a feature file, does not stop the others. Captions of videos are printed as they come.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from glrg_cli import engines, vocabularies
from glrg_cli.caption_inputs import Input, look_at
from glrg_cli.common import Console
from glrg_cli.parser import add_selection, integer, refuse_folder
from glrg_cli.progress import SilentProgress
from glrg_tf.captioner import bulk
from glrg_tf.captioner.feature_input import Failure, FeatureInput
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic

if TYPE_CHECKING:
    from glrg_tf.captioner.bulk import Captioned, Row
    from glrg_tf.captioner.bulk_beam import Work
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.encoders.bundle import EncoderBundle
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
  glrg caption runs/a a.mp4 b.webm features.h5 --json > captions.json
  glrg caption runs/a clips/ --out captions.jsonl --engine beam --engine-options "runner=DirectRunner\""""


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
    parser.add_argument("--out", metavar="FILE.jsonl", help="write the rows of --json there too, a line a video")
    engines.add_engine(parser)
    parser.add_argument("--show-vocabularies", action="store_true", help="show the words of each stream that stand out")


def run(args: argparse.Namespace, console: Console) -> int:
    """Captions every input; returns 0, 3 (some failed) or 4 (all failed)."""
    if args.beam is not None and args.n > args.beam:
        raise ConfigError(f"--n {args.n} captions cannot come from --beam {args.beam}", remedy="raise --beam")
    refuse_folder(args.out, "captions.jsonl")
    beam = engines.beam_choice(args, args.out)
    if beam is not None and args.show_vocabularies:
        raise ConfigError("--show-vocabularies is of the local engine", remedy="leave one of the two out")
    inputs = look_at(args.inputs)
    if all(isinstance(found, Failure) for found in inputs):
        rows = [_tell(bulk.failed(found), console).row for found in inputs if isinstance(found, Failure)]
    else:
        session = _Session(args, console)
        rows = list(session.rows(inputs)) if beam is None else list(session.beam_rows(inputs, beam))
    if args.out is not None:
        atomic.write_json_lines(args.out, rows)
    if beam is not None:
        shutil.rmtree(beam.parts, ignore_errors=True)
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
        beam_size = args.beam or max(args.n, self._captioner.decoding.beam_size)
        self._settings = bulk.CaptionSettings(beam_size, args.n, args.compat, args.selection)
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
                    yield _tell(bulk.failed(found), self._console).row
                elif isinstance(found, pathlib.Path):
                    yield from self._caption_file(found)
                else:
                    yield self._told(bulk.caption_outcome(self._captioner, next(outcomes), self._settings))
                    progress.update(1)

    def beam_rows(self, inputs: list[Input], choice: engines.BeamChoice) -> Iterator[Row]:
        """The same rows by a Beam pipeline."""
        from glrg_tf.captioner.bulk_beam import BeamCaptions, Chunk

        if any(isinstance(found, VideoItem) for found in inputs):
            self._encoders()
        work: list[Work | Failure] = []
        for found in inputs:
            opened = self._open(found) if isinstance(found, pathlib.Path) else found
            if isinstance(opened, FeatureInput):
                work += [Chunk(opened.path.resolve(), first, last) for first, last in opened.spans()]
            else:
                work.append(opened)
        elements = [element for element in work if not isinstance(element, Failure)]
        self._console.info(f"{len(elements)} elements on Beam; unfinished work is kept in {choice.parts}")
        results = BeamCaptions(self._captioner, self._settings, choice.options, choice.parts).rows(elements)
        with self._console.progress(len(elements), "captioning", "elements") as progress:
            for element in work:
                if isinstance(element, Failure):
                    yield _tell(bulk.failed(element), self._console).row
                    continue
                yield from (self._told(captioned) for captioned in next(results))
                progress.update(1)

    def _encoders(self) -> EncoderBundle:
        bundle = self._captioner.encoders
        if bundle is None:
            raise ConfigError(
                "this captioner has no encoder: it reads feature files, not videos",
                where=self._args.captioner,
                remedy="name one with --encoder ENC, or train the captioner with --encoder ENC",
            )
        return bundle

    def _encode(self, items: list[VideoItem]) -> Iterator[Outcome]:
        from glrg_tf.encoders.extract import encode_videos

        names = self._captioner.config.stream_names
        return encode_videos(self._encoders(), items, workers=self._args.workers, streams=names)

    def _open(self, path: pathlib.Path) -> FeatureInput | Failure:
        try:
            return FeatureInput(path, self._captioner.config)
        except DataError as error:
            return Failure(str(path), error)

    def _caption_file(self, path: pathlib.Path) -> Iterator[Row]:
        source = self._open(path)
        if isinstance(source, Failure):
            yield _tell(bulk.failed(source), self._console).row
            return
        self._labels.add(source.labels)
        rows: list[Row] = []
        with self._console.progress(len(source.ids), f"captioning {path.name}", "videos") as progress:
            for first, last in source.spans():
                for captioned in bulk.caption_chunk(self._captioner, source, first, last, self._settings):
                    rows.append(self._with_words(_tell(captioned, self._console)))
                progress.update(last - first)
        self._show_file([row for row in rows if row["captions"]])
        yield from rows

    def _told(self, captioned: Captioned) -> Row:
        """The row of a video, shown at once."""
        row = self._with_words(_tell(captioned, self._console))
        if row["captions"]:
            self._show(row)
        return row

    def _with_words(self, captioned: Captioned) -> Row:
        row = captioned.row
        if self._args.show_vocabularies and captioned.features is not None:
            row["vocabularies"] = vocabularies.as_json(self._labels.top(captioned.features))
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


def _tell(captioned: Captioned, console: Console) -> Captioned:
    """Tells why there are no captions, where there are none."""
    if captioned.message:
        console.error(captioned.message)
    return captioned
