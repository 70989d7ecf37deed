"""`glrg report clips`: what a captioner says about videos, beside what people said, as one HTML page."""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glrg_cli import vocabularies
from glrg_cli.common import Console
from glrg_cli.parser import integer
from glrg_cli.report_clip import Clip
from glrg_cli.report_references import read_references, references_of
from glrg_tf.encoders.extract_items import VideoItem, list_videos
from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.io import atomic

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.captioner import VideoCaptioner

DESCRIPTION = """\
Captions videos and writes a page with frames of each, the captions and their alternatives, what people wrote about
the same videos (--references), and the words of each vocabulary that stand out. Nothing is left out: videos that
could not be read are on the page too."""
EXAMPLES = """\
examples:
  glrg report clips world-nano clips/ --out page.html
  glrg report clips runs/a clips/ --references clips/clips.json --out page.html

--references takes a JSON list of {"file", "caption", "human_references"}, COCO annotations, or a captions.jsonl."""

_FRAMES = 4  # of a video on the page
_FRAME_SIDE = 320  # pixels of the longer side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `glrg report clips`."""
    parser.add_argument("captioner", metavar="CAPTIONER", help="run folder, captioner folder or preset name")
    parser.add_argument("videos", metavar="VIDEOS", nargs="+", help="folder, dataset, list or video files")
    parser.add_argument("--out", metavar="PAGE.html", required=True, help="the page")
    parser.add_argument("--references", metavar="FILE", type=pathlib.Path, help="what people wrote about the videos")
    parser.add_argument("--encoder", metavar="ENC", help="what turns videos into features (default: the captioner's)")
    parser.add_argument("--beam", type=integer(1), metavar="K", help="hypotheses kept (default: the captioner's)")
    parser.add_argument("--n", type=integer(1), default=3, metavar="N", help="captions a video (default: 3)")
    parser.add_argument("--workers", type=integer(1, 256), metavar="N", help="decoding processes (default: one a core)")
    parser.add_argument("--explain", action="store_true", help="show where each word of the best caption looked")
    parser.add_argument("--title", metavar="TEXT", help="head of the page")
    parser.add_argument("--note", metavar="TEXT", action="append", default=[], help="a paragraph under the head")


def run(args: argparse.Namespace, console: Console) -> int:
    """Writes the page; returns 0, 3 (some videos failed) or 4 (all failed)."""
    if pathlib.Path(args.out).is_dir():
        raise ConfigError("a folder, not a file", where=args.out, remedy=f"--out {args.out}/page.html")
    items = list_videos(args.videos)
    references = read_references(args.references) if args.references else {}

    from glrg_cli.encoders import open_encoder
    from glrg_tf.captioner.captioner import VideoCaptioner

    started = time.monotonic()
    captioner = VideoCaptioner.from_preset(args.captioner)
    if args.encoder is not None:
        captioner.encoders = open_encoder(args.encoder)
    clips = caption_clips(captioner, items, args, console)
    add_frames(clips, args.workers, console)
    for clip in clips:
        clip.references = references_of(clip.item, references)
    if args.explain:
        explain_clips(captioner, clips, console)
    scores = score(clips) if references else None
    seconds = time.monotonic() - started

    from glrg_cli.report_clips_page import render

    title = args.title or f"{captioner_name(args.captioner)}: {len(clips)} videos"
    page = render(title, captioner, clips, scores, seconds, args.note)
    atomic.write_text(args.out, page)
    return _tell(clips, scores, args, len(page), console)


def caption_clips(
    captioner: VideoCaptioner, items: Sequence[VideoItem], args: argparse.Namespace, console: Console
) -> list[Clip]:
    """Captions every video, in order."""
    from glrg_tf.encoders.extract import Failed, encode_videos

    bundle = captioner.encoders
    if bundle is None:
        raise ConfigError(
            "this captioner has no encoder: it reads feature files, not videos",
            where=args.captioner,
            remedy="name one with --encoder ENC",
        )
    labels = vocabularies.Labels(captioner.config.streams, bundle)
    names = captioner.config.stream_names
    beam = args.beam or max(args.n, captioner.decoding.beam_size)
    clips = []
    with console.progress(len(items), "captioning", "videos") as bar:
        for outcome in encode_videos(bundle, items, workers=args.workers, streams=names):
            bar.update(1)
            if isinstance(outcome, Failed):
                clips.append(Clip(outcome.item, error=outcome.error))
                continue
            features: np.ndarray = outcome.pooled(names)
            captions = captioner.generate(features[None], beam_size=beam, num_captions=args.n)[0]
            counts = (outcome.expected, outcome.decoded, outcome.used)
            words = labels.top(features)
            clips.append(Clip(outcome.item, captions, words=words, counts=counts, warnings=outcome.warnings))
    return clips


def add_frames(clips: Sequence[Clip], workers: int | None, console: Console) -> None:
    """Reads a few frames of every video that could be read, in processes of their own."""
    from glrg_tf.video.isolated import DecoderPool
    from glrg_tf.video.sampling import uniform_positions

    readable = {number: clip for number, clip in enumerate(clips) if clip.error is None}
    items = [(number, clip.item.path) for number, clip in readable.items()]
    with (
        console.progress(len(items), "frames for the page", "videos") as bar,
        DecoderPool(workers, max_side=_FRAME_SIDE) as pool,
    ):
        for number, frames in pool.read_many(items, lambda count: uniform_positions(count, min(count, _FRAMES))):
            bar.update(1)
            if not isinstance(frames, VideoError):
                readable[number].frames = frames


def explain_clips(captioner: VideoCaptioner, clips: Sequence[Clip], console: Console) -> None:
    """Adds where the words of each best caption looked."""
    from glrg_cli.html.saliency import saliency_panel
    from glrg_tf.explain.video import Explainer, ExplainSettings

    explainer, settings = Explainer(captioner), ExplainSettings(max_frames=32, concepts=False)
    readable = [clip for clip in clips if clip.error is None and clip.captions and clip.captions[0].text]
    with console.progress(len(readable), "explaining", "videos") as bar:
        for clip in readable:
            found = explainer.explain(clip.item.path, clip.captions[0].text, settings)
            clip.saliency = saliency_panel(found, clip.item.path)
            bar.update(1)


def score(clips: Sequence[Clip]) -> dict[str, float] | None:
    """coco-caption's scores of the best captions over the videos that people described, 0..1; None where none are."""
    from glrg_tf.metrics.coco import score_captions

    judged = [clip for clip in clips if clip.captions and clip.references]
    if not judged:
        return None
    references = {str(number): clip.references for number, clip in enumerate(judged)}
    predictions = {str(number): clip.captions[0].text for number, clip in enumerate(judged)}
    return dict(score_captions(references, predictions).overall)


def captioner_name(source: str) -> str:
    """What the page calls the captioner: its name, without the place it lies at."""
    return pathlib.PurePath(source).name or source


def _tell(
    clips: Sequence[Clip], scores: dict[str, float] | None, args: argparse.Namespace, size: int, console: Console
) -> int:
    failed = [clip for clip in clips if clip.error is not None]
    for clip in failed:
        console.error(f"{clip.item.path}: {clip.error.what if clip.error else ''}")
    console.info(f"{args.out}: {len(clips) - len(failed)} of {len(clips)} videos captioned, {size / 2**20:.1f} MiB")
    result: dict[str, Any] = {
        "out": str(args.out),
        "videos": len(clips),
        "captioned": len(clips) - len(failed),
        "scores": scores,
        "captions": [{"id": clip.item.id, "captions": [caption.text for caption in clip.captions]} for clip in clips],
    }
    console.result(result)
    if not failed:
        return 0
    return 3 if len(failed) < len(clips) else 4
