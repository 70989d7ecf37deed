"""Saliency in the answer of `/v1/caption`."""

from __future__ import annotations

import asyncio
import base64
import io

import numpy as np
import pytest
from PIL import Image

from export.serving.predict import Signature, TensorSpec
from export.serving.saliency import SaliencyPictures
from export.serving.videos import EncoderReader
from glrg_tf.errors import ConfigError
from glrg_tf.explain import video as videos
from tests.explain import squares
from tests.serving.live import LiveServer, PlainEngine
from tests.serving.test_page import browser, element, text, wait  # noqa: F401 - a fixture


def test_pictures_of_a_caption(glrg, video):
    reader = EncoderReader(glrg.encoders, ("keyframe",), 1, 60.0, lambda limits: SaliencyPictures(glrg, limits))
    plain = EncoderReader(glrg.encoders, ("keyframe",), 1, 60.0)
    assert reader.explains and not plain.explains

    async def ask():
        found = await reader.saliency(video, "a blue zebra")
        nothing = await reader.saliency(video, "zebra")
        await reader.close()
        await plain.close()
        return found, nothing

    found, nothing = asyncio.run(ask())
    assert [entry["word"] for entry in found] == ["a", "blue"] and nothing == []
    header, _, data = found[1]["image"].partition(",")
    assert header == "data:image/jpeg;base64" and found[1]["second"] >= 1.0
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).shape == (72, 96, 3)


def test_no_map_no_pictures(glrg, monkeypatch):
    monkeypatch.setattr(videos, "find_map_stream", lambda *_: None)
    with pytest.raises(ConfigError, match="map"):
        SaliencyPictures(glrg, None)


class SquareEngine(PlainEngine):
    """Says "a blue square" of every video."""

    streams = squares.STREAMS

    def __init__(self) -> None:
        super().__init__()
        features = (TensorSpec("features", "DT_FLOAT", (None, 3)),)
        self.signatures = {
            name: Signature(features, self.signatures[name].outputs) for name in ("serving_default", "beam")
        }

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = super().run(signature, inputs)
        name = "captions" if signature == "beam" else "caption"
        return {**found, name: np.full(found[name].shape, b"a blue square", object)}


def test_the_box_of_the_page_shows_where_words_looked(browser, glrg, video):  # noqa: F811 - the fixture
    reader = EncoderReader(glrg.encoders, ("keyframe",), 1, 60.0, lambda limits: SaliencyPictures(glrg, limits))
    with LiveServer(SquareEngine(), videos=reader) as server:
        browser.get(f"http://127.0.0.1:{server.port}/")
        wait(browser, lambda: text(browser, "state") == "ready")
        assert element(browser, "explain-choice").is_displayed()
        element(browser, "file").send_keys(str(video))
        wait(browser, lambda: element(browser, "found").is_displayed())
        assert not element(browser, "saliency").is_displayed()  # not asked for
        element(browser, "explain").click()
        element(browser, "again").click()
        wait(browser, lambda: element(browser, "saliency").is_displayed())
        words = browser.find_elements("css selector", "#saliency-words button")
        assert [word.text for word in words] == ["a", "blue", "square"]
        words[1].click()
        assert "blue" in element(browser, "saliency-image").get_attribute("alt")
        width = "return document.getElementById('saliency-image').naturalWidth"
        wait(browser, lambda: browser.execute_script(width) == 96)
