"""Features of the events of long videos: the rows of a video's stacks that lie between an event's start and end.

As the published code cuts them: rows ⌊start / s⌋ to ⌊end / s⌋ with s the seconds of a clip, at least one row (there s
is the video's duration over its number of clips).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from glrg_tf.data.feature_streams import StreamValues, write_streams
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.semantic.codebook import Progress
from glrg_tf.semantic.embedding import STREAM, VisualGlove
from glrg_tf.semantic.form import ClipEmbeddings, Form
from glrg_tf.semantic.outputs import stream_attributes, words_of
from glrg_tf.semantic.stacks import Stacks


def event_rows(start: float | None, end: float | None, clips: int, clip_seconds: float) -> tuple[int, int]:
    """Returns the first row of an event and one past its last.

    Args:
        start: seconds; None is the video's beginning.
        end: seconds; None is the video's end.
        clips: T, rows of the video.
        clip_seconds: s, seconds of a clip.
    """
    first = min(int((start or 0.0) / clip_seconds), clips - 1)
    last = clips if end is None else min(int(end / clip_seconds), clips)
    return first, max(last, first + 1)


def write_events(
    glove: VisualGlove,
    stacks: Stacks,
    records: Sequence[VideoRecord],
    out: str | os.PathLike[str],
    *,
    clip_seconds: float,
    form: Form | None = None,
    others: Sequence[VisualGlove] = (),
    replace: bool = False,
    workers: int | None = None,
    progress: Progress = lambda clips: None,
) -> dict[str, Any]:
    """Writes a `features.h5` of events: the stacks' own streams and `semantic`, one row a clip, whole or not at all.

    Args:
        glove: trained vectors.
        stacks: of whole videos.
        records: events; the video of one is its id, or its id without `_START_END`.
        out: the file.
        clip_seconds: seconds of a clip (64 frames at 25 a second: 2.56).
        form: of the embeddings; e itself without. Smoothing reaches beyond an event's ends.
        others: further trainings on the same clips (form.py).
        replace: whether an existing file gives way.
        workers: threads that look up words.
        progress: told how many more clips of the stacks are done.

    Returns:
        Numbers: events, clips, and `missing`, the ids of events without stacks.

    Raises:
        FeatureError: no event has stacks; another width or source than in training.
        ConfigError: the file exists; more components than dimensions.
    """
    if os.path.exists(out) and not replace:
        raise ConfigError("the output already exists", where=out, remedy="choose another --out or remove it")
    numbers = {name: number for number, name in enumerate(stacks.ids)}
    spans, missing = _spans(records, numbers, stacks, clip_seconds)
    if not spans:
        what = f"none of the {len(records)} events has stacks, such as '{records[0].id}'"
        raise FeatureError(what, where=stacks.source["path"], remedy=f"stacks are named like '{stacks.ids[0]}'")
    gloves = (glove, *others)
    embeddings = ClipEmbeddings(gloves, form)
    words = words_of(gloves, stacks, workers, progress)
    counts = np.array([last - first for _, first, last in spans.values()])
    streams = _own_streams(stacks, spans, counts)
    semantic = (
        embeddings.of([each[slice(*stacks.span(video))] for each in words])[first:last]
        for video, first, last in spans.values()
    )
    streams[STREAM] = StreamValues(semantic, embeddings.width, counts, stream_attributes(gloves, embeddings))
    write_streams(out, list(spans), streams, {"producer": "glrg glove embed --events", "clip_seconds": clip_seconds})
    return {"events": len(spans), "clips": int(counts.sum()), "missing": missing}


Span = tuple[int, int, int]  # video, first row in it, one past the last


def _spans(
    records: Sequence[VideoRecord], numbers: Mapping[str, int], stacks: Stacks, clip_seconds: float
) -> tuple[dict[str, Span], list[str]]:
    spans: dict[str, Span] = {}
    missing = []
    for record in records:
        name = record.id if record.id in numbers else record.id.rsplit("_", 2)[0]
        if name not in numbers:
            missing.append(record.id)
            continue
        first, last = stacks.span(numbers[name])
        spans[record.id] = (numbers[name], *event_rows(record.start, record.end, last - first, clip_seconds))
    return spans, missing


def _own_streams(stacks: Stacks, spans: Mapping[str, Span], counts: np.ndarray) -> dict[str, StreamValues]:
    def rgb() -> Iterator[np.ndarray]:
        for span in spans.values():
            yield stacks.rows(*_table(stacks, span))

    def flow() -> Iterator[np.ndarray]:
        for video, first, last in spans.values():
            whole = stacks.flow(video)
            if whole is not None:
                yield whole[first:last]

    streams = {"_".join(stacks.source["streams"]): StreamValues(rgb(), stacks.width, counts)}
    if all(stacks.has_flow(video) for video, _, _ in spans.values()):
        example = stacks.flow(next(iter(spans.values()))[0])
        if example is not None:
            streams["flow"] = StreamValues(flow(), example.shape[1], counts)
    return streams


def _table(stacks: Stacks, span: Span) -> tuple[int, int]:
    start = stacks.span(span[0])[0]
    return start + span[1], start + span[2]
