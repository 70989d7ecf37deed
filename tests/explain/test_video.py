"""Explanations of a video: maps, moments, pictures, film, command line."""

from __future__ import annotations

import io
import json

import keras
import numpy as np
import pytest
from PIL import Image

from glrg_cli import main as cli
from glrg_cli.common import Console
from glrg_tf.captioner.s2vt_captioner import S2VTCaptioner
from glrg_tf.errors import ConfigError
from glrg_tf.explain import captioners, charts, overlay, picture
from glrg_tf.explain.video import Explainer, ExplainSettings
from glrg_tf.explain.view import View, cell_offset
from glrg_tf.video.reader import probe, read_frames
from tests.explain import squares


def test_where_and_when(explanation):
    assert explanation.words == ("a", "blue", "square", "zebra") and "zebra" in explanation.warnings[0]
    assert explanation.raw.shape == (24, 4, 6, 6) and explanation.raw.max() <= 0
    late = explanation.raw[explanation.best_frame(1), 1]
    assert np.unravel_index(int(late.argmax()), late.shape) == (4, 4)
    assert explanation.frames[explanation.best_frame(1)] >= 12
    assert not explanation.maps[:, 3].any() and explanation.maps[:, 1].max() > 0
    chart = explanation.chart()
    assert chart.shape == (4, 4) and chart[2:, 1].min() > 0.9 > 0.1 > chart[:2, 1].max()
    assert explanation.concepts[0].top(1, 1)[0][0] == "keyframe:blue"


def test_own_caption_and_sampling(glrg, video):
    explainer = Explainer(glrg)
    told = []
    found = explainer.explain(video, settings=ExplainSettings(rate=4.0, isolated=False), progress=told.append)
    assert len(found.frames) == 8 == sum(told) and found.sentence.startswith("a ")
    few = explainer.explain(video, settings=ExplainSettings(rate=0, max_frames=5, isolated=False, concepts=False))
    assert len(few.frames) == 5 and few.concepts is None
    isolated = explainer.explain(video, found.sentence, ExplainSettings(rate=4.0))
    np.testing.assert_allclose(isolated.raw, found.raw, atol=1e-5)


def test_s2vt_explains(s2vt, video):
    found = Explainer(s2vt).explain(video, "a blue square", ExplainSettings(rate=6.0, isolated=False))
    late = found.raw[found.best_frame(1), 1]
    assert np.unravel_index(int(late.argmax()), late.shape) == (4, 4)


def test_settings_are_checked(glrg):
    for wrong in ({"rate": -1.0}, {"rate": float("nan")}, {"max_frames": 0}):
        with pytest.raises(ConfigError):
            ExplainSettings(**wrong)
    glrg.encoders, kept = None, glrg.encoders
    with pytest.raises(ConfigError, match="no encoder"):
        Explainer(glrg)
    glrg.encoders = kept


# === Pictures ===
def test_enlarged_cells_lie_over_their_pixels():
    maps = np.zeros((6, 6))
    maps[1, 4] = 1.0
    large = picture.enlarge(maps, (60, 120))
    assert np.unravel_index(int(large.argmax()), large.shape)[0] in range(10, 20)
    assert np.unravel_index(int(large.argmax()), large.shape)[1] in range(80, 100)
    np.testing.assert_allclose(picture.enlarge(np.ones((3, 3)), (7, 9)), 1, atol=1e-5)


def test_cropped_maps_cover_the_middle():
    view = View((32, 32), "crop")
    assert view.window((60, 120)) == (0.0, 30.0, 60.0, 60.0)
    large = picture.enlarge(np.ones((4, 4)), (60, 120), view)
    assert not large[:, :29].any() and not large[:, 91:].any() and large[:, 31:89].min() > 0.99
    assert view.centre((0, 3), (4, 4), (60, 120)) == (7.5, 82.5)


def test_where_cells_look_is_measured():
    def maps(padding, layers):
        frames = keras.Input((1, 64, 48, 3))
        x = keras.layers.Rescaling(1 / 255)(frames[:, 0])
        for _ in range(layers):
            x = keras.layers.Conv2D(8, 3, 2, padding)(keras.layers.ZeroPadding2D(1)(x) if padding == "valid" else x)
        return keras.Model(frames, x)

    # "same" pads the end: what three layers see lies 3.5 pixels of the picture, 7/16 of a cell, further down and right.
    np.testing.assert_allclose(cell_offset(maps("same", 3)), (3.5 / 8, 3.5 / 8), atol=0.15)
    np.testing.assert_allclose(cell_offset(maps("valid", 3)), (-3.5 / 8, -3.5 / 8), atol=0.15)
    np.testing.assert_allclose(cell_offset(squares.make_bundle().streams["keyframe"].feature_map), 0, atol=1e-5)
    moved = picture.enlarge(np.pad([[1.0]], ((1, 2), (1, 2))), (40, 40), View(offset=(0.5, 0.25)))
    assert np.unravel_index(int(moved.argmax()), moved.shape) in ((19, 17), (20, 17))


def test_blend_by_hand():
    assert picture.jet()[[0, 255]].tolist() == [[0, 0, 128], [128, 0, 0]]
    frame = np.full((1, 2, 3), 100, np.uint8)
    np.testing.assert_array_equal(picture.blend(frame, np.array([[0.0, 1.0]]))[0], [[50, 50, 114], [114, 50, 50]])
    assert picture.blend(np.full((1, 1, 3), 255, np.uint8), np.array([[0.7]])).dtype == np.uint8


def test_grid():
    assert [picture.grid_shape(n) for n in (1, 2, 5, 9, 10)] == [(1, 1), (1, 2), (2, 3), (3, 3), (3, 4)]


def test_film(explanation, video, tmp_path):
    assert overlay.write_overlay(explanation, video, tmp_path / "all.mp4") == 24
    found = probe(tmp_path / "all.mp4")
    assert found.frames == 24 and found.frame_rate == pytest.approx(12) and found.width > found.height
    overlay.write_overlay(explanation, video, tmp_path / "one.mp4", word=1)
    images = read_frames(tmp_path / "one.mp4", np.array([20])).images
    assert images.shape == (1, 72, 96, 3)
    colours = images[0].astype(int) - read_frames(video, np.array([20])).images[0] // 2
    warm = colours[..., 0] - colours[..., 2]
    assert np.unravel_index(int(warm.argmax()), warm.shape)[1] > 48


def test_stills_and_charts(explanation, video, tmp_path):
    names = [path.name for path in overlay.write_stills(explanation, video, tmp_path / "words")]
    assert names == ["01-a.png", "02-blue.png", "03-square.png"]
    assert Image.open(tmp_path / "words" / "02-blue.png").size == (96, 72)
    charts.write_time_chart(explanation, tmp_path / "when.png")
    charts.write_concept_chart(explanation, tmp_path / "why.svg")
    assert Image.open(tmp_path / "when.png").width > 300 and b"<svg" in (tmp_path / "why.svg").read_bytes()
    with pytest.raises(ConfigError, match="kind of picture"):
        charts.check_chart("when.txt")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="not a folder"):
        overlay.write_stills(explanation, video, tmp_path / "file")


# === Command line ===
def glrg_explain(*words: object) -> tuple[int, dict]:
    output = io.StringIO()
    console = Console(json_output=True, quiet=True, output=output)
    code = cli.run_command("explain", [*map(str, words), "--json"], console)
    return code, json.loads(output.getvalue())


@pytest.fixture(scope="module")
def saved(s2vt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "captioner"
    S2VTCaptioner(s2vt.model, s2vt.vocabulary).save_to_preset(folder)
    return folder


def test_command(saved, video, tmp_path, monkeypatch):
    monkeypatch.setattr(captioners, "load_captioner", lambda _: _with_squares(saved))
    code, found = glrg_explain(
        saved, video, "--sentence", "a blue zebra", "--word", "Blue", "--out", tmp_path / "o.mp4", "--rate", "6"
    )
    assert code == 0 and found["files"] == [str(tmp_path / "o.mp4")]
    blue, zebra = found["words"][1:]
    assert blue["point"] == [72, 54] and blue["frame"] >= 12 and blue["concepts"][0]["name"] == "keyframe:blue"
    assert zebra == {"word": "zebra", "known": False, "concepts": []}


def _with_squares(folder):
    """The saved captioner with the squares' network, which is none that a folder can hold."""
    captioner = S2VTCaptioner.from_preset(folder)
    captioner.encoders = squares.make_bundle()
    return captioner


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["{video}", "--chart", "x.txt"], 2),
        (["{video}", "--out", "x.txt"], 2),
        (["{video}", "--word", "red"], 2),
        (["{folder}"], 2),
        (["{video}", "--pointing-game"], 2),
        (["missing.mp4"], 4),
    ],
)
def test_command_refuses_before_loading(words, code, video, capsys):
    filled = [word.format(video=video, folder=video.parent) for word in words]
    assert cli.main(["explain", "no-such-captioner", *filled]) == code
    assert "Traceback" not in capsys.readouterr().err
