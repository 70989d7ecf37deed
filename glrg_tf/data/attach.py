"""Makes features that were extracted into a dataset's folder part of the dataset."""

from __future__ import annotations

import os
from pathlib import Path

from glrg_tf.data.dataset import (
    CAPTIONS,
    DESCRIPTION,
    FEATURES,
    count_splits,
    read_description,
    read_records,
    write_description,
)
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.io import atomic


def is_feature_file_of_dataset(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is where a dataset keeps its features."""
    file = Path(path)
    return file.name == FEATURES and (file.parent / DESCRIPTION).is_file() and (file.parent / CAPTIONS).is_file()


def attach_features(folder: str | os.PathLike[str]) -> None:
    """Writes what `features.h5` holds now (streams, counts, sha256) into `dataset.json`.

    Raises:
        DataError: no dataset folder, or a damaged file.
    """
    root = Path(folder)
    description = read_description(root)
    records = read_records(root / CAPTIONS)
    with FeatureStore(root / FEATURES) as store:
        known = {record.id for record in records}
        description["streams"] = store.streams
        description["splits"] = count_splits(records, known & set(store.ids))
    entry = {"sha256": atomic.sha256_file(root / FEATURES), "bytes": (root / FEATURES).stat().st_size}
    description["files"] = dict(sorted({**description["files"], FEATURES: entry}.items()))
    write_description(root, description)
