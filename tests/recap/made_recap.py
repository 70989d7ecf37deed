"""Small things to test the recursive captioner with: a made data set of three levels with features, tiny networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from glrg_tf.data.dataset import CaptionDataset, write_dataset
from glrg_tf.data.levels import LevelText, LevelTexts, record_of
from glrg_tf.recap.hierarchy import Hierarchy
from glrg_tf.recap.settings import NANO, RecapConfig

HIERARCHY = Hierarchy(4.0, 12.0)
WORDS = ("ball", "box", "star", "ring")
PLACES = ("snow", "beach")
TINY = dataclasses.replace(
    NANO, width=32, heads=2, mapper_layers=1, decoder_layers=1, video_queries=4, text_queries=4, max_rows=8,
    positions=64, max_text=48, max_words=(8, 12, 16), dropout=0.1,
)  # fmt: skip


def tiny(**changes: object) -> RecapConfig:
    """A network of a few thousand weights."""
    sizes = {"vocabulary_size": 20, "dense_width": 6, "row_width": 5} | changes
    return dataclasses.replace(TINY, **sizes)  # type: ignore[arg-type]


def make_dataset(folder: Path, videos: int = 12, clips: int = 6) -> tuple[CaptionDataset, Path]:
    """Videos whose clips tell an actor (the feature's column), and whose segments add the place (column 4 and 5)."""
    rng = np.random.default_rng(5)
    records = []
    (folder / "features" / "dense").mkdir(parents=True)
    for number in range(videos):
        actor, place = int(rng.integers(4)), int(rng.integers(2))
        dense = rng.normal(0, 0.05, (clips, 2, 6)).astype(np.float32)
        dense[:, :, actor] += 1
        dense[:, :, 4 + place] += 1
        name, where = WORDS[actor], PLACES[place]
        texts = LevelTexts(
            clip=tuple(LevelText(4.0 * k, 4.0 * k + 4, (f"a {name} moves", f"the {name} goes")) for k in range(clips)),
            segment=tuple(
                LevelText(12.0 * k, 12.0 * k + 12, (f"on the {where} a {name} plays",)) for k in range(clips // 3)
            ),
            video=(LevelText(0.0, 4.0 * clips, (f"the story of a {name} on the {where}",)),),
            duration=4.0 * clips,
        )
        split = "val" if number >= videos - 2 else "train"
        records.append(record_of(f"v{number}", split, texts))
        np.save(folder / "features" / "dense" / f"v{number}.npy", dense)
    write_dataset(folder / "data", records, name="made", source=["made"])
    return CaptionDataset.load(folder / "data"), folder / "features"
