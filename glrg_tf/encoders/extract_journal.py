"""What extraction has finished so far, on disk beside the output, so that kill -9 costs the videos in flight only.

    features.h5.partial/
      header.json          encoder, frame plan and streams that the rows belong to
      <stream>.f32         rows of float32, appended
      rows.jsonl           one line a finished or refused video: id, size and time of its file, its rows or its error
      lock                 held while somebody writes here

Rows are written and synced before the line that names them, so a line never names what is not there; what follows the
last whole line is cut off. A later line of the same video replaces an earlier one. `features.h5` is written from this
in one piece at the end, from the same numbers whether the work was interrupted or not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from glrg_tf.data.feature_store import write_features
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic, documents

_ROW_BYTES = 4  # float32


@dataclasses.dataclass(frozen=True)
class Finished:
    """One line of the journal.

    Attributes:
        id: of the video.
        stamp: size in bytes and time of change (ns) of the file when it was read; a changed file is read again.
        first: first row in each stream's file.
        rows: rows of the video; 0 for a refused one.
        frames: frames expected, decoded and used.
        error: what, where and remedy of a refusal; None for success.
        warnings: what the user should know of the file.
    """

    id: str
    stamp: tuple[int, int]
    first: int = 0
    rows: int = 0
    frames: tuple[int, int, int] = (0, 0, 0)
    error: tuple[str, str | None, str | None] | None = None
    warnings: tuple[str, ...] = ()


class Journal:
    """The finished part of an extraction, opened for reading and appending.

    Args:
        output: the `features.h5` it will become.
        header: encoder, frame plan and whether positions are kept; plain JSON.
        widths: D by stream.

    Raises:
        ConfigError: the partial work is another encoder's, or somebody else is writing it.
    """

    def __init__(self, output: str | os.PathLike[str], header: Mapping[str, Any], widths: Mapping[str, int]) -> None:
        self.output = Path(output)
        self.folder = partial_folder(output)
        self.widths, self.header = dict(widths), dict(header)
        with contextlib.ExitStack() as opened:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = opened.enter_context(open(self.folder / "lock", "w"))
            self._take_lock()
            self._check_header({**header, "streams": self.widths})
            self._finished = self._read_rows()
            self._total = max((entry.first + entry.rows for entry in self._finished.values()), default=0)
            self._values: dict[str, IO[bytes]] = {}
            for name, width in self.widths.items():
                stream = opened.enter_context(open(self.folder / f"{name}.f32", "ab"))
                stream.truncate(self._total * width * _ROW_BYTES)
                self._values[name] = stream
            self._rows = opened.enter_context(open(self.folder / "rows.jsonl", "ab"))
            self._open = opened.pop_all()

    def __enter__(self) -> Self:
        """Returns itself; the files are closed at the end of the block, and kept."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._open.close()

    def find(self, video_id: str, stamp: tuple[int, int] | None = None) -> Finished | None:
        """The line of a video (with a stamp: only if its file has not changed), None if there is none."""
        entry = self._finished.get(video_id)
        return entry if entry is not None and (stamp is None or entry.stamp == stamp) else None

    def add(self, entries: Sequence[tuple[Finished, Mapping[str, np.ndarray]]]) -> None:
        """Appends videos with their values by stream, float32 (rows, D); returns when they are on disk."""
        lines = []
        for entry, values in entries:
            entry = dataclasses.replace(entry, first=self._total)
            if entry.error is None:
                for name, stream in self._values.items():
                    stream.write(np.ascontiguousarray(values[name], "<f4").tobytes())
                self._total += entry.rows
            lines.append(entry)
        for stream in self._values.values():
            _sync(stream)
        text = "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in lines)
        self._rows.write(text.encode("utf-8"))
        _sync(self._rows)
        self._finished.update((entry.id, entry) for entry in lines)

    def write(
        self,
        ids: Sequence[str],
        *,
        per_position: bool,
        attributes: Mapping[str, Any],
        stream_attributes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Writes `features.h5` with the finished videos of `ids`, in that order, whole or not at all."""
        entries = [self._finished[video_id] for video_id in ids]
        values: dict[str, np.ndarray | list[np.ndarray]] = {}
        for name, width in self.widths.items():
            rows = np.memmap(self.folder / f"{name}.f32", "<f4", "r", shape=(self._total, width))
            if per_position:
                values[name] = [rows[entry.first : entry.first + entry.rows] for entry in entries]
            else:
                order = np.array([entry.first for entry in entries])
                whole = len(order) == len(rows) and bool((order == np.arange(len(rows))).all())
                values[name] = rows if whole else rows[order]  # as mapped it is copied in blocks
        write_features(self.output, ids, values, dict(attributes), stream_attributes)

    def remove(self) -> None:
        """Deletes the partial work; for when the output is written."""
        self._open.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                "another extraction is writing this file",
                where=self.output,
                remedy="wait for it or choose another --out",
            ) from None

    def _check_header(self, header: dict[str, Any]) -> None:
        path = self.folder / "header.json"
        if not path.exists():
            atomic.write_json(path, header)
            return
        found = documents.read_json(path)
        found = found if isinstance(found, dict) else {}
        differing = sorted(key for key in {*header, *found} if header.get(key) != found.get(key))
        if differing:
            raise ConfigError(
                f"the work begun here differs in {', '.join(differing)}",
                where=self.folder,
                remedy="go on with the encoder it was begun with, or remove this folder to start anew",
            )

    def _read_rows(self) -> dict[str, Finished]:
        path = self.folder / "rows.jsonl"
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # a line that was being written
            os.truncate(path, len(whole))
        finished = {}
        for number, line in enumerate(whole.decode("utf-8").splitlines(), start=1):
            entry = _entry(documents.parse_json(line, f"{path}: line {number}"), f"{path}: line {number}")
            finished[entry.id] = entry
        for name, width in self.widths.items():
            stored = _size(self.folder / f"{name}.f32")
            finished = {k: e for k, e in finished.items() if (e.first + e.rows) * width * _ROW_BYTES <= stored}
        return finished


def partial_folder(output: str | os.PathLike[str]) -> Path:
    """The folder of the unfinished work of an output file."""
    return Path(output).with_name(Path(output).name + ".partial")


def file_stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; (-1, -1) where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _entry(value: Any, where: str) -> Finished:
    try:
        error = value["error"]
        return Finished(
            str(value["id"]),
            (int(value["stamp"][0]), int(value["stamp"][1])),
            int(value["first"]),
            int(value["rows"]),
            (int(value["frames"][0]), int(value["frames"][1]), int(value["frames"][2])),
            None if error is None else (str(error[0]), error[1], error[2]),
            tuple(str(text) for text in value["warnings"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as cause:
        raise DataError(
            "the journal of the unfinished work is damaged", where=where, remedy="remove the .partial folder"
        ) from cause


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
