"""A frame for a visual word: from the video of the training clip that lies nearest to the word's centroid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from glrg_tf.data.importers.videos import is_video_name
from glrg_tf.errors import DataError, VideoError
from glrg_tf.semantic.embedding import VisualGlove
from glrg_tf.video.reader import read_frames

_SIDE = 96  # pixels of a thumbnail's longer side


def find_videos(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Returns the video files below a folder by name without ending.

    Raises:
        DataError: no such folder, or none in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError("no such folder of videos", where=root, remedy="check --videos")
    found: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        if file.is_file() and is_video_name(file.name):
            found.setdefault(file.stem, file)
    if not found:
        raise DataError("the folder holds no videos", where=root, remedy="check --videos")
    return found


def thumbnails(
    glove: VisualGlove,
    words: Iterable[int],
    videos: dict[str, Path],
    *,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[dict[int, np.ndarray], list[str]]:
    """Reads a frame for each of some words.

    The clip at position t of T is taken to lie in the middle of the t-th of T equal parts of its video.

    Args:
        glove: trained vectors.
        words: visual words.
        videos: files by id (`find_videos`).
        progress: told of every word done.

    Returns:
        By word uint8 (H, W, 3), for words whose video is there and can be read; and a line for each that cannot.
    """
    pictures, problems = {}, []
    for word in words:
        row = int(glove.clips.representatives[word])
        if row >= 0:
            video_id, position = glove.clips.locate(row)
            clips = int(np.diff(glove.clips.offsets)[glove.clips.ids.index(video_id)])
            if video_id in videos:
                try:
                    pictures[word] = _frame(videos[video_id], (position + 0.5) / clips)
                except VideoError as error:
                    problems.append(f"{videos[video_id]}: {error.what}")
        progress(1)
    return pictures, problems


def _frame(path: Path, part: float) -> np.ndarray:
    def select(frames: int) -> np.ndarray:
        return np.array([min(frames - 1, int(part * frames))])

    return read_frames(path, select, max_side=_SIDE).images[0]
