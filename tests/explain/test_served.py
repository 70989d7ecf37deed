"""Saliency in the answer of `/v1/caption`."""

from __future__ import annotations

import asyncio
import base64
import io

import numpy as np
from PIL import Image

from export.serving.saliency import SaliencyPictures
from export.serving.videos import EncoderReader


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
