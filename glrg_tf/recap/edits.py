"""What users change in the texts: in `recap.json` or `recap.md` themselves, or in a file of edits.

A file of edits is an edited copy of `recap.json` or `recap.md`, or a JSON list of `{"level", "index", "text"}` where
`level` is "clip" (the default), "segment" or "video". `"text": null` takes an edit back; an empty text takes the text
away. Edits are kept in the journal and are never overwritten by a captioner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import documents
from glrg_tf.recap.hierarchy import CLIP, LEVELS, VIDEO
from glrg_tf.recap.markdown import edited_lines
from glrg_tf.recap.timeline import FORMAT, LEVEL_KEYS, USER, check_of, one_line

Edits = dict[tuple[str, int], str | None]
MAX_BYTES = 2**28
MAX_TEXT = 20_000  # characters of one text
_REMEDY = "mend the file; docs/long-video.md shows its form"


def read_edits(path: Path, counts: Mapping[str, int], *, lost: bool = False) -> Edits:
    """The edits of one file.

    Args:
        path: `.json` or `.md`.
        counts: by level, how many windows there are.
        lost: whether the journal of edits is gone: then texts that `recap.json` says are the user's are edits, too.

    Raises:
        DataError: no such file, or of no known form.
        ConfigError: a window that does not exist.
    """
    if path.suffix.lower() in (".md", ".markdown"):
        found = _of_lines(path)
    else:
        found = _of_json(documents.read_json(path, max_bytes=MAX_BYTES), path, lost)
    edits: Edits = {}
    for level, index, text, where in found:
        if not 0 <= index < counts[level]:
            what = f"there is no {level} {index}: the video has {counts[level]} (counted from 0)"
            raise ConfigError(what, where=where, remedy="correct the index")
        if text is not None and len(text) > MAX_TEXT:
            raise DataError(f"a text of {len(text)} characters", where=where, remedy=f"at most {MAX_TEXT}")
        edits[level, index] = text
    return edits


def merged(sources: Mapping[str, Edits]) -> Edits:
    """Edits of several files as one.

    Raises:
        ConfigError: two files change the same text in different ways.
    """
    edits: Edits = {}
    origin: dict[tuple[str, int], str] = {}
    for name, found in sources.items():
        for key, text in found.items():
            if edits.get(key, text) != text:
                what = f"{key[0]} {key[1]} is edited in {origin[key]} and differently in {name}"
                raise ConfigError(what, remedy="make them equal, or undo one of the two")
            edits[key], origin[key] = text, name
    return edits


def _of_lines(path: Path) -> Iterator[tuple[str, int, str | None, str]]:
    lines = documents.read_text(path, max_bytes=MAX_BYTES)
    for level, index, text, check in edited_lines(lines):
        if check_of(text) != check:
            yield level, index, text, f"{path}: {level} {index}"


def _of_json(value: Any, path: Path, lost: bool) -> Iterator[tuple[str, int, str | None, str]]:
    if isinstance(value, dict) and value.get("format") == FORMAT:
        for level, key in LEVEL_KEYS.items():
            entries = value.get(key) or []
            entries = [entries] if level == VIDEO and isinstance(entries, dict) else entries
            if not isinstance(entries, list):
                raise DataError(f"'{key}' is {type(entries).__name__}", where=path, remedy=_REMEDY)
            for number, row in enumerate(entries):
                where = f"{path}: {key} {number}"
                text = _text(row, where)
                if text is None or check_of(text) != row.get("check") or (lost and row.get("source") == USER):
                    yield level, _index(row, number), text, where
        return
    if not isinstance(value, list):
        raise DataError("neither a list of edits nor a recap.json", where=path, remedy=_REMEDY)
    for number, row in enumerate(value):
        where = f"{path}: edit {number}"
        text = _text(row, where)
        level = row.get("level", CLIP)
        unknown = sorted(set(row) - {"level", "index", "text"})
        if unknown or level not in LEVELS or not isinstance(row.get("index", 0 if level == VIDEO else None), int):
            raise DataError('an edit is {"level", "index", "text"}', where=where, remedy=_REMEDY)
        yield level, _index(row, 0), text, where


def _index(row: Mapping[str, Any], default: int) -> int:
    index = row.get("index", default)
    return index if isinstance(index, int) and not isinstance(index, bool) else -1


def _text(row: Any, where: str) -> str | None:
    text = row.get("text", 0) if isinstance(row, dict) else 0
    if not isinstance(text, str | None):
        raise DataError("'text' is missing or no text", where=where, remedy=_REMEDY)
    if text is None:
        return None
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # JSON can write what no utf-8 file can hold
        raise DataError("'text' has half a surrogate pair", where=where, remedy=_REMEDY)
    return one_line(text)
