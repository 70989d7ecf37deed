"""Checks of the release's derived files (scores, labels, document frequencies) against its captions.

`captions` is by global id in the order of the label file (ascending in every file that could be opened), captions in
annotation order: the rows of all derived files follow it, because the release's loader counts rows by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.errors import AnnotationError, DataError
from glrg_tf.io import hdf5
from glrg_tf.text.tokenizer import ReleaseTokenizer
from glrg_tf.text.vocabulary import MAX_LENGTH, Vocabulary

METRICS = ("CIDEr", "Bleu_4", "METEOR", "ROUGE_L")
_AGAIN = "take all files from the same release"
_MAX_NGRAM = 4


def read_scores(
    path: Path | None, captions: Mapping[int, Sequence[str]], notes: list[str]
) -> dict[int, dict[str, tuple[float, ...]]]:
    """Returns the consensus scores by id and metric, each for the first captions of the video.

    Column j of the matrix (N, G) belongs to the video's j-th caption. MSVD has more captions than columns (17, and 20
    in its val file, where the loader uses 17 too: we take all): those beyond stay without a score. The release's loader
    instead draws random captions and gives them these scores; not here.

    Raises:
        DataError: no plain dictionary of (N, G) matrices, too many rows or columns, scores that are not finite.
    """
    if path is None:
        return {}
    from glrg_tf.io.foreign import read_pickle

    table = read_pickle(path, error=AnnotationError)
    if not isinstance(table, dict) or not any(metric in table for metric in METRICS):
        raise AnnotationError(f"no scores of {', '.join(METRICS)}", where=path, remedy=_AGAIN)
    scores: dict[int, dict[str, tuple[float, ...]]] = {number: {} for number in captions}
    for metric in (metric for metric in METRICS if metric in table):
        matrix = _matrix(table[metric], len(captions), f"{path}: {metric}")
        for row, (number, texts) in zip(matrix, captions.items(), strict=True):
            scores[number][metric] = tuple(row[: len(texts)].tolist())
    columns = matrix.shape[1]
    fewer = sum(len(texts) < columns for texts in captions.values())
    beyond = sum(max(0, len(texts) - columns) for texts in captions.values())
    if fewer:
        notes.append(
            f"{path.name}: {fewer} videos have fewer captions than the {columns} scores: surplus scores dropped"
        )
    if beyond:
        notes.append(f"{path.name} covers the first {columns} captions a video: {beyond} captions have no score")
    return scores


def in_label_order(path: Path | None, captions: Mapping[int, Sequence[str]]) -> dict[int, Sequence[str]]:
    """Returns `captions` in the order in which the label file lists their videos; as they are without one.

    Raises:
        DataError: damaged file, or other videos than the caption file.
    """
    if path is None:
        return dict(captions)
    with hdf5.open_file(path, error=AnnotationError) as handle:
        videos = hdf5.read_strings(hdf5.dataset(handle, "videos", error=AnnotationError), error=AnnotationError)
    by_name = {str(number): number for number in captions}
    if len(videos) != len(captions) or set(videos) != set(by_name):
        what = f"it labels {len(videos)} videos, the captions are of {len(captions)} (or of others)"
        raise AnnotationError(what, where=f"{path}: videos", remedy=_AGAIN)
    return {by_name[name]: captions[by_name[name]] for name in videos}


def check_labels(
    path: Path | None, captions: Mapping[int, Sequence[str]], vocabulary: Vocabulary | None, notes: list[str]
) -> None:
    """Checks that the label rows belong to the captions, video by video, and notes rows of other words.

    Raises:
        DataError: damaged file, or another number of captions of a video than in the caption file.
    """
    if path is None:
        return
    with hdf5.open_file(path, error=AnnotationError) as handle:
        labels = _numbers(handle, "labels", 2)
        starts, ends = _numbers(handle, "label_start_ix", 1), _numbers(handle, "label_end_ix", 1)
    bounds = np.cumsum([0, *(len(texts) for texts in captions.values())])
    if not (np.array_equal(starts, bounds[:-1]) and np.array_equal(ends, bounds[1:]) and len(labels) == bounds[-1]):
        what = f"{len(labels)} label rows do not belong to {bounds[-1]} captions, video by video"
        raise AnnotationError(what, where=path, remedy=_AGAIN)
    if vocabulary is None or labels.shape[1] != MAX_LENGTH:
        return
    tokenizer = ReleaseTokenizer()
    texts = (text for of_video in captions.values() for text in of_video)
    different = sum(
        not np.array_equal(vocabulary.encode(tokenizer(text)), row) for text, row in zip(texts, labels, strict=True)
    )
    if different:
        notes.append(f"{path.name}: {different} of {len(labels)} label rows differ from their captions; text is used")


def check_document_frequency(
    path: Path | None, captions: Mapping[int, Sequence[str]], vocabulary: Vocabulary | None
) -> None:
    """Checks the n-gram document frequencies: plain data, ids of the vocabulary, counts of at most the videos.

    Raises:
        DataError: a pickle of something else, another number of videos, impossible n-grams or counts.
    """
    if path is None:
        return
    from glrg_tf.io.foreign import read_pickle

    table = read_pickle(path, error=AnnotationError)
    counts = table.get("document_frequency") if isinstance(table, dict) else None
    if not isinstance(counts, dict) or not isinstance(table.get("ref_len"), int | float):
        raise AnnotationError("no 'document_frequency' with 'ref_len'", where=path, remedy=_AGAIN)
    if table["ref_len"] != len(captions):
        what = f"counted over {table['ref_len']} videos, the captions are of {len(captions)}"
        raise AnnotationError(what, where=path, remedy=_AGAIN)
    ids = {str(index) for index in range(len(vocabulary))} if vocabulary else None
    for ngram, count in counts.items():
        sound = isinstance(ngram, tuple) and 1 <= len(ngram) <= _MAX_NGRAM and isinstance(count, int | float)
        if not sound or not 1 <= count <= len(captions):
            raise AnnotationError(f"{ngram!r}: {count!r} is no n-gram with its count"[:200], where=path, remedy=_AGAIN)
        if ids is not None and not ids.issuperset(ngram):
            raise AnnotationError(f"{ngram!r} is not of this vocabulary"[:200], where=path, remedy=_AGAIN)


def _matrix(value: Any, rows: int, where: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind != "f":
        raise AnnotationError("not a matrix of scores", where=where, remedy=_AGAIN)
    if value.shape[0] != rows:
        what = f"{value.shape[0]} rows of scores for {rows} videos"
        raise AnnotationError(what, where=where, remedy=_AGAIN)
    if not np.isfinite(value).all():
        raise AnnotationError("scores that are not finite", where=where, remedy=_AGAIN)
    return value


def _numbers(handle: Any, name: str, ndim: int, error: type[DataError] = AnnotationError) -> np.ndarray:
    return hdf5.read_array(hdf5.dataset(handle, name, kinds="iu", ndim=ndim, error=error), error=error)
