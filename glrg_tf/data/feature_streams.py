"""Streams of a `features.h5` that are written video after video, so that none has to fit in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import h5py
import numpy as np

from glrg_tf.data import feature_checksums
from glrg_tf.data.feature_layout import Attributes
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5


class StreamValues(NamedTuple):
    """One stream on its way to disk.

    Attributes:
        videos: values, video after video: (F_i, width) each, (1, width) where the stream is pooled.
        width: of the stream.
        counts: int (N,), F_i of every video; None for a pooled stream.
        attributes: what the stream says of its making.
    """

    videos: Iterable[np.ndarray]
    width: int
    counts: np.ndarray | None = None
    attributes: Attributes | None = None


def write_streams(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    streams: Mapping[str, StreamValues],
    attributes: Attributes | None = None,
) -> None:
    """Writes a new `features.h5`, whole or not at all.

    Args:
        path: the file.
        ids: N distinct video ids.
        streams: by name.
        attributes: of the file.

    Raises:
        FeatureError: values that do not fit or are not finite.
    """
    with hdf5.new_file(path) as handle:
        handle.attrs.update({"format": "glrg-features", "version": 1, **(attributes or {})})
        handle["ids"] = hdf5.text_array(list(ids))
        for name, values in streams.items():
            _write(handle, name, len(ids), values, f"{path}: streams/{name}")
        feature_checksums.seal(handle)


def add_stream(source: str | os.PathLike[str], out: str | os.PathLike[str], name: str, values: StreamValues) -> None:
    """Writes `out` as `source` with one more stream, whole or not at all; a stream of that name is replaced.

    Args:
        source: a `features.h5` of N videos; its other streams are copied as they are.
        out: the file to write.
        name: of the new stream.
        values: of the new stream, in the file's order of videos.

    Raises:
        FeatureError: `source` is damaged; values that do not fit or are not finite.
    """
    with FeatureStore(source) as store:
        kept, total = [stream for stream in store.streams if stream != name], len(store)
    with hdf5.open_file(source) as old, hdf5.new_file(out) as new:
        new.attrs.update(
            {key: value for key, value in hdf5.attributes(old).items() if key != feature_checksums.CONTENT}
        )
        old.copy(old["ids"], new, "ids")
        for stream in kept:
            group = new.create_group(f"streams/{stream}")
            group.attrs.update(hdf5.attributes(old[f"streams/{stream}"]))
            for part in {"values", "offsets"} & set(hdf5.names(old[f"streams/{stream}"])):
                old.copy(old[f"streams/{stream}/{part}"], group, part)
        _write(new, name, total, values, f"{out}: streams/{name}")
        feature_checksums.seal(new)


def _write(handle: h5py.File, name: str, total: int, stream: StreamValues, where: str) -> None:
    counts = np.ones(total, np.int64) if stream.counts is None else np.asarray(stream.counts, np.int64)
    if len(counts) != total:
        raise FeatureError(f"{len(counts)} counts for {total} videos", where=where, remedy="one count a video")
    group = handle.create_group(f"streams/{name}")
    group.attrs.update(stream.attributes or {})
    target = group.create_dataset("values", (int(counts.sum()), stream.width), np.float32)
    if stream.counts is not None:
        group["offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    row = video = 0
    for video, block in enumerate(stream.videos, start=1):
        if video > total or block.shape != (counts[video - 1], stream.width) or not np.isfinite(block).all():
            what = f"the values of video {video} have shape {block.shape} or are not finite"
            raise FeatureError(what, where=where, remedy="make them again")
        target[row : row + len(block)] = block
        row += len(block)
    if video != total:
        raise FeatureError(f"values of {video} videos for {total}", where=where, remedy="make them again")
