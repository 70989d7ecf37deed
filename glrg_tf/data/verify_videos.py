"""Whether the videos of a dataset can be read: each is opened and its first frame decoded, in a child process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import VideoError


def undecodable_videos(
    records: Sequence[VideoRecord], folder: Path, progress: Callable[[int, int], None] | None = None
) -> list[tuple[str, str]]:
    """The id and what is wrong of every video that exists and cannot be read, in the order of `records`.

    Args:
        records: the videos; those without a file are passed over, a file of several clips is opened once.
        folder: of the dataset, which paths are relative to.
        progress: told (files looked at, files in all).
    """
    files: dict[Path, list[str]] = {}
    for record in records:
        if record.video and (folder / record.video).is_file():
            files.setdefault(folder / record.video, []).append(record.id)
    if not files:
        return []
    from glrg_tf.video.isolated import DecoderPool

    wrong: dict[str, str] = {}
    with DecoderPool() as pool:
        for done, (path, found) in enumerate(pool.probe_many((path, path) for path in files), start=1):
            if progress is not None:
                progress(done, len(files))
            if isinstance(found, VideoError):
                wrong |= dict.fromkeys(files[path], found.what)
    return [(record.id, wrong[record.id]) for record in records if record.id in wrong]
