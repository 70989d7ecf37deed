"""What people wrote about videos, from any of the files that hold such sentences, found by the name of the video."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_FORMS = (
    'a list of {"file", "caption", "human_references"}, COCO\'s {"images", "annotations"}, '
    "or the captions.jsonl of a dataset"
)


def read_references(path: pathlib.Path) -> dict[str, list[str]]:
    """Returns the sentences by name: of the file, or the id of the video.

    Args:
        path: a JSON list of objects with `file` (or `video`, `id`) and `caption`, `captions` or `human_references`;
            COCO annotations, whose images may have a `file_name`; a `.jsonl` with `id` or `video` and `captions`.

    Raises:
        AnnotationError: missing, damaged, or none of these.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        rows = [(where, row) for where, row in documents.read_json_lines(path, error=AnnotationError)]
        return _merge(_from_row(row, f"{path}: line {number}") for number, row in rows)
    content = documents.read_json(path, error=AnnotationError)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _from_coco(content, path)
    if isinstance(content, list):
        return _merge(_from_row(row, f"{path}: [{number}]") for number, row in enumerate(content))
    raise AnnotationError("not a file of captions", where=path, remedy=f"expected {_FORMS}")


def references_of(item: VideoItem, references: Mapping[str, Sequence[str]]) -> list[str]:
    """The sentences of a video: by its id, the name of its file, or that name without the ending."""
    names = (item.id, item.path.name, item.path.stem, str(item.path))
    return next((list(references[name]) for name in names if references.get(name)), [])


def _from_row(row: Any, where: str) -> tuple[list[str], list[str]]:
    """Names and sentences of one row."""
    if not isinstance(row, dict):
        raise AnnotationError(f"expected an object, found {type(row).__name__}", where=where, remedy=f"write {_FORMS}")
    names = [str(row[key]) for key in ("id", "file", "video", "file_name") if isinstance(row.get(key), str | int)]
    names += [pathlib.PurePath(name).name for name in names if "/" in name]
    if not names:
        raise AnnotationError("no 'file', 'video' or 'id'", where=where, remedy=f"write {_FORMS}")
    sentences: list[str] = []
    for key in ("caption", "captions", "human_references"):
        value = row.get(key) or []
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise AnnotationError(f"'{key}' holds no text", where=where, remedy=f"write {_FORMS}")
        sentences += found
    return names, sentences


def _from_coco(content: dict[str, Any], path: pathlib.Path) -> dict[str, list[str]]:
    from glrg_tf.metrics.coco_files import read_references as read_coco

    by_id = read_coco(path)
    files = {
        str(image["id"]): pathlib.PurePath(image["file_name"]).name
        for image in content.get("images", [])
        if isinstance(image.get("file_name"), str)
    }
    return _merge((([name, files[name]] if name in files else [name]), texts) for name, texts in by_id.items())


def _merge(rows: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for names, sentences in rows:
        for name in dict.fromkeys(names):
            known = found.setdefault(name, [])
            known += [text for text in sentences if text.strip() and text not in known]
    return found
