"""The arithmetic floor, counted by hand."""

from __future__ import annotations

import numpy as np

from benchmarks import floor


def test_positions_of_two_videos_by_hand():
    token_ids = np.array(
        [
            [[1, 5, 6, 0, 0], [1, 5, 7, 0, 0], [1, 5, 6, 0, 0]],  # 1; 1 5; 1 5 6; 1 5 7
            [[1, 5, 6, 7, 8], [1, 0, 0, 0, 0], [1, 6, 0, 0, 0]],  # 1; 1 5; 1 5 6; 1 5 6 7; 1 6 (8 is no input)
        ],
        np.int32,
    )
    positions = floor.count_positions(token_ids)
    # Inputs 3 + 3 + 3 and 4 + 1 + 2; sources 1, 1 5 and 1, 1 5, 1 5 6; words 1, 5, 6, 7.
    assert positions == floor.Positions(valid=16, distinct=9, sources=5, words=4, videos=2)


def test_flops_follow_the_formula():
    sizes = floor.Sizes(vocabulary=10, features=3, hidden=2)
    positions = floor.Positions(valid=16, distinct=9, sources=5, words=4, videos=2)
    gates, logits = 2 * 2 * 8, 2 * 2 * 10
    expected = 2 * (2 * 3 * 2 * 2 + gates * 3) + 3 * (4 * gates + 5 * gates + 9 * logits)
    assert floor.training_flops(positions, sizes) == expected
    assert floor.decoding_flops(7, 2, sizes) == 2 * (2 * 3 * 2 + gates) + 7 * (gates + logits)


def test_sharing_beginnings_lowers_the_floor():
    sizes = floor.Sizes(vocabulary=100)
    alike = np.tile(np.array([1, 5, 6, 7, 0], np.int32), (2, 20, 1))
    apart = alike.copy()
    apart[:, :, 1] = np.arange(5, 25)
    flops = [floor.training_flops(floor.count_positions(ids), sizes) for ids in (alike, apart)]
    assert flops[0] < flops[1]
