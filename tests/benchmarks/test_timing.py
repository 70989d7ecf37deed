"""Timing in turns."""

from __future__ import annotations

import time

from benchmarks import timing


def test_both_sides_run_in_turns():
    order = []
    found = timing.compare(lambda: order.append("a"), lambda: (order.append("b"), time.sleep(0.01)), pairs=3)
    assert [side for i, side in enumerate(order) if i == 0 or side != order[i - 1]] == ["a", "b"] * 3
    assert len(found.pair_ratios) == 3 and len(found.reference.seconds) == 3
    assert found.reference.minimum >= 0.01 > found.reference.minimum_processor


def test_without_a_plain_form():
    found = timing.compare(lambda: None, None, pairs=1)
    assert found.reference is None and found.pair_ratios == () and found.ours.minimum <= found.ours.median


def test_measuring_keeps_within_its_bounds():
    assert len(timing.measure(lambda: None, budget_s=60.0, at_least=2, at_most=5).seconds) == 5
    assert len(timing.measure(lambda: time.sleep(0.01), budget_s=0.0, at_least=2).seconds) == 2
