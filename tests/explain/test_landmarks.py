"""Cells scored by landmarks: exact where asked, within the stated error else, against one-by-one scoring."""

from __future__ import annotations

import math

import numpy as np
import pytest

from glrg_tf.encoders.extract import encode_videos
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.explain import landmarks
from glrg_tf.explain.cells import CellReader
from glrg_tf.explain.landmarks import from_odds, score_by_landmarks, to_odds
from glrg_tf.explain.looking import look_at
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.saliency import saliency
from glrg_tf.explain.video import Explainer, ExplainSettings, in_groups
from tests.explain import squares


def smooth_score(cells: np.ndarray) -> np.ndarray:
    """Log-probabilities of three words, each a logistic function of some columns."""
    odds = np.stack([6 * cells[:, 0] - 3, 4 * cells[:, 1] * cells[:, 2] - 6, 9 - 9 * cells[:, 3] ** 2], axis=1)
    return -np.logaddexp(0.0, -odds).astype(np.float32)


def made_cells(count: int) -> np.ndarray:
    """Mostly background with little noise, some things: float32 (count, 8), one column always empty."""
    rng = np.random.default_rng(0)
    cells = 0.05 * rng.random((count, 8))
    things = rng.random(count) < 0.2
    cells[things, :4] = rng.random((things.sum(), 4))
    cells[:, 7] = 0.0
    return cells.astype(np.float32)


def test_errors_stay_within_the_tolerance():
    cells = made_cells(3000)
    exact = smooth_score(cells)
    for tolerance in (0.3, 0.05):
        found = score_by_landmarks(smooth_score, cells, tolerance)
        worst = np.abs(found.values - exact).max(axis=1)
        assert found.exact < 1200 and found.error <= tolerance and np.percentile(worst, 90) <= tolerance
        assert found.values.max() <= 0 and worst.max() < 3 * tolerance
        assert (worst == 0).sum() >= 0.9 * found.exact  # landmarks keep their own scores


def test_without_tolerance_every_cell_is_scored():
    cells = made_cells(500)
    for tolerance, some in ((0.0, cells), (1.0, cells[:200])):  # few cells are not worth the trouble
        found = score_by_landmarks(smooth_score, some, tolerance)
        np.testing.assert_array_equal(found.values, smooth_score(some))
        assert found.exact == len(some) and found.error == 0.0


def test_what_cannot_be_foretold_is_scored():
    def wild(some: np.ndarray) -> np.ndarray:
        return -np.abs(np.sin(1e5 * some[:, :2])) * 9

    cells = made_cells(2000)
    found = score_by_landmarks(wild, cells, 0.5)
    np.testing.assert_array_equal(found.values, wild(cells))
    assert found.exact >= len(cells) and found.error == 0.0


def test_equal_cells_are_scored_once():
    kinds = made_cells(40)
    cells = kinds[np.random.default_rng(1).integers(0, 40, 2000)]
    found = score_by_landmarks(smooth_score, cells, 0.5)
    assert found.exact <= 40
    np.testing.assert_allclose(found.values, smooth_score(cells), atol=0.02)
    alike = np.tile(kinds[:1], (1000, 1))
    np.testing.assert_allclose(score_by_landmarks(smooth_score, alike, 0.5).values, smooth_score(alike), atol=1e-6)


def test_odds_and_back():
    values = np.array([-1e-6, -0.01, -0.7, -5.0, -60.0], np.float32)
    np.testing.assert_allclose(from_odds(to_odds(values)), values, rtol=1e-3)
    assert from_odds(to_odds(np.zeros(3))).max() <= 0 and np.isfinite(to_odds(np.zeros(3))).all()


def test_surface_by_its_formula():
    rng = np.random.default_rng(2)
    points, others, values = rng.random((20, 3)), rng.random((7, 3)), rng.random((20, 2))
    reach = 2.0

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        r = math.sqrt(3.0) * math.dist(a, b) / reach
        return (1.0 + r) * math.exp(-r)

    system = np.array([[kernel(a, b) for b in points] for a in points]) + 1e-5 * np.eye(20)
    weights = np.linalg.solve(system, values - values.mean(axis=0))
    expected = np.array([[kernel(a, b) for b in points] for a in others]) @ weights + values.mean(axis=0)
    single = points.astype(np.float32)
    found = landmarks._Surface(single, values, reach)(others.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_far_cells_are_picked_first():
    cells = np.zeros((600, 2), np.float32)
    cells[:, 0] = np.linspace(0, 0.1, 600)
    cells[17], cells[400] = (5.0, 0.0), (0.0, -5.0)
    picked = landmarks._Spread(cells).take(50)
    assert set(picked[:2]) == {17, 400} and len(set(picked.tolist())) == 50


# === In an explanation ===
@pytest.mark.parametrize("mode", ["logprob", "gain", "kl"])
@pytest.mark.parametrize("fine", [False, True])
def test_maps_of_a_video(glrg, video, mode, fine):
    explainer = Explainer(glrg)
    near, exact = (
        explainer.explain(
            video,
            "a blue square",
            ExplainSettings(rate=12.0, isolated=False, mode=mode, fine=fine, tolerance=tolerance, concepts=False),
        )
        for tolerance in (1.0, 0.0)
    )
    assert near.scored < 0.5 and exact.scored == 1.0 and exact.error == 0.0
    assert np.percentile(np.abs(near.raw - exact.raw).max(axis=1), 95) < 0.1 and near.raw.shape == exact.raw.shape
    assert np.abs(near.maps - exact.maps).max() < 0.2 and (mode == "kl" or near.best_frame(1) >= 12)


def test_exact_scores_are_those_of_one_cell_after_the_other(glrg, explanation):
    """The slow reference: every cell a call of its own."""
    image, query = squares.frame(("red", 1, 1), ("blue", 4, 4)), parse_query("a blue square", squares.VOCABULARY)
    explainer, nothing = Explainer(glrg), np.zeros((1, 3), np.float32)
    found = explainer.score_frames(image[None].repeat(12, axis=0), nothing, query, ExplainSettings(tolerance=0.0))
    (cells,) = CellReader(explainer.network, nothing[0]).read(image[None])
    for row, column in np.ndindex(6, 6):
        expected = saliency(explainer.scorer, cells[0, row, column], query.token_ids)
        np.testing.assert_allclose(found[:, :, row, column], np.tile(expected, (12, 1)), atol=1e-5)


def test_the_network_reads_positions_once(glrg, video):
    explainer = Explainer(glrg)
    settings = ExplainSettings(rate=0.5, isolated=False)
    seen = look_at(explainer.bundle, ["keyframe"], video, settings, None, explainer.network)
    (extracted,) = encode_videos(explainer.bundle, [VideoItem("v", video)], workers=0, isolated=False)
    np.testing.assert_allclose(seen.positions, extracted.streams["keyframe"], atol=1e-6)
    assert seen.read is not None and len(seen.images) == len(seen.read.maps) == 4
    for fine in (False, True):
        reader = CellReader(explainer.network, np.zeros(3), fine=fine)
        (reused,), (afresh,) = (list(reader.classes(seen.images, read)) for read in (seen.read, None))
        np.testing.assert_allclose(reused, afresh, atol=1e-3)
    # 12 frames a second are not the usual 24: two positions a second do not serve, and the file is read again.
    more = look_at(
        explainer.bundle, ["keyframe"], video, ExplainSettings(rate=4.0, isolated=False), None, explainer.network
    )
    assert len(more.images) == 8 and more.read is None


def test_groups():
    parts = [np.full((size, 2), size) for size in (3, 3, 2, 9, 1)]
    told: list[int] = []
    assert [len(group) for group in in_groups(parts, 6, told.append)] == [6, 2, 9, 1] and told == [3, 3, 2, 9, 1]
