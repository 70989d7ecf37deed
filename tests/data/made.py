"""Small made inputs: a handful of videos in every foreign format."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import h5py
import numpy as np

WIDTH = 1700
HIREST = {
    "Make  Tea": {
        "a.mp4": {
            "relevant": True,
            "clip": True,
            "v_duration": 60.5,
            "bounds": [5, 50],
            "steps": [
                {"index": 0, "heading": "boil water ", "absolute_bounds": [5, 20]},
                {"index": 1, "heading": "add leaves", "absolute_bounds": [30, 30]},
            ],
        },
        "b.mp4": {"relevant": True, "clip": False, "v_duration": 10, "bounds": [0, 0], "steps": []},
    }
}
YOUCOOK = {
    "database": {
        "x": {
            "duration": 100.0,
            "subset": "validation",
            "recipe_type": "113",
            "annotations": [{"segment": [10, 20], "id": 0, "sentence": "spread butter"}],
            "video_url": "https://example.org",
        }
    }
}
SUMMARY = {"vid": "v1", "start_sec": 0, "end_sec": 400, "video_summary": "C spent a day at home."}


def release_features(path: pathlib.Path, ids: list[str] | None, rows: int | None = None, **changes: Any) -> np.ndarray:
    """Writes a release feature file; `changes` may replace `feats`."""
    rows = len(ids) if ids is not None and rows is None else rows
    feats = np.random.default_rng(7).random((rows or 0, WIDTH)).astype(np.float32)
    feats = changes.get("feats", feats)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as handle:
        handle["feats"] = feats
        handle["lens"] = np.full(len(feats), 16)
        if ids is not None:
            handle["video_ids"] = np.array([name.encode() for name in ids])
    return feats


def msrvtt(captions: dict[str, list[str]], split: str = "train") -> dict[str, Any]:
    """A videodatainfo.json of the videos in `captions`."""
    return {
        "info": {},
        "videos": [
            {"video_id": name, "split": split, "category": 3, "start time": 1.0, "end time": 2.0, "id": row}
            for row, name in enumerate(captions)
        ],
        "sentences": [
            {"video_id": name, "sen_id": 0, "caption": text} for name, texts in captions.items() for text in texts
        ],
    }


def write_json(path: pathlib.Path, value: Any) -> pathlib.Path:
    """Writes JSON, making folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def msrvtt_folder(root: pathlib.Path, test: bool = False) -> pathlib.Path:
    """`train/` with three videos, `val/` with two and, where asked for, `test/` with two; features beside them."""
    splits = [("train", "train", (0, 1, 2)), ("val", "validate", (7, 8))]
    for split, name, numbers in [*splits, ("test", "test", (9, 10))] if test else splits:
        captions = {f"video{n}": [f"a man does thing {n}", "A Man, again!"] for n in numbers}
        write_json(root / split / "videodatainfo.json", msrvtt(captions, name))
        release_features(root / split / "gl_feats.h5", list(captions))
    return root


def msvd_corpus(path: pathlib.Path) -> pathlib.Path:
    """The description corpus and youtube_mapping.txt: clips vid1, vid1201, vid1301 and one without a number."""
    rows = [
        "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description",
        "aaaaaaaaaaa,1,5,1,clean,9,English,A man plays. Second sentence",
        'aaaaaaaaaaa,1,5,1,clean,9,English,"a na\u00efve man,\r\nplays"',
        "aaaaaaaaaaa,1,5,1,clean,9,German,Ein Mann spielt",
        "aaaaaaaaaaa,1,5,1,clean,9,English,",
        "bbbbbbbbbbb,2,4,1,clean,9,English,.only after the stop",
        "bbbbbbbbbbb,2,4,1,clean,9,English,a dog runs",
        "ccccccccccc,0,9,1,clean,9,English,a cat sleeps",
        "ddddddddddd,0,9,1,clean,9,English,not in the mapping",
    ]
    path.mkdir(parents=True, exist_ok=True)
    (path / "corpus.csv").write_text("\r\n".join(rows) + "\r\n", "utf-8", newline="")
    mapping = "aaaaaaaaaaa_1_5 vid1\nbbbbbbbbbbb_2_4 vid1201\nccccccccccc_0_9 vid1301\neeeeeeeeeee_0_1 vid2\n"
    (path / "youtube_mapping.txt").write_text(mapping)
    return path


def coco(captions: dict[Any, list[str]], **image: Any) -> dict[str, Any]:
    """A COCO captions file."""
    texts = [(name, text) for name, of_image in captions.items() for text in of_image]
    return {
        "images": [{"id": name, **image} for name in captions],
        "annotations": [{"id": row, "image_id": name, "caption": text} for row, (name, text) in enumerate(texts)],
        "info": {},
        "type": "captions",
        "licenses": "n/a",
    }
