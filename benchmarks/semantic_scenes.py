"""Do clip embeddings that never saw a label tell the sample world's scenes apart?

    glrg extract data/world --per-position --out clips.h5
    python -m benchmarks.semantic_scenes --world data/world --features clips.h5
    python -m benchmarks.semantic_scenes --stories 40 --words 60       # long videos, an encoder of random weights

Trains Visual GloVe on the clips of `clips.h5`, or of stories of twelve minutes, for three seeds and measures, against
the true scene of every clip (known to the world, never to the training): the accuracy of the 5 nearest neighbours among
clips of other videos, and the silhouette (cosine). Clips while the scene changes are left out. The features themselves
are measured beside it. The clips of stories are seen by the nano keyframe encoder as it is built, without any training:
no label takes part at all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glrg_cli.common import Console
from glrg_tf.io import documents
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.stack_sources import open_stacks
from glrg_tf.semantic.stacks import Stacks

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


@contextlib.contextmanager
def clips_of_stories(count: int, seed: int) -> Iterator[tuple[Stacks, np.ndarray]]:
    """Stacks of stories, a clip each beat of four seconds (its middle frame), and the scene of every clip."""
    from glrg_tf.data.world.stories import draw_story
    from glrg_tf.data.world.story_video import beat_frames
    from glrg_tf.encoders.bundle import EncoderBundle

    encoder, names, labels = EncoderBundle.load("nano").streams["keyframe"], {}, []
    with tempfile.TemporaryDirectory() as scratch:
        with Console().progress(count, "drawing stories", "stories") as bar:
            for number in range(count):
                story = draw_story(seed, number, frame_rate=4)
                beats = [(segment.act, beat) for segment in story.segments for beat in segment.beats]
                frames = [frame for act, beat in beats for frame in beat_frames(story, act, beat, [8])]
                np.save(Path(scratch) / f"{story.id}_rgb.npy", encoder.encode(np.stack(frames)[:, np.newaxis]))
                labels += [names.setdefault(story.acts[act].scene, len(names)) for act, _ in beats]
                bar.update()
        with open_stacks([Path(scratch)]) as stacks:
            yield stacks, np.array(labels)


@contextlib.contextmanager
def clips_of_world(options: argparse.Namespace) -> Iterator[tuple[Stacks, np.ndarray]]:
    """The clips of a features.h5, and the scene of every clip."""
    streams = options.streams.split(",") if options.streams else None
    with open_stacks([options.features], streams=streams) as stacks:
        yield stacks, true_scenes(options.world, stacks.ids, np.diff(stacks.offsets))


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--stories", type=int, help="so many stories instead of the clips of a world")
    parser.add_argument("--streams")
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if not options.stories and not (options.world and options.features):
        parser.error("name --world and --features, or --stories")
    with clips_of_stories(options.stories, 5) if options.stories else clips_of_world(options) as (stacks, labels):
        rows = measure(options, stacks, labels)
    print(json.dumps({"clips": len(labels), "scenes": int(labels.max()) + 1, "rows": rows}, indent=1))


def measure(options: argparse.Namespace, stacks: Stacks, labels: np.ndarray) -> list[dict[str, Any]]:
    """Separation of the features, and of the embeddings of every seed."""
    from training.glove import train

    videos = np.repeat(np.arange(stacks.videos), np.diff(stacks.offsets))
    alone = np.array([own[0] if (own == own[0]).all() else -1 for own in np.split(labels, stacks.offsets[1:-1])])

    def both(clips: np.ndarray, seed: int) -> dict[str, Any]:
        found = {"clips": separation(clips, labels, videos, seed)}
        if (alone >= 0).sum() > NEIGHBOURS:  # videos that stay in one scene
            pooled = np.array([clips[videos == video].mean(axis=0) for video in range(stacks.videos)])
            found["videos"] = separation(pooled, alone, np.arange(stacks.videos), seed)
        return found

    rows: list[dict[str, Any]] = [{"of": "features", **both(stacks.rows(0, len(stacks)), 0)}]
    for seed in range(1, options.seeds + 1):
        config = GloveConfig(dimensions=options.dimensions, window=options.window, epochs=options.epochs)
        glove = train(stacks, CodebookConfig(options.words, batch_rows=4000), config, seed=seed)
        rows.append({"of": "embeddings", "seed": seed, **both(glove.vectors[glove.clips.words], seed)})
    return rows


if __name__ == "__main__":
    main()
