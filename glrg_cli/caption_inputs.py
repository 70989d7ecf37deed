"""The inputs of `glrg caption`: feature files and videos, told apart by their first bytes before anything is loaded."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from glrg_tf.captioner.feature_input import Failure
from glrg_tf.encoders.extract_items import VideoItem, list_videos
from glrg_tf.errors import DataError, FeatureError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


Input = pathlib.Path | VideoItem | Failure  # a feature file, a video, or what is neither


def look_at(names: Sequence[str]) -> list[Input]:
    """Sorts inputs into feature files, videos and failures, in order, without reading more than a few bytes."""
    found: list[Input] = []
    for name in names:
        try:
            found += _look_at_one(name)
        except DataError as error:
            found.append(Failure(name, error))
    return found


def _look_at_one(name: str) -> list[Input]:
    path = pathlib.Path(name)
    if path.is_dir():
        return [path / "features.h5"] if (path / "features.h5").is_file() else list(_videos_of(path))
    if not path.is_file():
        raise DataError("no such file", where=path, remedy="check the path")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from None
    if not start:
        raise DataError("the file is empty", where=path, remedy="copy it again")
    if start == _HDF5_SIGNATURE:
        return [path]
    if path.suffix.lower() in (".h5", ".hdf5"):
        raise FeatureError("not an HDF5 file", where=path, remedy="copy or extract it again")
    return [VideoItem(name, path)]


def _videos_of(folder: pathlib.Path) -> Iterator[VideoItem]:
    """The videos of a folder, named by their paths, or those of a dataset, named by their ids."""
    try:
        items = list_videos(folder)
    except DataError as error:
        what = f"neither a features.h5 nor videos: {error.what}"
        raise FeatureError(what, where=folder, remedy="name the files themselves") from None
    dataset = (folder / "dataset.json").is_file()
    yield from (item if dataset else dataclasses.replace(item, id=str(item.path)) for item in items)
