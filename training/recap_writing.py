"""Lets a level write its texts of whole data sets, and keeps them: what the next level reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from glrg_tf.errors import AnnotationError
from glrg_tf.io import atomic, documents
from glrg_tf.recap.captioner import RecapCaptioner
from glrg_tf.recap.hierarchy import CLIP
from training.recap_data import Example, LongVideo, Told, examples, lower_texts

_AT_ONCE = 32  # videos
Texts = dict[str, list[Told]]


def write_examples(captioner: RecapCaptioner, level: str, found: Sequence[Example]) -> list[str]:
    """The texts of some examples of one level."""
    if level == CLIP:
        return captioner.caption_clips(np.stack([e.features for e in found])) if found else []
    return captioner.describe(level, [e.features for e in found], [e.below for e in found])


def write_level(
    captioner: RecapCaptioner,
    level: str,
    videos: Sequence[LongVideo],
    written: Mapping[str, Mapping[str, Sequence[Told]]],
    progress: Callable[[int], object] | None = None,
) -> Texts:
    """Texts of every window of a level.

    Args:
        captioner: has the level.
        level: that writes.
        videos: of any splits.
        written: texts of the levels below, level -> video id -> texts.
        progress: called with the number of videos just written.
    """
    if level == CLIP:
        videos = [video for video in videos if video.dense is not None]
    elif captioner.networks[level].config.reads_video(level):
        videos = [video for video in videos if video.rows is not None or _has_files(video)]
    texts: Texts = {video.id: [] for video in videos}
    for start in range(0, len(videos), _AT_ONCE):
        found: list[Example] = []
        for video in videos[start : start + _AT_ONCE]:
            below = () if level == CLIP else lower_texts(video, level, written)
            found += examples(video, level, captioner.hierarchy, below, written=True)
        for example, text in zip(found, write_examples(captioner, level, found), strict=True):
            texts[example.video].append(Told(example.start_us, example.end_us, text))
        if progress is not None:
            progress(len(videos[start : start + _AT_ONCE]))
    return texts


def _has_files(video: LongVideo) -> bool:
    """Whether rows come with single texts (Ego4D-HCap)."""
    return any(text.features for level in (video.texts.segment, video.texts.video) for text in level)


def write_predictions(file: Path, texts: Mapping[str, Sequence[Told]]) -> None:
    """One line a video: id, and [start, end, text] of each, in microseconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"id": name, "texts": [[t.start_us, t.end_us, t.text] for t in told]} for name, told in texts.items()]
    atomic.write_json_lines(file, rows)


def read_predictions(file: Path) -> Texts:
    """Reads what `write_predictions` wrote.

    Raises:
        AnnotationError: missing or damaged.
    """
    texts: Texts = {}
    for line, row in documents.read_json_lines(file, error=AnnotationError):
        try:
            texts[str(row["id"])] = [Told(int(start), int(end), str(text)) for start, end, text in row["texts"]]
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"damaged ({error})", where=f"{file}: line {line}", remedy="remove it") from error
    return texts
