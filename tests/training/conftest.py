"""A made caption world small enough to train on in seconds: features truly determine captions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.dataset import VideoRecord, write_dataset
from glrg_tf.data.feature_layout import FeatureTable
from training.config import PhaseConfig, RunConfig

WHO, WHAT = ("man", "woman", "dog", "child"), ("runs", "sings", "sleeps", "jumps")
STREAMS = (("long_range", 6), ("short_range", 5))


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The folder of `write_world`."""
    return write_world(tmp_path_factory.mktemp("world") / "dataset")


def write_world(folder):
    """Writes a data set of 16 training and 4 val videos with 4 captions each; returns its folder."""
    rng = np.random.default_rng(0)
    records, rows = [], {name: [] for name, _ in STREAMS}
    for number, (who, what) in enumerate([*itertools.product(WHO, WHAT), *zip(WHO, WHAT, strict=True)]):
        captions = (f"a {who} {what}", f"a {who} {what}", f"the {who} {what} now", f"there a {who} {what} slowly")
        records.append(VideoRecord(id=f"v{number}", split="train" if number < 16 else "val", captions=captions))
        rows["long_range"].append(np.eye(6)[WHO.index(who)] + 0.05 * rng.normal(size=6))
        rows["short_range"].append(np.eye(5)[WHAT.index(what)] + 0.05 * rng.normal(size=5))
    table = FeatureTable([r.id for r in records], {name: np.array(row, np.float32) for name, row in rows.items()})
    write_dataset(folder, records, name="world", source=["made by the tests"], features=table)
    return folder


MODEL = CaptionerConfig(streams=STREAMS, pool_size=16, embedding_size=12, hidden_size=16, dropout=0.1, max_length=10)
PHASE = PhaseConfig(
    epochs=3, batch_size=6, captions_per_video=4, learning_rate=1e-2, patience=0, baseline_size=4, selection_window=2
)
CONFIG = RunConfig(model=MODEL, min_count=1, decoding_beam=3, xe=PHASE, dxe=PHASE, dr=PHASE)
