"""The pointing game on Flickr30k Entities, from the files a user has.

FOLDER/
  Annotations/<id>.xml   boxes: <object><name>chain</name>…<bndbox>xmin ymin xmax ymax</bndbox></object>
  Sentences/<id>.txt     five lines: `[/EN#<chain>/<type> A young child] is wearing [/EN#…/clothing blue goggles] .`
  images/<id>.jpg        (or flickr30k-images/)

An image is a video of one frame. XML with a document type is refused: entities in it could grow without bound.
"""

from __future__ import annotations

import dataclasses
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glrg_tf.errors import AnnotationError, ConfigError, DataError
from glrg_tf.explain.captioners import Captioner
from glrg_tf.explain.pointing_game import Box, Phrase, Play, Score, play, score
from glrg_tf.explain.query import Query, parse_query
from glrg_tf.explain.video import Explainer, ExplainSettings
from glrg_tf.text.tokenizer import get_tokenizer

_PHRASE = re.compile(r"\[/EN#(\d+)((?:/\w+)+)\s+([^\]]*)\]")
_MAX_BYTES = 2**20  # of an annotation or a sentence file
_MAX_PIXELS = 2**26
_IMAGE_FOLDERS = ("images", "flickr30k-images", "flickr30k_images")
_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclasses.dataclass(frozen=True)
class Chain:
    """A phrase of a sentence: the thing it is about, what kind of thing, and its text."""

    id: str
    kinds: tuple[str, ...]
    first: int  # number of its first word in the sentence's tokens
    last: int  # one past its last


def read_sentence(line: str, split: Callable[[str], list[str]]) -> tuple[str, list[Chain]]:
    """Takes a sentence of a `Sentences` file apart.

    Args:
        line: with phrases in brackets.
        split: the captioner's tokenizer; positions are counted in its words.

    Returns:
        The plain sentence, and its phrases.
    """
    plain, chains, end = "", [], 0
    for match in _PHRASE.finditer(line):
        plain += line[end : match.start()]
        first = len(split(plain))
        plain += match.group(3)
        chains.append(Chain(match.group(1), tuple(match.group(2).strip("/").split("/")), first, len(split(plain))))
        end = match.end()
    return plain + line[end:], chains


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """The boxes of an annotation file by chain.

    Raises:
        AnnotationError: not such a file.
    """
    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError("XML with a document type", where=path, remedy="use the files as they were published")
    boxes: dict[str, list[Box]] = {}
    try:
        for item in ElementTree.fromstring(text).iter("object"):  # noqa: S314 - without a document type, see above
            box = item.find("bndbox")
            if box is None:
                continue
            left, top, right, bottom = (float(box.findtext(side) or "nan") for side in ("xmin", "ymin", "xmax", "ymax"))
            if not (left <= right and top <= bottom):
                raise ValueError("a box without size")
            for name in item.iter("name"):
                boxes.setdefault(str(name.text), []).append((left - 1, top - 1, right, bottom))  # counted from 1
    except (ElementTree.ParseError, ValueError) as error:
        raise AnnotationError(f"not an annotation of Flickr30k Entities ({error})", where=path) from None
    return boxes


def play_entities(
    captioner: Captioner,
    folder: str | os.PathLike[str],
    images: int = 0,
    how: ExplainSettings | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Score]:
    """Plays every phrase with boxes of every sentence; results over all and by type of entity.

    Args:
        captioner: with encoders.
        folder: the files.
        images: most images; 0 plays all.
        how: mode, others, fine and tolerance are read.
        progress: told about images as they are done.

    Raises:
        AnnotationError: not such a folder, or damaged files.
        ConfigError: a captioner without encoders or without a map.
    """
    base = Path(folder)
    pictures = next((base / name for name in _IMAGE_FOLDERS if (base / name).is_dir()), None)
    sentences = sorted((base / "Sentences").glob("*.txt"))
    if pictures is None or not sentences or not (base / "Annotations").is_dir():
        raise AnnotationError(
            "neither a world (truth.jsonl) nor Flickr30k Entities",
            where=base,
            remedy="the folder needs Annotations/, Sentences/ and images/",
        )
    explainer, plays = Explainer(captioner), []
    how = how or ExplainSettings()
    for path in sentences[:images] if images else sentences:
        image = next((p for e in _ENDINGS if (p := pictures / f"{path.stem}{e}").is_file()), None)
        if image is None:
            raise AnnotationError("no image of these sentences", where=path, remedy=f"copy it to {pictures}")
        boxes = read_boxes(base / "Annotations" / f"{path.stem}.xml")
        plays += _play_image(explainer, read_image(image), _text(path), boxes, how)
        if progress is not None:
            progress(1)
    return score(plays)


def _play_image(
    explainer: Explainer, image: np.ndarray, text: str, boxes: dict[str, list[Box]], how: ExplainSettings
) -> list[Play]:
    positions = explainer.encode_frames(lambda places: np.broadcast_to(image, (*places.shape, *image.shape)), 1)[:1]
    network, vocabulary = explainer.network, explainer.captioner.vocabulary
    split, plays = get_tokenizer(vocabulary.tokenizer), []
    for line in filter(None, map(str.strip, text.splitlines())):
        plain, chains = read_sentence(line, split)
        try:
            query = parse_query(plain, vocabulary)
        except ConfigError:  # no word of it is known: nothing to point with
            continue
        phrases = [phrase for chain in chains for phrase in _phrases(chain, query, boxes)]
        if phrases:
            (raw,) = explainer.score_frames(image[None], positions, query, how)
            plays += play(raw, phrases, image.shape[:2], network.view_of(how.fine))
    return plays


def _phrases(chain: Chain, query: Query, boxes: dict[str, list[Box]]) -> list[Phrase]:
    words = tuple(i for i in range(chain.first, min(chain.last, len(query.words))) if query.known[i])
    if not words or not boxes.get(chain.id):
        return []
    return [Phrase(words, tuple(boxes[chain.id]), chain.kinds[0])]


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 (H, W, 3).

    Raises:
        DataError: not a picture, or too large.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise DataError(f"{picture.width}x{picture.height} pixels are too many", where=path)
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"not a picture ({error})", where=path) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise AnnotationError("a file of this size is no annotation", where=path)
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise AnnotationError(f"cannot be read ({error.strerror})", where=path) from None
