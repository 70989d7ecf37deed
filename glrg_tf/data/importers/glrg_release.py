"""The GL-RG release: its metadata and feature folders (ylqi/GL-RG), one data set at a time.

Read by name, `{msrvtt|msvd}_{train|val|test}_…`: captions from `cocofmt.json` (else `datainfo.json`, else
`proprocessedtokens.json`); features `gl_feats.h5`, row = id − offset; `evalscores.pkl` becomes `scores` of the captions
it covers; `sequencelabel.h5`, `vocab.json` and `ciderdf.pkl` are checked against the captions; the train vocabulary
stays with the data set. Pickles pass through the allow-list reader only.

Differs from the release: ids are the data sets' own names (video6513, vid1201), so that features and predictions fit
those of the msrvtt and msvd importers; blank captions, which the release keeps, are dropped with their scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import release_checks
from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention, require
from glrg_tf.data.importers.features import RELEASE_OFFSETS, release_id
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents
from glrg_tf.text.vocabulary import Vocabulary

LICENCE = "GL-RG release: MIT (its authors); the captions follow the terms of MSR-VTT or MSVD"
_NAME = re.compile(
    r"(?P<dataset>msrvtt|msvd)_(?P<split>train|val|test)_"
    r"(?P<kind>cocofmt|datainfo|proprocessedtokens|sequencelabel|vocab|evalscores|ciderdf)\.(json|h5|pkl)"
)
_FEATURES = re.compile(r"(?P<dataset>msrvtt|msvd)_(train|val|test)_gl_feats\.h5")
_CAPTION_KINDS = ("cocofmt", "datainfo", "proprocessedtokens")


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the release files among `sources`.

    Raises:
        AnnotationError: no captions, two data sets at once, ids outside their split, files that contradict each other.
        DataError: damaged files, a pickle that is more than plain data.
    """
    found, feature_files = find_files(sources, (".json", ".h5", ".pkl"))
    dataset, files = _choose(found, sources, options.name)
    records: list[VideoRecord] = []
    notes: list[str] = []
    vocabulary: Vocabulary | None = None
    read_from: list[Path] = []
    for split in RELEASE_OFFSETS[dataset]:
        of_split = files.get(split, {})
        captioned = next((of_split[kind] for kind in _CAPTION_KINDS if kind in of_split), None)
        if captioned is None:
            if of_split:
                notes.append(f"the {split} split has no file of captions ({', '.join(_CAPTION_KINDS)}): left out")
            continue
        captions = _read_captions(captioned, dataset, split)
        captions = release_checks.in_label_order(of_split.get("sequencelabel"), captions)
        split_vocabulary = _vocabulary(of_split)
        if split == "train":
            vocabulary = split_vocabulary
        scores = release_checks.read_scores(of_split.get("evalscores"), captions, notes)
        release_checks.check_labels(of_split.get("sequencelabel"), captions, split_vocabulary, notes)
        release_checks.check_document_frequency(of_split.get("ciderdf"), captions, split_vocabulary)
        records += _records(dataset, split, captions, scores, notes)
        read_from += of_split.values()
    if not records:
        raise AnnotationError(
            "no split of the release has captions", where=mention(sources), remedy="pass its metadata"
        )
    feature_files = tuple(
        file
        for file in feature_files or tuple(found)
        if (name := _FEATURES.fullmatch(file.name)) and name["dataset"] == dataset
    )
    return Annotations(dataset, records, list(map(str, read_from)), LICENCE, notes, feature_files, {}, vocabulary)


def _choose(
    found: Sequence[Path], sources: Sequence[Path], wanted: str | None
) -> tuple[str, Mapping[str, Mapping[str, Path]]]:
    by_dataset: dict[str, dict[str, dict[str, Path]]] = {}
    for file in found:
        name = _NAME.fullmatch(file.name)
        if name:
            split = by_dataset.setdefault(name["dataset"], {}).setdefault(name["split"], {})
            if name["kind"] in split:
                what = f"{file.name} is there twice, in {split[name['kind']].parent} too"
                raise AnnotationError(what, where=file, remedy="name the files or one folder")
            split[name["kind"]] = file
    if not by_dataset:
        remedy = "they are called like msrvtt_train_cocofmt.json"
        raise AnnotationError("no files of the GL-RG release were found", where=mention(sources), remedy=remedy)
    if len(by_dataset) > 1 and wanted not in by_dataset:
        remedy = "choose one with --name msrvtt or --name msvd"
        raise AnnotationError("the files belong to two data sets", where=mention(sources), remedy=remedy)
    dataset = wanted if wanted in by_dataset else next(iter(by_dataset))
    return str(dataset), by_dataset[str(dataset)]


def _read_captions(file: Path, dataset: str, split: str) -> dict[int, Sequence[str]]:
    """Returns the raw captions by global id, ids ascending, captions in annotation order."""
    value = documents.read_json(file, error=AnnotationError)
    captions: dict[int, list[str]] = {}
    if isinstance(value, list):  # proprocessedtokens
        for index, row in enumerate(value):
            where = f"{file}: [{index}]"
            texts = require(row, "captions", list, where)
            captions.setdefault(require(row, "video_id", int, where), []).extend(texts)
    else:
        listed, texts, key = ("images", "annotations", "image_id")
        if "cocofmt" not in file.name:
            listed, texts, key = ("videos", "captions", "video_id")
        for index, row in enumerate(require(value, listed, list, file)):
            number = require(row, "id", int, f"{file}: {listed}[{index}]")
            if number in captions:
                what = f"the id {number} is listed twice"
                raise AnnotationError(what, where=f"{file}: {listed}[{index}]", remedy="download the file again")
            captions[number] = []
        for index, row in enumerate(require(value, texts, list, file)):
            where = f"{file}: {texts}[{index}]"
            number = require(row, key, int, where)
            if number not in captions:
                raise AnnotationError(f"a caption of {number}, which is not listed", where=where, remedy="wrong file?")
            captions[number].append(require(row, "caption", str, where))
    _check_ids(captions, file, dataset, split)
    return {number: captions[number] for number in sorted(captions)}


def _check_ids(captions: Mapping[int, Sequence[Any]], file: Path, dataset: str, split: str) -> None:
    offsets = RELEASE_OFFSETS[dataset]
    first = offsets[split]
    last = min((offset for offset in offsets.values() if offset > first), default=10**9) - 1
    if not captions:
        raise AnnotationError("the file lists no videos", where=file, remedy="download it again")
    for number, texts in captions.items():
        if not first <= number <= last:
            what = f"the id {number} is not of the {split} split, which begins at {first}"
            raise AnnotationError(what, where=file, remedy="keep the release's ids and file names together")
        if not all(isinstance(text, str) for text in texts):
            raise AnnotationError(f"a caption of {number} is no text", where=file, remedy="download the file again")


def _vocabulary(files: Mapping[str, Path]) -> Vocabulary | None:
    lists = {kind: Vocabulary.load_release(files[kind]) for kind in ("vocab", "sequencelabel") if kind in files}
    if len(lists) == 2 and lists["vocab"] != lists["sequencelabel"]:
        raise AnnotationError(
            f"the vocabulary differs from the one that {files['sequencelabel'].name} was made with",
            where=files["vocab"],
            remedy="take both files from the same release",
        )
    return next(iter(lists.values()), None)


def _records(
    dataset: str,
    split: str,
    captions: Mapping[int, Sequence[str]],
    scores: Mapping[int, Mapping[str, tuple[float, ...]]],
    notes: list[str],
) -> list[VideoRecord]:
    records, blank, silent = [], 0, []
    for number, texts in captions.items():
        kept = [index for index, text in enumerate(texts) if text.strip()]
        blank += len(texts) - len(kept)
        if not kept:
            silent.append(release_id(dataset, number))
            continue
        of_video = {
            metric: tuple(values[index] for index in kept if index < len(values))
            for metric, values in scores.get(number, {}).items()
        }
        records.append(VideoRecord(release_id(dataset, number), split, tuple(texts[i] for i in kept), of_video))
    if blank:
        notes.append(f"{split}: {blank} blank captions: dropped, with their scores")
    if silent:
        notes.append(f"{split}: {len(silent)} videos without captions: dropped ({mention(silent)})")
    return records
