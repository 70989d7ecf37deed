"""An append-only file of JSON lines, each chained to those before by a hash: what a kill left half written is cut off.

A line is `{"check": "<16 hex>", …}`; its check is the sha256 of the check before and of the line without it. So a line
counts only when it is whole and all before it are, and a file pieced together from two runs is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from glrg_tf.errors import DataError
from glrg_tf.io import atomic

_CHECK = "check"


class Log:
    """The lines of one file, read and appended to.

    Args:
        path: the file; made when the first line is added.

    Attributes:
        rows: the whole lines, without their checks.
        torn: bytes behind them that are no whole line.
        lost: line ends among those: more than a kill can leave behind.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        self._ends: list[tuple[int, str]] = [(0, "")]  # bytes and check after each line
        data = self.path.read_bytes() if self.path.exists() else b""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            row = _row(data[start:end])
            if row is None or row.pop(_CHECK, None) != (check := _check(self._ends[-1][1], row)):
                break
            start = end + 1
            self.rows.append(row)
            self._ends.append((start, check))
        self.torn = len(data) - start
        self.lost = data.count(b"\n", start)
        self._stream: IO[bytes] | None = None

    def refuse_losses(self) -> None:
        """Refuses a file that has lost more than the line that was being written.

        Raises:
            DataError: naming the first bad line.
        """
        if self.lost:
            raise DataError(
                "the journal is damaged",
                where=f"{self.path}: line {len(self.rows) + 1}",
                remedy="restore the file, or remove it to lose what it holds from that line on",
            )

    def keep(self, count: int) -> None:
        """Cuts the file after the first `count` lines."""
        self.close()
        del self.rows[count:], self._ends[count + 1 :]
        self.torn = self.lost = 0
        if self.path.exists():
            os.truncate(self.path, self._ends[-1][0])

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appends lines; returns when they are on disk."""
        if self.torn:
            self.keep(len(self.rows))
        if self._stream is None:
            new = not self.path.exists()
            self._stream = open(self.path, "ab")  # noqa: SIM115 - closed by `close`
            if new:
                atomic.sync(self.path.parent)
        lines = []
        for row in rows:
            size, before = self._ends[-1]
            check = _check(before, row)
            line = json.dumps({_CHECK: check, **row}, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            lines.append(line)
            self.rows.append(dict(row))
            self._ends.append((size + len(line), check))
        self._stream.write(b"".join(lines))
        sync(self._stream)

    def close(self) -> None:
        """Closes the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def sync(stream: IO[bytes]) -> None:
    """Returns when what was written is on disk."""
    stream.flush()
    os.fsync(stream.fileno())


def _row(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(line)
        return value if isinstance(value, dict) else None
    return None


def _check(before: str, row: Mapping[str, Any]) -> str:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{before} {text}".encode()).hexdigest()[:16]
