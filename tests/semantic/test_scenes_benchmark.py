"""The measure of scene separation: labels by time, neighbours of other videos only."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from benchmarks.semantic_scenes import separation, true_scenes


def test_clips_near_a_change_of_scene_have_no_label(tmp_path: pathlib.Path) -> None:
    rows = [
        {
            "id": "a",
            "frames": 80,
            "scenes": [{"scene": "city", "start": 0, "end": 40}, {"scene": "sea", "start": 40, "end": 80}],
        },
        {"id": "b", "frames": 10, "scenes": [{"scene": "sea", "start": 0, "end": 10}]},
    ]
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = true_scenes(tmp_path, ("a", "b"), np.array([8, 3]))
    assert labels.tolist() == [0, 0, 0, -1, -1, 1, 1, 1, 1, 1, 1]


def test_separation_of_what_is_and_is_not_separate() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    videos = np.arange(180) // 6
    apart = np.eye(3)[labels] + random.normal(0, 0.05, (180, 3))
    found = separation(apart, labels, videos, 0)
    assert found["knn_accuracy"] == 1.0
    assert found["silhouette"] > 0.8
    noise = separation(random.normal(size=(180, 8)), labels, videos, 0)
    assert noise["knn_accuracy"] < 0.55
    # Clips that are alike only within their video are no evidence.
    own = np.eye(30)[videos] + random.normal(0, 0.01, (180, 30))
    assert separation(own, labels, videos, 0)["knn_accuracy"] < 0.6
