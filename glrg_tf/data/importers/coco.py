"""COCO captions: `{"images": [{"id"}], "annotations": [{"image_id", "caption"}]}`, one file or several.

An image's split is its own `split`, else the one that the file's name tells (captions_val2014.json), else decided by
--splits or the hash of the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, CaptionCollector, ImportOptions, find_files, require
from glrg_tf.data.importers.videos import is_video_name
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the caption files among `sources`; in folders, JSON files of other content are passed over.

    Raises:
        AnnotationError: missing or malformed files, captions of unknown images, an image listed twice.
    """
    files, feature_files = find_files(sources, (".json",))
    collector = CaptionCollector(options.drop_empty)
    images: dict[str, tuple[str, Path]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    read_from, notes = [], []
    for file in files:
        value = documents.read_json(file, error=AnnotationError)
        if file not in sources and not (isinstance(value, dict) and {"images", "annotations"} <= set(value)):
            notes.append(f"no COCO captions, passed over: {file}")
            continue
        _read_file(value, file, images, aliases, collector)
        read_from.append(file)
    if not read_from:
        raise AnnotationError(
            f"no COCO captions in {len(files)} JSON files",
            where=", ".join(map(str, sources)),
            remedy="they have the keys 'images' and 'annotations'",
        )
    silent = collector.split_off(list(images), notes)
    records = [
        VideoRecord(image_id, split, tuple(collector.captions[image_id]))
        for image_id, (split, _) in images.items()
        if image_id not in silent
    ]
    return Annotations(
        options.name or read_from[0].stem, records, list(map(str, read_from)), "", notes, feature_files, aliases
    )


def _read_file(
    value: Any,
    file: Path,
    images: dict[str, tuple[str, Path]],
    aliases: dict[str, tuple[str, ...]],
    collector: CaptionCollector,
) -> None:
    file_split = splits.from_path(file)
    own = set()
    for index, row in enumerate(require(value, "images", list, file)):
        where = f"{file}: images[{index}]"
        image_id = str(require(row, "id", (int, str), where))
        if image_id in images:
            other = images[image_id][1]
            what = f"image '{image_id}' is listed twice" + ("" if other == file else f", in {other} too")
            raise AnnotationError(what, where=where, remedy="keep one")
        split = require(row, "split", str, where) if "split" in row else file_split
        images[image_id] = (splits.normal_name(split), file)
        own.add(image_id)
        name = row.get("file_name")
        if isinstance(name, str) and is_video_name(name):
            aliases[image_id] = (Path(name).stem,)
    for index, row in enumerate(require(value, "annotations", list, file)):
        where = f"{file}: annotations[{index}]"
        image_id = str(require(row, "image_id", (int, str), where))
        if image_id not in own:
            raise AnnotationError(
                f"a caption of image '{image_id}', which is not listed", where=where, remedy="wrong file?"
            )
        collector.add(image_id, require(row, "caption", object, where), where)
