"""Batches are a pure function of (seed, step) and cover every video once an epoch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from glrg_tf.data.batches import CaptionBatches
from glrg_tf.errors import DataError


def make(videos: int = 10, batch: int = 4, captions: int = 3, seed: int = 1) -> CaptionBatches:
    counts = [1 + row % 6 for row in range(videos)]
    ids = [np.arange(n)[:, None] + 100 * row + np.zeros((1, 2), int) for row, n in enumerate(counts)]
    scores = [np.arange(n) + 100.0 * row for row, n in enumerate(counts)]
    features = np.arange(videos, dtype=np.float32)[:, None]
    return CaptionBatches(lambda rows: features[rows], ids, scores, batch, captions, seed)


def test_any_step_can_be_made_alone():
    first, second = make(), make()
    forward = [first.batch(step) for step in range(8)]
    for step in reversed(range(8)):
        for a, b in zip(forward[step], second.batch(step), strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_video_comes_once_in_each_pass():
    batches = make()
    rows = np.concatenate([batches.batch(step).video_rows for step in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:20]) == list(range(10))
    assert batches.steps_per_epoch == 3
    assert rows[:10].tolist() != rows[10:20].tolist()


def test_captions_and_scores_are_drawn_by_the_same_indices():
    for step in range(6):
        batch = make().batch(step)
        np.testing.assert_array_equal(batch.token_ids[:, :, 0], batch.consensus.astype(int))
        assert (batch.token_ids[:, :, 0] // 100 == batch.video_rows[:, None]).all()
        np.testing.assert_array_equal(batch.features[:, 0], batch.video_rows)


def test_too_many_captions_are_sampled_without_repeats_and_too_few_repeat():
    batch = make(batch=10).batch(0)
    for row, ids in zip(batch.video_rows, batch.token_ids[:, :, 0], strict=True):
        owned = 1 + row % 6
        assert len(set(ids)) == min(3, owned)


def test_fewer_videos_than_a_batch_are_all_taken():
    assert sorted(make(videos=3, batch=32).batch(0).video_rows) == [0, 1, 2]


def test_seeds_give_other_orders():
    assert make(seed=1).batch(0).video_rows.tolist() != make(seed=2).batch(0).video_rows.tolist()


def test_pipeline_gives_the_same_batches():
    batches = make()
    for step, batch in enumerate(batches.dataset(2, 3), start=2):
        for a, b in zip(batch, batches.batch(step), strict=True):
            np.testing.assert_array_equal(a, b)


def test_mismatched_scores_are_refused():
    batches = make()
    with pytest.raises(DataError, match="consensus scores"):
        dataclasses.replace(batches, consensus=[scores[:1] for scores in batches.consensus])
    with pytest.raises(DataError, match="no videos"):
        dataclasses.replace(batches, token_ids=[], consensus=[])
