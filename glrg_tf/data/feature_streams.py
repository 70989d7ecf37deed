"""Adds a stream to a `features.h5`: the other streams are copied as they are, never held in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from glrg_tf.data.feature_layout import Attributes
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5


def add_stream(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    name: str,
    videos: Iterable[np.ndarray],
    *,
    width: int,
    counts: np.ndarray | None = None,
    attributes: Attributes | None = None,
) -> None:
    """Writes `out` as `source` with one more stream, whole or not at all; a stream of that name is replaced.

    Args:
        source: a `features.h5` of N videos.
        out: the file to write.
        name: of the new stream.
        videos: its values, video after video in the file's order: (F_i, width) each, or (1, width) for a pooled stream.
        width: of the stream.
        counts: int (N,), F_i of every video; None writes a pooled stream.
        attributes: of the stream.

    Raises:
        FeatureError: `source` is damaged; values that do not fit or are not finite.
    """
    with FeatureStore(source) as store:
        kept, total = [stream for stream in store.streams if stream != name], len(store)
    wanted = np.ones(total, np.int64) if counts is None else np.asarray(counts, np.int64)
    if len(wanted) != total:
        raise FeatureError(f"{len(wanted)} counts for {total} videos", where=source, remedy="one count a video")
    where = f"{out}: streams/{name}"
    with hdf5.open_file(source) as old, hdf5.new_file(out) as new:
        new.attrs.update(hdf5.attributes(old))
        old.copy(old["ids"], new, "ids")
        for stream in kept:
            group = new.create_group(f"streams/{stream}")
            group.attrs.update(hdf5.attributes(old[f"streams/{stream}"]))
            for part in {"values", "offsets"} & set(hdf5.names(old[f"streams/{stream}"])):
                old.copy(old[f"streams/{stream}/{part}"], group, part)
        group = new.create_group(f"streams/{name}")
        group.attrs.update(attributes or {})
        values = group.create_dataset("values", (int(wanted.sum()), width), np.float32)
        if counts is not None:
            group["offsets"] = np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64)
        row = video = 0
        for video, block in enumerate(videos, start=1):
            if video > total or block.shape != (wanted[video - 1], width) or not np.isfinite(block).all():
                what = f"the values of video {video} have shape {block.shape} or are not finite"
                raise FeatureError(what, where=where, remedy="make them again")
            values[row : row + len(block)] = block
            row += len(block)
        if video != total:
            raise FeatureError(f"values of {video} videos for {total}", where=where, remedy="make them again")
