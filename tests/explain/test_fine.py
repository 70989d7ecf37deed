"""Maps at half steps, and explanations without maps: of features, and of captioners none of whose streams has one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_cli import main as cli
from glrg_tf.data.feature_store import write_features
from glrg_tf.data.feature_streams import StreamValues, write_streams
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.explain import captioners, charts, overlay
from glrg_tf.explain import video as videos
from glrg_tf.explain.cells import CellReader, MapNetwork
from glrg_tf.explain.explanation import ExplainSettings
from glrg_tf.explain.looking import looked_at
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.saliency import soft_mean
from glrg_tf.explain.stored import explain_features
from glrg_tf.video.sampling import FramePlan
from tests.explain import squares


def test_soft_mean_by_hand():
    found = soft_mean(np.log(np.array([[[1.0, 3.0], [5.0, 7.0]]])))
    np.testing.assert_allclose(np.exp(found), [[[4.0, 5.0], [6.0, 7.0]]], rtol=1e-6)
    assert soft_mean(np.full((1, 2, 3, 3), -1e30, np.float32)).max() < -1e29


def test_fine_cells_lie_between_the_others(glrg):
    network, row = MapNetwork(glrg.encoders, squares.STREAMS), np.zeros(3)
    image = np.zeros((squares.SIDE, squares.SIDE, 3), np.uint8)
    image[12:20, 28:36] = squares.COLOURS["red"]  # over the corner of four cells of 8 pixels
    (coarse,), (fine,) = (list(CellReader(network, row, fine=fine).read(image[None])) for fine in (False, True))
    assert fine.shape == (1, 12, 12, 3)
    np.testing.assert_allclose(fine[0, ::2, ::2], coarse[0], atol=1e-6)
    assert fine[0, 3, 7, 0] > 0.9 > 0.3 > coarse[..., 0].max()  # the one moved by half a cell both ways sees it whole


@pytest.mark.parametrize(("row", "column"), [(12, 28), (8, 24), (3, 30)])
def test_fine_maps_point_at_the_middle(glrg, row, column):
    image = np.zeros((squares.SIDE, squares.SIDE, 3), np.uint8)
    image[row : row + 12, column : column + 12] = squares.COLOURS["blue"]
    explainer, query = videos.Explainer(glrg), parse_query("a blue square", squares.VOCABULARY)
    settings = ExplainSettings(fine=True)
    raw = explainer.score_frames(image[None], np.zeros((1, 3), np.float32), query, settings)[0, 1]
    view, places = explainer.network.view_of(True), np.argwhere(raw > 0.3 * raw.min() + 0.7 * raw.max())
    centres = [view.centre((int(i), int(j)), raw.shape, (squares.SIDE, squares.SIDE)) for i, j in places]
    np.testing.assert_allclose(np.mean(centres, axis=0), (row + 6, column + 6), atol=2.5)


def test_positions_serve_where_they_are_dense_enough():
    plan = FramePlan(positions=4)
    np.testing.assert_array_equal(looked_at(plan, 48, 24.0, ExplainSettings(rate=2.0)), plan.keyframes(48))
    assert len(looked_at(plan, 48, 24.0, ExplainSettings(rate=4.0))) == 8
    assert len(looked_at(plan, 48, 24.0, ExplainSettings(rate=1.0, max_frames=3))) == 2
    assert len(looked_at(plan, 2, 24.0, ExplainSettings(rate=0.0))) == 2


# === Without maps ===
@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Two videos of four positions: blue in the last two of "late", nothing in "empty"."""
    path = tmp_path_factory.mktemp("features") / "features.h5"
    late = np.full((4, 3), 0.02, np.float32)
    late[2:, 2] = 0.98
    counts = np.array([4, 4])
    values = StreamValues(
        [late, np.full((4, 3), 0.02, np.float32)], 3, counts, {"labels": json.dumps(list(squares.COLOURS))}
    )
    write_streams(path, ("late", "empty"), {"keyframe": values})
    return path


def test_features_tell_when_and_why(glrg, features, tmp_path):
    found = explain_features(glrg, features, "late", "a blue zebra")
    assert not found.has_maps and found.raw.shape == (0, 3, 0, 0)
    assert found.chart()[2:, 1].min() > 0.9 > 0.1 > found.chart()[:2, 1].max()
    assert found.concepts[0].top(1, 1)[0][0] == "keyframe:blue"
    charts.write_time_chart(found, tmp_path / "when.png")
    with pytest.raises(ConfigError, match="none of its streams has a map"):
        overlay.write_stills(found, "none.mp4", tmp_path / "words")
    with pytest.raises(ConfigError, match="2 videos"):
        explain_features(glrg, features)
    with pytest.raises(FeatureError, match="no video 'x'"):
        explain_features(glrg, features, "x")


def test_pooled_features_tell_why(s2vt, glrg, tmp_path):
    path = tmp_path / "features.h5"
    write_features(path, ["one"], {"keyframe": np.array([[0.98, 0.02, 0.02]], np.float32)})
    found = explain_features(glrg, path)
    assert found.sentence == "a red square" and found.pooled and found.concepts[0].top(1, 1)[0][0] == "keyframe:#0"
    with pytest.raises(ConfigError, match="pooled"):
        charts.write_time_chart(found, tmp_path / "when.png")
    write_features(path, ["one"], {"words": np.zeros((1, 3), np.float32)})
    with pytest.raises(ConfigError, match="reads 'keyframe'"):
        explain_features(s2vt, path)


def test_video_without_a_map(glrg, video, monkeypatch, tmp_path):
    monkeypatch.setattr(videos, "find_map_stream", lambda *_: None)
    explainer = videos.Explainer(glrg)
    found = explainer.explain(video, "a blue square", ExplainSettings(isolated=False))
    assert not found.has_maps and not len(found.frames) and found.chart()[2:, 1].min() > 0.9
    with pytest.raises(ConfigError, match="map"):
        _ = explainer.network
    with pytest.raises(ConfigError, match="map"):
        overlay.write_overlay(found, video, tmp_path / "o.mp4")


def test_command(glrg, features, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(captioners, "load_captioner", lambda _: glrg)
    chart = tmp_path / "when.png"
    words = ["any", str(features), "--id", "late", "--sentence", "a blue square"]
    assert cli.main(["explain", *words, "--chart", str(chart), "--json"]) == 0 and chart.is_file()
    document = json.loads(capsys.readouterr().out)
    assert document["words"][1]["position"] in (2, 3) and "point" not in document["words"][1]
    assert cli.main(["explain", *words, "--out", str(tmp_path / "o.mp4")]) == 2
    assert "not where" in capsys.readouterr().err
    assert cli.main(["explain", "any", str(tmp_path), "--id", "late"]) == 2
