"""What a run over one video has finished, on disk, so that kill -9 at any moment costs the clips in flight only.

    OUT/journal/
      header.json    video, captioner and windows that all this belongs to
      rows.f32       one row of float32 a clip, appended
      thumbs.bin     one small JPEG a clip, appended
      clips.jsonl    one line a clip: its text, hashes of its row and picture, where that lies
      texts.jsonl    one line a described window: its text, and the sha256 of all that it was told from
      edits.jsonl    one line an edit by the user; a later one replaces an earlier
      .lock          held while somebody writes here

Rows and pictures are synced before the lines that name them. On opening, what follows the last whole group of clips is
cut off everywhere. Groups, not clips, because the networks see a group at once: a group seen anew is the same group.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic, documents
from glrg_tf.recap.log import Log, sync

FOLDER, HEADER = "journal", "header.json"
_FLOAT = 4  # bytes


@dataclasses.dataclass(frozen=True)
class FinishedClip:
    """One clip that has been seen and told."""

    text: str
    row: NDArray[np.float32]  # (D,)
    thumbnail: bytes  # a JPEG; may be empty
    replaced: int = 0  # frames that could not be decoded
    damaged: bool = False  # whether the decoder had met damage by then


class Journal:
    """The finished part of a run, opened for reading and appending; the caller holds the folder's lock.

    Args:
        folder: `OUT/journal`; its header has been written.
        row_width: D.
        group: clips that are seen at once.
        total: clips of the video.

    Raises:
        DataError: the edits are damaged.
    """

    def __init__(self, folder: Path, row_width: int, group: int, total: int) -> None:
        self.folder, self.row_width = folder, row_width
        self.edits_log = Log(folder / "edits.jsonl")
        self.edits_log.refuse_losses()
        self._clips, self._texts = Log(folder / "clips.jsonl"), Log(folder / "texts.jsonl")
        self._texts.keep(len(self._texts.rows))
        whole = self._whole_clips(total)
        self._clips.keep(whole if whole == total else whole - whole % group)
        self._rows = _open(folder / "rows.f32", self.finished * row_width * _FLOAT)
        self._pictures_end = self._clips.rows[-1]["picture"][1] if self.finished else 0
        self._pictures = _open(folder / "thumbs.bin", self._pictures_end)

    def close(self) -> None:
        """Closes the files."""
        for file in (self.edits_log, self._clips, self._texts, self._rows, self._pictures):
            file.close()

    # === Clips ===
    @property
    def finished(self) -> int:
        """How many clips are finished: the first ones of the video."""
        return len(self._clips.rows)

    @property
    def damaged(self) -> bool:
        """Whether the decoder met damage in what is finished."""
        return bool(self._clips.rows) and bool(self._clips.rows[-1]["damaged"])

    @property
    def replaced(self) -> int:
        """Frames of finished clips that could not be decoded."""
        return sum(int(row["replaced"]) for row in self._clips.rows)

    def add_clips(self, clips: Sequence[FinishedClip]) -> None:
        """Appends the next clips; returns when they are on disk."""
        lines = []
        for number, clip in enumerate(clips, start=self.finished):
            row = np.ascontiguousarray(clip.row, "<f4").tobytes()
            self._rows.write(row)
            self._pictures.write(clip.thumbnail)
            begin, self._pictures_end = self._pictures_end, self._pictures_end + len(clip.thumbnail)
            picture = [begin, self._pictures_end, _digest(clip.thumbnail)]
            line = {"clip": number, "text": clip.text, "row": _digest(row), "picture": picture}
            lines.append(line | {"replaced": clip.replaced, "damaged": clip.damaged})
        sync(self._rows)
        sync(self._pictures)
        self._clips.add(lines)

    def clip_text(self, index: int) -> str:
        """What the captioner told of a clip."""
        return str(self._clips.rows[index]["text"])

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Rows of the clips `first` to `last` - 1: float32 (last - first, D)."""
        with open(self.folder / "rows.f32", "rb") as stream:
            stream.seek(first * self.row_width * _FLOAT)
            data = stream.read((last - first) * self.row_width * _FLOAT)
        return np.frombuffer(data, "<f4").reshape(last - first, self.row_width)

    def thumbnail(self, index: int) -> bytes:
        """The small JPEG of a clip; empty without one."""
        begin, end, _ = self._clips.rows[index]["picture"]
        with open(self.folder / "thumbs.bin", "rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)

    # === Texts of higher levels ===
    def find_text(self, level: str, index: int, inputs: str) -> str | None:
        """What was told of a window from the very same inputs before."""
        for row in reversed(self._texts.rows):
            if (row.get("level"), row.get("index"), row.get("inputs")) == (level, index, inputs):
                return str(row["text"])
        return None

    def add_text(self, level: str, index: int, inputs: str, text: str) -> None:
        """Keeps what was told of a window."""
        self._texts.add([{"level": level, "index": index, "inputs": inputs, "text": text}])

    # === Edits ===
    def edits(self) -> dict[tuple[str, int], str]:
        """The user's texts by level and index."""
        found: dict[tuple[str, int], str] = {}
        for row in self.edits_log.rows:
            key = (str(row["level"]), int(row["index"]))
            if row["text"] is None:
                found.pop(key, None)
            else:
                found[key] = str(row["text"])
        return found

    def add_edits(self, edits: Mapping[tuple[str, int], str | None]) -> None:
        """Keeps edits; None takes one back."""
        rows = [{"level": level, "index": index, "text": text} for (level, index), text in edits.items()]
        if rows:
            self.edits_log.add(rows)

    def _whole_clips(self, total: int) -> int:
        """How many lines have their row and picture on disk, unaltered."""
        count, end = 0, 0
        with open(self.folder / "rows.f32", "ab+") as rows, open(self.folder / "thumbs.bin", "ab+") as pictures:
            rows.seek(0)
            pictures.seek(0)
            for line in self._clips.rows[:total]:
                picture = line.get("picture")
                if not isinstance(picture, list) or len(picture) != 3 or picture[0] != end:
                    break
                data, seen = rows.read(self.row_width * _FLOAT), pictures.read(max(picture[1] - end, 0))
                if [line.get("clip"), line.get("row"), picture[2]] != [count, _digest(data), _digest(seen)]:
                    break
                count, end = count + 1, picture[1]
        return count


def check_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Writes the header of a new journal, or compares it with the one that is there.

    Raises:
        ConfigError: the work begun in the folder is of another video or captioner, or of other windows.
    """
    path = folder / HEADER
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write_json(path, header)
        return
    found = documents.read_json(path)
    found = found if isinstance(found, dict) else {}
    differing = [key for key in header if found.get(key) != header[key]]
    if differing or set(found) != set(header):
        what = "the run begun here is of another " + " and another ".join(differing or ["version of this program"])
        remedy = "go on with what it was begun with, choose another --out, or begin anew with --fresh"
        raise ConfigError(what, where=folder.parent, remedy=remedy)


def sha256_of(*parts: bytes | str | NDArray[Any]) -> str:
    """Hex sha256 of several parts with their lengths."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part if isinstance(part, bytes) else part.tobytes()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _open(path: Path, size: int) -> IO[bytes]:
    stream = open(path, "ab")  # noqa: SIM115 - closed by the journal
    stream.truncate(size)
    return stream
