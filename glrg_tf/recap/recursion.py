"""Video ReCap's recursion over one video: clips, then segments from their rows and texts, then the summary.

Memory does not depend on the length of the video: frames stream by, a group of clips is seen at a time, and rows,
texts and pictures go to the journal (journal.py), from which an interrupted run goes on. Texts of higher levels are
kept with a hash of what they were told from, so that an edit tells anew only what depends on it.

Departs from the reference: windows and what belongs to them are those of hierarchy.py; the texts of a segment go to
the captioner one by one, not glued together; every text is told from texts that are whole.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.config import to_dict
from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.io.lock import LOCK
from glrg_tf.recap import frames
from glrg_tf.recap.edits import Edits, merged, read_edits
from glrg_tf.recap.hierarchy import CLIP, LEVELS, SEGMENT, VIDEO, Window
from glrg_tf.recap.journal import FOLDER, HEADER, FinishedClip, Journal, check_header, sha256_of
from glrg_tf.recap.protocol import RecapModel
from glrg_tf.recap.run_options import Progress, RunOptions, RunReport
from glrg_tf.recap.thumbnails import jpeg
from glrg_tf.recap.timeline import CAPTIONER, CLIPS, USER, Recap, Told, most_frequent, one_line

VERSION = 1  # of the journal
RECAP_JSON, RECAP_MD = "recap.json", "recap.md"
_GROUP = 8  # clips that pass the networks together, if their frames take at most:
_GROUP_BYTES = 128 << 20


class Recursion:
    """One video and one captioner; a context manager over the journal.

    The caller holds the lock of the journal's folder (`io.lock.only_one`).

    Args:
        model: tells the texts.
        video: a local file.
        out: the folder of the run.
        name: of the captioner, for people.
        options: see `RunOptions`.

    Raises:
        VideoError: the video cannot be read.
        ConfigError: the folder holds a run of something else, or edits that contradict each other.
        DataError: a file of edits, or an edited output, that cannot be read.
    """

    def __init__(self, model: RecapModel, video: Path, out: Path, name: str, options: RunOptions | None = None) -> None:
        self.model, self.out = model, out
        self.options = options = options or RunOptions()
        self._name, self._hierarchy = name, model.hierarchy
        folder = out / FOLDER
        self._identity = _identity(video)
        self._group = _group_of(model)
        self._timeline = frames.look(video, self._hierarchy, options.limits)
        if options.fresh:
            self._clear(folder)
        check_header(folder, self._header())
        self._video = self._identity | {
            "name": video.name,
            "duration": round(self._timeline.duration, 6),
            "frames": len(self._timeline.times),
            "frame_rate": round(self._timeline.frame_rate, 6),
        }
        self._clips = self._timeline.windows
        self._segments = self._hierarchy.segment_windows(self._timeline.duration)
        self._members = self._hierarchy.clips_of_segments(self._timeline.duration)
        self._edits: dict[tuple[str, int], str] = {}
        self.journal = Journal(folder, model.row_width, self._group, len(self._clips))
        try:
            self._take_edits()
        except BaseException:
            self.journal.close()
            raise

    def __enter__(self) -> Recursion:
        """Returns itself; the journal is closed at the end of the block, and kept."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the journal."""
        self.journal.close()

    # === The three levels ===
    def run(self, progress: Progress | None = None) -> RunReport:
        """Does what is not done, level by level."""
        tell = progress or (lambda level, done, total: None)
        self._seconds: dict[str, float] = {}
        marks = [time.monotonic()]
        seen = self._see_clips(tell)
        marks.append(time.monotonic())
        self._edits = self.journal.edits()
        clips = tuple(self._told(window, self.journal.clip_text(window.index)) for window in self._clips)
        segments, new_segments = self._describe_segments(clips, tell)
        marks.append(time.monotonic())
        summary, new_summaries = self._summarise(segments, tell)
        marks.append(time.monotonic())
        self._seconds |= {level: marks[i + 1] - marks[i] for i, level in enumerate(LEVELS)}
        recap = Recap(
            video=self._video,
            captioner={"name": self._name, "fingerprint": self.model.fingerprint, "levels": list(self.model.levels)},
            hierarchy=to_dict(self._hierarchy),
            clips=clips,
            segments=segments,
            summary=summary,
            members=tuple(self._members),
            notes=tuple(self._notes()),
        )
        told = {CLIP: seen, SEGMENT: new_segments, VIDEO: new_summaries}
        return RunReport(recap, self.journal.folder, seen, told, len(self._edits), self._seconds, self._group)

    def _see_clips(self, progress: Progress) -> int:
        """Level 1: every clip that is not in the journal; returns how many."""
        first, total = self.journal.finished, len(self._clips)
        progress(CLIP, 0, total)
        progress(CLIP, first, total)
        if first == total:
            return 0
        stream = frames.clip_frames(
            self._timeline,
            self.model.frame_plan,
            self.model.plans,
            first=first,
            jump=not self.journal.damaged,
            max_side=self.model.max_side,
            limits=self.options.limits,
        )
        started = time.monotonic()
        for group in _batched(stream, self._group):
            dense, rows = self.model.encode_clips([clip.clips for clip in group])
            rows = rows[:, : self.model.row_width]  # none where no level reads them
            texts = self.model.caption_clips(dense)
            self.journal.add_clips(
                [
                    FinishedClip(one_line(text), row, self._thumbnail(clip), clip.replaced, clip.damaged)
                    for clip, text, row in zip(group, texts, rows, strict=True)
                ]
            )
            self._seconds.setdefault("first", time.monotonic() - started)
            progress(CLIP, len(group), total)
        return total - first

    def _describe_segments(self, clips: tuple[Told, ...], progress: Progress) -> tuple[tuple[Told, ...], int]:
        """Level 2, or chapters where the captioner does not tell it; and how many were told now."""
        told, new = [], 0
        if SEGMENT in self.model.levels:
            progress(SEGMENT, 0, len(self._segments))
        for window, own in zip(self._segments, self._members, strict=True):
            texts = [clips[i].text for i in own]
            if SEGMENT not in self.model.levels:
                text = self._edits.get((SEGMENT, window.index))
                source = CLIPS if text is None else USER
                told.append(Told(window, most_frequent(texts) if text is None else text, source))
                continue
            started = time.monotonic()
            text, fresh = self._describe(window, own, texts)
            told.append(self._told(window, text))
            new += fresh
            if fresh:
                self._seconds.setdefault("first segment", time.monotonic() - started)
            progress(SEGMENT, 1, len(self._segments))
        return tuple(told), new

    def _summarise(self, segments: tuple[Told, ...], progress: Progress) -> tuple[Told | None, int]:
        """Level 3: None where the captioner does not tell it."""
        if VIDEO not in self.model.levels:
            return None, 0
        progress(VIDEO, 0, 1)
        window = self._hierarchy.video_windows(self._timeline.duration)[0]
        text, fresh = self._describe(window, range(len(self._clips)), [told.text for told in segments])
        progress(VIDEO, 1, 1)
        return self._told(window, text), int(fresh)

    def _describe(self, window: Window, own: range, texts: list[str]) -> tuple[str, bool]:
        """The captioner's text of one window, from the journal where it was told from the same before."""
        if (window.level, window.index) in self._edits:
            return "", False  # the user's own text stands, whatever would be told
        texts = [text for text in texts if text]
        rows = self.journal.rows(own.start, own.stop)
        inputs = sha256_of(window.level, json.dumps(texts), rows)
        found = self.journal.find_text(window.level, window.index, inputs)
        if found is not None:
            return found, False
        text = one_line(self.model.describe(window.level, [rows], [texts])[0])
        self.journal.add_text(window.level, window.index, inputs, text)
        return text, True

    def _told(self, window: Window, text: str) -> Told:
        edit = self._edits.get((window.level, window.index))
        return Told(window, text, CAPTIONER) if edit is None else Told(window, edit, USER)

    # === Edits and what the run belongs to ===
    def _take_edits(self) -> None:
        """Puts what the user changed into the journal."""
        known = self.journal.edits()
        if self.options.forget_edits:
            self.journal.add_edits(dict.fromkeys(known))
            return
        counts = {CLIP: len(self._clips), SEGMENT: len(self._segments), VIDEO: 1}
        sources: dict[str, Edits] = {}
        for path in (self.out / RECAP_JSON, self.out / RECAP_MD, self.options.edits):
            if path is not None and (path.exists() or path == self.options.edits):
                sources[str(path)] = read_edits(path, counts, lost=not self.journal.edits_log.rows)
        edits = {key: text for key, text in merged(sources).items() if known.get(key) != text}
        if untold := [key for key in edits if key[0] == VIDEO and VIDEO not in self.model.levels]:
            raise ConfigError("this captioner tells no summary", where=f"edit of {untold[0][0]}", remedy="leave it out")
        self.journal.add_edits(edits)

    def _clear(self, folder: Path) -> None:
        """Removes what an earlier run left.

        Raises:
            ConfigError: it holds edits, and nobody said that they may go.
        """
        outputs = [path for path in (self.out / RECAP_JSON, self.out / RECAP_MD) if path.exists()]
        if not self.options.forget_edits:
            kept = folder / "edits.jsonl"
            found = [kept] if kept.exists() and kept.stat().st_size else []
            everywhere = dict.fromkeys((CLIP, SEGMENT, VIDEO), 2**62)
            if found := found or [path for path in outputs if read_edits(path, everywhere, lost=True)]:
                what = "the folder holds edits by hand, which --fresh would lose"
                raise ConfigError(what, where=found[0], remedy="choose another --out, or add --forget-edits")
        for path in outputs:
            path.unlink()
        # The header last: what a kill leaves behind then still belongs to the run that it is of.
        for path in sorted(folder.iterdir(), key=lambda path: path.name == HEADER) if folder.is_dir() else []:
            if path.is_file() and path.name != LOCK:  # the lock is held by our caller
                path.unlink()

    def _header(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "video": self._identity,
            "captioner": self.model.fingerprint,
            "settings": {
                "levels": list(self.model.levels),
                "hierarchy": to_dict(self._hierarchy),
                "frame_plan": to_dict(self.model.frame_plan),
                "group": self._group,
                "row_width": self.model.row_width,
                "thumbnails": self.options.thumbnails,
            },
        }

    def _thumbnail(self, clip: frames.ClipFrames) -> bytes:
        return jpeg(clip.middle) if self.options.thumbnails else b""

    def _notes(self) -> Iterator[str]:
        if SEGMENT not in self.model.levels:
            yield "This captioner tells clips only: a chapter is named by the most frequent caption of its clips."
        if self.journal.damaged:
            yield "The video is damaged: what could not be decoded is shown by the next picture that could."
        if self.journal.replaced:
            yield f"{self.journal.replaced} frames that were to be looked at could not be decoded."


def _identity(video: Path) -> dict[str, Any]:
    """Size and sha256 of the file.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        if not video.is_file():
            raise VideoError("no such file", where=video, remedy="check the path")
        with open(video, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return {"bytes": os.fstat(stream.fileno()).st_size, "sha256": digest}
    except OSError as error:
        raise VideoError(f"the file cannot be read ({error.strerror})", where=video) from None


def _group_of(model: RecapModel) -> int:
    """How many clips are seen at once: as many as their frames allow."""
    frames_a_clip = sum(model.frame_plan.frames_of(name, 1).size for name in model.plans)
    size = max(1, frames_a_clip * model.max_side**2 * 3)
    return int(np.clip(_GROUP_BYTES // size, 1, _GROUP))


def _batched(items: Iterable[frames.ClipFrames], size: int) -> Iterator[list[frames.ClipFrames]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group
