"""Do clip embeddings that never saw a label tell the sample world's scenes apart?

    glrg extract data/world --encoder nano --per-position --out clips.h5      # nano: random weights, no labels either
    python -m benchmarks.semantic_scenes --world data/world --features clips.h5

Trains Visual GloVe on the clips of `clips.h5` for three seeds and measures, against the true scene of every clip (known
to the world, never to the training): the accuracy of the 5 nearest neighbours among clips of other videos, and the
silhouette (cosine). Clips while the scene changes are left out. The features themselves are measured beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.io import documents
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.stack_sources import open_stacks

NEIGHBOURS = 5


def true_scenes(world: Path, ids: tuple[str, ...], clips: np.ndarray) -> np.ndarray:
    """The scene of every clip: its number, -1 within a tenth of the video of a change of scene.

    Args:
        world: folder with truth.jsonl.
        ids: the videos.
        clips: int (videos,), clips of each, in equal parts of the video.
    """
    truth = {row["id"]: row for _, row in documents.read_json_lines(world / "truth.jsonl")}
    names: dict[str, int] = {}
    labels = []
    for video_id, count in zip(ids, clips, strict=True):
        row = truth[video_id]
        for place in (np.arange(count) + 0.5) / count:
            frame, margin = place * row["frames"], 0.1 * row["frames"]
            label = -1
            for scene in row["scenes"]:
                first, last = scene["start"] > 0, scene["end"] < row["frames"]
                if scene["start"] + margin * first <= frame < scene["end"] - margin * last:
                    label = names.setdefault(scene["scene"], len(names))
            labels.append(label)
    return np.array(labels)


def separation(rows: np.ndarray, labels: np.ndarray, videos: np.ndarray, seed: int) -> dict[str, float]:
    """Accuracy of the nearest neighbours of other videos, and silhouette, by cosine; of at most 3000 clips."""
    from sklearn.metrics import silhouette_score

    chosen = np.flatnonzero((labels >= 0) & (np.linalg.norm(rows, axis=1) > 0))
    chosen = np.random.default_rng(seed).permutation(chosen)[:3000]
    rows, labels, videos = rows[chosen], labels[chosen], videos[chosen]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = unit @ unit.T
    similarity[videos[:, None] == videos] = -np.inf
    nearest = np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    votes = np.array([np.bincount(labels[near]).argmax() for near in nearest])
    return {
        "knn_accuracy": float((votes == labels).mean()),
        "silhouette": float(silhouette_score(unit, labels, metric="cosine")),
    }


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--streams")
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    from training.glove import train

    streams = options.streams.split(",") if options.streams else None
    rows: list[dict[str, Any]] = []
    with open_stacks([options.features], streams=streams) as stacks:
        counts = np.diff(stacks.offsets)
        labels = true_scenes(options.world, stacks.ids, counts)
        videos = np.repeat(np.arange(stacks.videos), counts)
        features = stacks.rows(0, len(stacks))
        pooled = np.array([features[videos == video].mean(axis=0) for video in range(stacks.videos)])
        alone = np.array([own[0] if (own == own[0]).all() else -1 for own in np.split(labels, stacks.offsets[1:-1])])
        each = np.arange(stacks.videos)
        rows.append({"of": "features", "clips": separation(features, labels, videos, 0)})
        rows[-1]["videos"] = separation(pooled, alone, each, 0)
        for seed in range(1, options.seeds + 1):
            config = GloveConfig(dimensions=options.dimensions, window=options.window, epochs=options.epochs)
            glove = train(stacks, CodebookConfig(options.words, batch_rows=4000), config, seed=seed)
            embedded = glove.vectors[glove.clips.words]
            pooled = np.array([embedded[videos == video].mean(axis=0) for video in range(stacks.videos)])
            row = {"of": "embeddings", "seed": seed, "clips": separation(embedded, labels, videos, seed)}
            rows.append(row | {"videos": separation(pooled, alone, each, seed)})
    print(json.dumps({"clips": len(labels), "scenes": int(labels.max()) + 1, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
