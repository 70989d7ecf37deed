"""What the importers share: their options, their result, and the checks of foreign values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary

FEATURE_SUFFIXES = (".h5", ".hdf5")
_MENTIONED = 3  # examples that a message names


@dataclass(frozen=True)
class ImportOptions:
    """What the user may say about an import.

    Args:
        features: feature files to take instead of those found beside the annotations.
        videos: folder searched for the video files.
        splits: file that says which video belongs to which split (splits.py).
        tokenizer: name of the tokenizer that the captions are meant for.
        name: of the data set; where the sources hold several, which one.
        drop_missing: whether videos without features are left out instead of refusing the import.
        drop_empty: whether empty captions are left out instead of refusing the import.
    """

    features: tuple[Path, ...] = ()
    videos: Path | None = None
    splits: Path | None = None
    tokenizer: str = "release"
    name: str | None = None
    drop_missing: bool = False
    drop_empty: bool = False


@dataclass
class Annotations:
    """What an importer read.

    Attributes:
        name: of the data set.
        records: the videos in the source's order; a record whose split the source does not tell has "".
        sources: files read, for the dataset's description.
        licence: a note on who may use the data.
        notes: what was dropped or changed, and why.
        feature_files: found beside the annotations.
        aliases: by id, other names under which a video file may lie.
        vocabulary: the word list that came with the captions.
    """

    name: str
    records: list[VideoRecord]
    sources: list[str]
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    feature_files: tuple[Path, ...] = ()
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None


class CaptionCollector:
    """Captions by video while a source is read, each refused where it stands if it is no text or, mostly, empty.

    Args:
        drop_empty: whether empty captions are counted and left out instead.
    """

    def __init__(self, drop_empty: bool) -> None:
        self.captions: dict[str, list[str]] = {}
        self._drop_empty = drop_empty
        self._dropped = 0

    def add(self, video_id: str, caption: Any, where: object) -> None:
        """Adds one caption as it stands.

        Raises:
            AnnotationError: `caption` is empty or no text.
        """
        if not isinstance(caption, str):
            what = f"a caption is {type(caption).__name__}, not text"
            raise AnnotationError(what, where=where, remedy="mend the file")
        if caption.strip():
            self.captions.setdefault(video_id, []).append(caption)
        elif self._drop_empty:
            self._dropped += 1
        else:
            remedy = "fill it in, or pass --drop-empty to leave empty captions out"
            raise AnnotationError(f"a caption of '{video_id}' is empty", where=where, remedy=remedy)

    def split_off(self, listed: Sequence[str], notes: list[str]) -> set[str]:
        """Returns the ids in `listed` that have no captions, and notes these and the empty captions left out."""
        if self._dropped:
            notes.append(f"{self._dropped} empty captions: dropped")
        silent = [video_id for video_id in listed if video_id not in self.captions]
        if silent:
            notes.append(f"{len(silent)} videos without captions: dropped ({mention(silent)})")
        return set(silent)


def require(row: Any, key: str, kinds: type | tuple[type, ...], where: object) -> Any:
    """Returns `row[key]`.

    Raises:
        AnnotationError: `row` is no JSON object, the key is missing, its value is not of `kinds`.
    """
    if not isinstance(row, dict):
        raise AnnotationError(f"expected a JSON object, found {type(row).__name__}", where=where, remedy="wrong file?")
    if key not in row:
        found = mention(list(row)) or "nothing"
        raise AnnotationError(
            f"the key '{key}' is missing (found {found})", where=where, remedy="wrong file or format?"
        )
    value = row[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise AnnotationError(f"'{key}' is {type(value).__name__}", where=where, remedy="wrong file or format?")
    return value


def find_files(sources: Iterable[Path], suffixes: Sequence[str]) -> tuple[list[Path], tuple[Path, ...]]:
    """Returns the annotation files among `sources`, and the feature files of the folders among them.

    Folders are searched recursively for `suffixes`; hidden ones and datasets made here earlier are left out.

    Raises:
        AnnotationError: a source does not exist, or nothing was found.
    """
    annotations: list[Path] = []
    feature_files: list[Path] = []
    for source in sources:
        if source.is_dir():
            files = _search(source)
            annotations += [file for file in files if file.suffix.lower() in suffixes]
            feature_files += [file for file in files if file.suffix.lower() in FEATURE_SUFFIXES]
        elif source.is_file():
            annotations.append(source)
        else:
            raise AnnotationError("no such file or folder", where=source, remedy="check the path")
    if not annotations:
        wanted = " or ".join(suffixes)
        places = ", ".join(map(str, sources))
        raise AnnotationError(f"no {wanted} file was found", where=places, remedy="name the annotation file itself")
    return list(dict.fromkeys(annotations)), tuple(dict.fromkeys(feature_files))


def check_text(records: Sequence[VideoRecord], tokenizer_name: str, where: object, notes: list[str]) -> None:
    """Notes captions in which the tokenizer finds no word.

    Raises:
        AnnotationError: that is so for more than half of them.
    """
    tokenizer = get_tokenizer(tokenizer_name)
    total = sum(len(record.captions) for record in records)
    wordless = [record.id for record in records for caption in record.captions if not tokenizer(caption)]
    if not wordless:
        return
    what = f"{len(wordless)} of {total} captions have no word for the tokenizer '{tokenizer_name}'"
    example = f" (such as one of '{wordless[0]}')"
    if 2 * len(wordless) > total:
        raise AnnotationError(
            what + example, where=where, remedy="pass --tokenizer unicode for languages other than English"
        )
    notes.append(what + example + ": kept")


def mention(names: Sequence[object]) -> str:
    """Returns the first few of `names` for a message."""
    more = f" and {len(names) - _MENTIONED} more" if len(names) > _MENTIONED else ""
    return ", ".join(f"'{name}'" for name in names[:_MENTIONED]) + more


def _search(root: Path) -> list[Path]:
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    ours = {file.parent for file in visible if file.name == "dataset.json"}
    ours = {folder for folder in ours if (folder / "captions.jsonl").is_file()}
    return [file for file in visible if file.parent not in ours]
