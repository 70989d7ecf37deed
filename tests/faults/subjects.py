"""What is damaged on purpose: a feature file, a dataset, a captioner and a run's checkpoints, made the same each time.

A subject's `observe` reads the folder as a user's command would and returns all that its output depends on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glrg_tf.errors import CheckpointError
from glrg_tf.text.vocabulary import Vocabulary
from tests.training import conftest

# What somebody reads of dataset.json; a key of another name changes nothing.
DESCRIPTION_KEYS = ("name", "source", "tokenizer", "splits", "streams", "licence", "notes", "files")


class Subject(NamedTuple):
    """One kind of folder.

    Attributes:
        folder: a whole one.
        observe: the folder -> what its use depends on; raises a `GlrgError` for what it refuses.
    """

    folder: Path
    observe: Callable[[Path], str]


def make_subjects(root: Path) -> dict[str, Subject]:
    """All subjects below `root`, by name."""
    makers = {"features": _features, "dataset": _dataset, "captioner": _captioner, "checkpoints": make_checkpoints}
    return {name: make(root / name) for name, make in makers.items()}


def _digest(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        data = (
            part.tobytes() if isinstance(part, np.ndarray) else json.dumps(part, sort_keys=True, default=str).encode()
        )
        found.update(data)
    return found.hexdigest()


def _features(folder: Path) -> Subject:
    from glrg_tf.data.feature_store import FeatureStore, write_features

    rng = np.random.default_rng(1)
    ids = [f"video{number}" for number in range(20)]
    pieces = [rng.random((1 + number % 4, 7), np.float32) for number in range(20)]
    folder.mkdir(parents=True)
    values = {"keyframe": rng.random((20, 11), np.float32), "semantic": pieces}
    write_features(folder / "features.h5", ids, values, {"producer": "tests"}, {"keyframe": {"backbone": "none"}})

    def observe(place: Path) -> str:
        with FeatureStore(place / "features.h5") as store:
            rows = [store.positions(video, name) for video in store.ids for name in store.streams]
            return _digest(store.ids, store.attributes, store.stream_attributes, store.read(store.ids), *rows)

    return Subject(folder, observe)


def _dataset(folder: Path) -> Subject:
    from glrg_tf.data.dataset import CaptionDataset

    conftest.write_world(folder)

    def observe(place: Path) -> str:
        dataset = CaptionDataset.load(place)
        features = dataset.features
        read = features.read([record.id for record in dataset.records()])
        description = {key: dataset.description[key] for key in DESCRIPTION_KEYS}
        return _digest(description, [record.to_json() for record in dataset.records()], read)

    return Subject(folder, observe)


def _vocabulary() -> Vocabulary:
    words = [[word] for word in ("a", "the", *conftest.WHO, *conftest.WHAT)]
    return Vocabulary.build(iter(words), 1, "release")


def _make_captioner() -> Any:
    import dataclasses

    from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel

    vocabulary = _vocabulary()
    config = dataclasses.replace(conftest.MODEL, vocabulary_size=len(vocabulary))
    return VideoCaptioner(CaptionerModel(config, seed=1), vocabulary, DecodingConfig(3, 1.0, 8))


def _captioner(folder: Path) -> Subject:
    from glrg_tf.captioner.captioner import VideoCaptioner

    _make_captioner().save_to_preset(folder)

    def observe(place: Path) -> str:
        captioner = VideoCaptioner.from_preset(place)
        weights = captioner.model.get_weights()
        settings = [str(captioner.config), str(captioner.decoding), captioner.vocabulary.words]
        return _digest(settings, sorted(weights), *(weights[name] for name in sorted(weights)))

    return Subject(folder, observe)


def make_checkpoints(folder: Path) -> Subject:
    """A run with the checkpoints of steps 3 and 6."""
    from training.checkpoints import CheckpointFolder, TrainingState

    captioner = _make_captioner()
    for step in (3, 6):
        slots = {
            f"weights/{name.replace('/', '.')}": value + step for name, value in captioner.model.get_weights().items()
        }
        history = tuple({"epoch": float(epoch)} for epoch in range(step // 3))
        CheckpointFolder(folder).save(captioner, TrainingState(step, 1, history, {"epochs": 3}, slots), best=True)

    def observe(place: Path) -> str:
        found = (checkpoints := CheckpointFolder(place)).restore()
        if checkpoints.refused:
            # The one before goes on, and the cause is told: what is wanted of a run.
            raise checkpoints.refused[0]
        if found is None:
            raise CheckpointError("no checkpoint", where=place)
        state, _ = found
        best = checkpoints.pointer("best")
        if best is None:
            raise CheckpointError("'best' names no folder", where=place)
        names = sorted(state.slots)
        return _digest(
            state.step, state.seed, state.history, state.settings, names, best.name, *map(state.slots.get, names)
        )

    return Subject(folder, observe)
