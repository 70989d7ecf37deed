"""A small release in the published layout: 1700-wide features, captions, two checkpoints."""

from __future__ import annotations

import json
import pathlib

import h5py
import numpy as np

from tests.convert.made_checkpoint import checkpoint, checkpoint_tensors, vocabulary
from tests.io.torch_files import write_legacy

OFFSETS = {"msrvtt": {"val": 6513, "test": 7010}, "msvd": {"val": 1200, "test": 1300}}


def write_release(
    root: pathlib.Path, *, datasets: tuple[str, ...] = ("msrvtt",), stages: tuple[str, ...] = ("XE",), videos: int = 6
) -> None:
    """Writes val and test splits of `videos` videos; features of MSVD's test have two rows without captions."""
    (root / "data/metadata").mkdir(parents=True)
    (root / "data/feature").mkdir()
    rng = np.random.default_rng(0)
    for number, dataset in enumerate(datasets):
        size = 24 + 4 * number
        words = vocabulary(size)
        (root / f"data/metadata/{dataset}_train_vocab.json").write_text(json.dumps(words), "utf-8")
        for split, offset in OFFSETS[dataset].items():
            ids = range(offset, offset + videos)
            captions = [
                {"image_id": video, "id": 2 * video + j, "caption": " ".join(rng.choice(words[3:], 5))}
                for video in ids
                for j in range(2)
            ]
            coco = {"images": [{"id": video} for video in ids], "annotations": captions, "type": "captions"}
            (root / f"data/metadata/{dataset}_{split}_cocofmt.json").write_text(json.dumps(coco), "utf-8")
            rows = videos + 2 * (dataset == "msvd" and split == "test")
            with h5py.File(root / f"data/feature/{dataset}_{split}_gl_feats.h5", "w") as file:
                file["feats"] = rng.random((rows, 1700), np.float32) * 0.1
                file["lens"] = np.full(rows, 16)
        for seed, stage in enumerate(stages):
            folder = root / f"model/GL-RG_{stage}_{dataset}"
            folder.mkdir(parents=True)
            write_legacy(folder / "model.pth", checkpoint(checkpoint_tensors(words=size, seed=seed, spread=8.0)))
