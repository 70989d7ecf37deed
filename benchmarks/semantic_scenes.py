"""Do clip embeddings that never saw a label tell the sample world's scenes apart?

    glrg extract data/world --per-position --out clips.h5
    python -m benchmarks.semantic_scenes --world data/world --features clips.h5
    python -m benchmarks.semantic_scenes --stories 40 --words 60       # long videos, an encoder of random weights
    python -m benchmarks.semantic_scenes --stories 40 --encoder world-nano --words 30 --codebooks 8 --components 5

Trains Visual GloVe on the clips of `clips.h5`, or of stories of twelve minutes, for three seeds and measures, against
the true scene of every clip (known to the world, never to the training): the accuracy of the 5 nearest neighbours among
clips of other videos, and the silhouette (cosine). Clips while the scene changes are left out. The features themselves
are measured beside it. The clips of stories are seen by the nano keyframe encoder as it is built, without any training
(no label takes part at all), or by that of `--encoder`. Settings are chosen on other stories: `--stories-seed 6`.

The same place by day, at night and in fog are different looks of it, which no video joins. `looks` tells what is
reached by embeddings that know the look and nothing else (one direction each): the silhouette of scenes is bounded by
that for whoever is not told which looks are one place.
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
from glrg_tf.semantic.form import ClipEmbeddings, Form
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
def clips_of_stories(count: int, seed: int, source: str = "nano") -> Iterator[tuple[Stacks, np.ndarray, np.ndarray]]:
    """Stacks of stories, a clip each beat of four seconds (its middle frame), and every clip's scene and look."""
    from glrg_cli.encoders import open_encoder
    from glrg_tf.data.world.stories import draw_story
    from glrg_tf.data.world.story_video import beat_frames

    encoder = open_encoder(source).streams["keyframe"]
    scenes: dict[str, int] = {}
    looks: dict[tuple[object, ...], int] = {}
    labels = []
    with tempfile.TemporaryDirectory() as scratch:
        with Console().progress(count, "drawing stories", "stories") as bar:
            for number in range(count):
                story = draw_story(seed, number, frame_rate=4)
                beats = [(segment.act, beat) for segment in story.segments for beat in segment.beats]
                frames = [frame for act, beat in beats for frame in beat_frames(story, act, beat, [8])]
                np.save(Path(scratch) / f"{story.id}_rgb.npy", encoder.encode(np.stack(frames)[:, np.newaxis]))
                for act in (story.acts[number] for number, _ in beats):
                    look = looks.setdefault((act.scene, act.night, act.weather), len(looks))
                    labels.append((scenes.setdefault(act.scene, len(scenes)), look))
                bar.update()
        with open_stacks([Path(scratch)]) as stacks:
            yield stacks, *np.array(labels).T


@contextlib.contextmanager
def clips_of_world(options: argparse.Namespace) -> Iterator[tuple[Stacks, np.ndarray, None]]:
    """The clips of a features.h5, and the scene of every clip; looks are not told apart."""
    streams = options.streams.split(",") if options.streams else None
    with open_stacks([options.features], streams=streams) as stacks:
        counts = np.diff(stacks.offsets)
        labels = true_scenes(options.world, stacks.ids, counts)
        if options.split:
            rows = documents.read_json_lines(options.world / "truth.jsonl")
            splits = {row["id"]: row["split"] for _, row in rows}
            labels[np.repeat([splits[name] != options.split for name in stacks.ids], counts)] = -1
        yield stacks, labels, None


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--stories", type=int, help="so many stories instead of the clips of a world")
    parser.add_argument("--stories-seed", type=int, default=5)
    parser.add_argument("--encoder", default="nano", help="of the stories' frames: its keyframe stream")
    parser.add_argument("--streams")
    parser.add_argument("--split", help="measure on these clips of the world only; all are trained on")
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--codebooks", type=int, default=1, help="trainings side by side (with --components)")
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=32)
    parser.add_argument("--unseen", type=float, default=0.0)
    parser.add_argument("--components", type=int, default=0)
    parser.add_argument("--smooth", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if not options.stories and not (options.world and options.features):
        parser.error("name --world and --features, or --stories")
    if options.stories:
        source = clips_of_stories(options.stories, options.stories_seed, options.encoder)
    else:
        source = clips_of_world(options)
    with source as (stacks, labels, looks):
        rows = measure(options, stacks, labels, looks)
    print(json.dumps({"clips": len(labels), "scenes": int(labels.max()) + 1, "rows": rows}, indent=1))


def measure(
    options: argparse.Namespace, stacks: Stacks, labels: np.ndarray, looks: np.ndarray | None
) -> list[dict[str, Any]]:
    """Separation of the features, of the looks where they are known, and of the embeddings of every seed."""
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
    if looks is not None:
        rows.append({"of": "looks", **both(np.eye(int(looks.max()) + 1)[looks], 0)})
    config = GloveConfig(
        dimensions=options.dimensions, window=options.window, epochs=options.epochs, unseen=options.unseen
    )
    for seed in range(1, options.seeds + 1):
        seeds = [seed + 100 * number for number in range(options.codebooks)]  # no training serves two seeds
        gloves = [train(stacks, CodebookConfig(options.words, batch_rows=4000), config, seed=each) for each in seeds]
        embeddings = ClipEmbeddings(gloves, Form(options.components, options.smooth))
        words = np.stack([glove.clips.words for glove in gloves])
        clips = np.concatenate([embeddings.of(list(own)) for own in np.split(words, stacks.offsets[1:-1], axis=1)])
        rows.append({"of": "embeddings", "seed": seed, **both(clips, seed)})
    return rows


if __name__ == "__main__":
    main()
