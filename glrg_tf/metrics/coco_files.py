"""COCO caption files: references with `images` and `annotations`, results as a list of `image_id` and `caption`.

Ids are compared as text, so that 1300 and "1300" are the same video.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from glrg_tf.errors import AnnotationError

MAX_BYTES = 2**30  # a caption file above this is not one
REFERENCES_FORM = 'expected {"images": [{"id"}], "annotations": [{"image_id", "caption"}]}'
RESULTS_FORM = 'expected [{"image_id": 1, "caption": "a man is singing"}, …]'


def read_references(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Reads COCO annotations.

    Returns:
        Captions by image id, in the file's order of images; an image may have none.

    Raises:
        AnnotationError: missing, damaged or inconsistent file.
    """
    content = _read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise AnnotationError("not a COCO caption file", where=path, remedy=REFERENCES_FORM)
    images = content.get("images", [])
    if not isinstance(images, list):
        raise AnnotationError("'images' is not a list", where=path, remedy=REFERENCES_FORM)
    references: dict[str, list[str]] = {}
    for number, image in enumerate(images):
        image_id = _id(image, "id", f"{path}: images[{number}]", REFERENCES_FORM)
        if image_id in references:
            raise AnnotationError(f"image {image_id} is listed twice", where=f"{path}: images[{number}]")
        references[image_id] = []
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{number}]"
        image_id = _id(annotation, "image_id", where, REFERENCES_FORM)
        if images and image_id not in references:
            raise AnnotationError(f"a caption belongs to image {image_id}, which 'images' does not list", where=where)
        references.setdefault(image_id, []).append(_caption(annotation, where, REFERENCES_FORM))
    if not references:
        raise AnnotationError("the file holds no captions", where=path)
    return references


def read_predictions(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads COCO results, or the document that `glrg evaluate --json` prints.

    Returns:
        Caption by image id.

    Raises:
        AnnotationError: missing or damaged file, an image predicted twice.
    """
    content = _read_json(path)
    if isinstance(content, dict):
        content = content.get("predictions")
    if not isinstance(content, list):
        raise AnnotationError("not a results file", where=path, remedy=RESULTS_FORM)
    if not content:
        raise AnnotationError("the file holds no predictions", where=path)
    predictions: dict[str, str] = {}
    for number, row in enumerate(content):
        where = f"{path}: [{number}]"
        key = "id" if isinstance(row, dict) and "id" in row and "image_id" not in row else "image_id"
        image_id = _id(row, key, where, RESULTS_FORM)
        if image_id in predictions:
            raise AnnotationError(f"image {image_id} is predicted twice", where=where, remedy="keep one caption each")
        predictions[image_id] = _caption(row, where, RESULTS_FORM)
    return predictions


def _read_json(path: str | os.PathLike[str]) -> Any:
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise AnnotationError(f"larger than {MAX_BYTES >> 20} MiB", where=path, remedy="is this a caption file?")
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"damaged JSON ({error})", where=path) from error


def _id(row: Any, key: str, where: str, form: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise AnnotationError(f"no '{key}'", where=where, remedy=form)
    return str(value)


def _caption(row: dict[str, Any], where: str, form: str) -> str:
    caption = row.get("caption")
    if not isinstance(caption, str):
        raise AnnotationError("'caption' is not text" if "caption" in row else "no 'caption'", where=where, remedy=form)
    return caption
