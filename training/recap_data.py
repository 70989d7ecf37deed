"""What the curriculum of long video trains on: texts of three levels by time, features by clip, and their examples.

FEATURES/
  features.json      streams with their widths, in column order; the encoder's fingerprint
  dense/<id>.npy     (clips, positions, D): every clip's tokens, for level "clip"; rows are their means over positions
  <id>.npy           (clips, R): rows alone, where there are no dense tokens

Row k is clip k of the hierarchy; a text belongs to the window its middle lies in (recap/hierarchy.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from glrg_tf.data.dataset import CaptionDataset, VideoRecord
from glrg_tf.data.levels import LevelTexts
from glrg_tf.errors import AnnotationError, ConfigError, DataError, FeatureError
from glrg_tf.io import documents, npy
from glrg_tf.recap.captioner import row_columns
from glrg_tf.recap.features import open_rows
from glrg_tf.recap.hierarchy import CLIP, LEVELS, SEGMENT, VIDEO, Hierarchy, Window, microseconds, parent

ABOUT, DENSE = "features.json", "dense"
_MAX_VALUES = 2**28  # numbers of one file: 40 GB of video would fit


@dataclasses.dataclass(frozen=True)
class Told:
    """A text of some stretch of time, as one level reads it from the level below."""

    start_us: int
    end_us: int
    text: str


@dataclasses.dataclass(frozen=True)
class Example:
    """One thing to learn or to write: what a level reads of a stretch of time, and what people said of it."""

    video: str
    level: str
    start_us: int
    end_us: int
    features: np.ndarray  # float32 (S, D): tokens of the clip, or rows; (0, D) where there are none
    below: tuple[str, ...]  # texts of the level below, in order
    references: tuple[str, ...]  # empty where it is only to be written


@dataclasses.dataclass(frozen=True)
class FeatureFolder:
    """Features of clips on disk.

    Args:
        folder: see the module's head.
        row_streams: streams that rows are made of, where there are dense tokens; none named: all.
    """

    folder: Path
    row_streams: tuple[str, ...] = ()

    @property
    def widths(self) -> tuple[tuple[str, int], ...]:
        """Name and width of each stream; none where the folder does not say.

        Raises:
            FeatureError: `features.json` is damaged.
        """
        file = self.folder / ABOUT
        if not file.is_file():
            return ()
        value = documents.read_json(file, error=FeatureError, max_bytes=2**20)
        try:
            return tuple((str(name), int(width)) for name, width in value["streams"])
        except (TypeError, KeyError, ValueError) as error:
            raise FeatureError(f"'streams' is damaged ({error})", where=file, remedy="extract again") from error

    def read(self, video: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Dense tokens float32 (n, P, D) and rows float32 (n, R) of a video; None for what there is not.

        Raises:
            FeatureError: damaged files, or streams that are not there.
        """
        name = Path(video).name
        dense = _read(self.folder / DENSE / f"{name}.npy", 3)
        if dense is None:
            return None, _read(self.folder / f"{name}.npy", 2)
        rows = dense.mean(axis=1)
        widths = self.widths
        if widths and sum(width for _, width in widths) != dense.shape[2]:
            raise FeatureError(f"features are {dense.shape[2]} wide, {ABOUT} says otherwise", where=self.folder)
        if self.row_streams:
            unknown = [stream for stream in self.row_streams if stream not in dict(widths)]
            if unknown:
                raise ConfigError(f"no stream '{unknown[0]}'", where="row_streams", remedy=f"see {self.folder / ABOUT}")
            rows = rows[:, row_columns(widths, self.row_streams)]
        return dense, rows


@dataclasses.dataclass(frozen=True)
class LongVideo:
    """One video with its texts and features."""

    id: str
    split: str
    duration: float  # seconds
    texts: LevelTexts
    dense: np.ndarray | None = None  # float32 (n, P, D)
    rows: np.ndarray | None = None  # float32 (n, R)

    def people(self, level: str) -> list[Told]:
        """What people wrote at a level, the first wording of each."""
        return [_told(text.start, text.end, text.captions[0]) for text in self.texts.of(level)]

    def machine(self, level: str) -> list[Told]:
        """What a machine wrote at a level before, as the data set tells."""
        return [_told(t.start, t.end, t.captions[0]) for t in self.texts.predicted.get(level, ())]


def load_videos(
    dataset: CaptionDataset,
    hierarchy: Hierarchy,
    features: FeatureFolder | None = None,
    splits: Sequence[str] = (),
    *,
    pseudo: bool = False,
    texts_too: bool = False,
) -> list[LongVideo]:
    """The videos of a data set that have texts at levels.

    Args:
        dataset: whose records have `levels`.
        hierarchy: lengths of the windows.
        features: of the clips; videos without any are left out; None reads texts alone.
        splits: all by default.
        pseudo: videos of split "train" take a machine's segments and summaries where people wrote none.
        texts_too: videos of split "train" without features are kept, for their texts.

    Raises:
        DataError: no video has levels, or none has features.
    """
    records = [r for r in dataset.records() if r.levels and (not splits or r.split in splits)]
    if not records:
        raise DataError(
            "no record has texts at levels", where=dataset.folder, remedy="import Ego4D-HCap, HiREST or YouCook2"
        )
    videos = [_load(record, hierarchy, features, pseudo and record.split == "train") for record in records]
    if features is not None:
        videos = [v for v in videos if v.rows is not None or (texts_too and v.split == "train")]
        if all(video.rows is None for video in videos):
            raise FeatureError(
                "no video of the data set has features", where=features.folder, remedy="check --features"
            )
    return videos


def _load(record: VideoRecord, hierarchy: Hierarchy, features: FeatureFolder | None, pseudo: bool) -> LongVideo:
    texts = LevelTexts.from_json(record.levels, f"video '{record.id}'")
    for level in (SEGMENT, VIDEO) if pseudo else ():
        if not texts.of(level) and texts.predicted.get(level):
            texts = dataclasses.replace(texts, **{level: tuple(texts.predicted[level])})
    dense, rows = features.read(record.id) if features is not None else (None, None)
    files = [text.features for text in texts.video if text.features]
    if rows is None and files:
        rows = open_rows(files[0]).read()  # Ego4D-HCap: features/videos/ID.npy, of the whole video
    ends = [text.end for level in LEVELS for text in texts.of(level)]
    ends += [text.end for found in texts.predicted.values() for text in found]
    duration = texts.duration or max(ends, default=0.0)
    if rows is not None and texts.duration is None:
        duration = max(duration, len(rows) * hierarchy.clip_seconds)
    if duration <= 0:
        raise AnnotationError(f"video '{record.id}' has no duration", remedy="its levels need times or 'duration'")
    return LongVideo(record.id, record.split, duration, texts, dense, rows)


# === Examples ===
def examples(
    video: LongVideo, level: str, hierarchy: Hierarchy, below: Sequence[Told], *, written: bool = False
) -> list[Example]:
    """What a level has to learn (or, `written`, to write) of one video.

    Args:
        video: texts and features.
        level: of LEVELS.
        hierarchy: lengths of the windows.
        below: the texts one level below, of the whole video.
        written: the windows of the hierarchy, without references, instead of what people described.
    """
    if written:
        windows = hierarchy.windows(level, video.duration)
        stretches = [(window.start_us, window.end_us, (), None) for window in windows]
    else:
        stretches = [
            (microseconds(t.start), microseconds(t.end), t.captions, t.features) for t in video.texts.of(level)
        ]
    clips = hierarchy.clip_windows(video.duration)
    found = []
    for start, end, references, file in stretches:
        # Ego4D-HCap has a file of rows for each segment and video that it describes.
        features = _features(video, level, start, end, clips) if file is None else open_rows(file).read()
        if level == CLIP and features is None:
            continue
        told = () if level == CLIP else tuple(t.text for t in below if start <= (t.start_us + t.end_us) / 2 < end)
        rows = np.zeros((0, 0), np.float32) if features is None else features
        found.append(Example(video.id, level, start, end, rows, told, tuple(references)))
    return found


def _features(video: LongVideo, level: str, start: int, end: int, clips: list[Window]) -> np.ndarray | None:
    """Tokens of the clip that a stretch belongs to, or the rows of the clips whose middle lies in it."""
    if level == CLIP:
        if video.dense is None:
            return None
        number = parent(start, end, clips)
        return video.dense[number] if number < len(video.dense) else None
    if video.rows is None:
        return None
    inside = [w.index for w in clips if start <= (w.start_us + w.end_us) / 2 < end and w.index < len(video.rows)]
    return video.rows[inside]


def lower_texts(video: LongVideo, level: str, written: Mapping[str, Mapping[str, Sequence[Told]]]) -> Sequence[Told]:
    """The texts that a level reads of a video: of the nearest level below that has any.

    What this run wrote comes first (nothing, of a video without the features that takes), then what a machine wrote
    before (the data set's `predicted`), then people's.

    Args:
        video: the video.
        level: that reads.
        written: level -> video id -> texts of this run.
    """
    for lower in reversed(LEVELS[: LEVELS.index(level)]):
        if video.id in written.get(lower, {}):
            return written[lower][video.id]
        found = video.machine(lower) or video.people(lower)
        if found:
            return found
    return ()


def texts_of(videos: Iterable[LongVideo]) -> Iterable[str]:
    """Every text of some videos, for a vocabulary."""
    for video in videos:
        for level in (CLIP, SEGMENT, VIDEO):
            for text in video.texts.of(level):
                yield from text.captions


def _told(start: float, end: float, text: str) -> Told:
    return Told(microseconds(start), microseconds(end), text)


def _read(path: Path, ndim: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    file = npy.open_npy(path, ndim=ndim)
    if np.prod(file.shape, dtype=float) > _MAX_VALUES:
        raise FeatureError(f"an array of shape {file.shape}", where=path, remedy="features of one video are smaller")
    values = np.array(file.rows(0, file.shape[0]), np.float32)
    if not np.isfinite(values).all():
        raise FeatureError("values that are not finite", where=path, remedy="extract again")
    return values
