"""`/v1/caption`: a video file or features, with alternatives, scores and the words of the vocabularies."""

from __future__ import annotations

import random

import pytest

from export.serving.body import Form, upload_file
from tests.serving.live import WIDTH, LiveServer, PlainReader, form


def test_features_as_a_list_or_by_stream(server):
    flat = server.ask("POST", "/v1/caption", {"features": [1, 5, 3, 4, 2]})
    named = server.ask("POST", "/v1/caption", {"features": {"keyframe": [4, 2], "long_range": [1, 5, 3]}})
    assert flat.status == named.status == 200
    assert flat.json["captions"] == named.json["captions"]
    first, second = flat.json["captions"]
    assert first == {"text": "a sum of 15", "score": -15.0, "token_ids": [3, 4]}
    assert second == {"text": "or a sum of 15", "score": -16.0, "token_ids": [3]}
    assert flat.json["vocabularies"] == [
        {"name": "long_range", "top": [{"label": w, "value": v} for w, v in (("dog", 5), ("guitar", 3), ("man", 1))]},
        {"name": "keyframe", "top": [{"label": "stage", "value": 4.0}, {"label": "#1", "value": 2.0}]},
    ]
    assert flat.json["timing_ms"]["total"] >= flat.json["timing_ms"]["caption"] >= 0
    assert len(server.ask("POST", "/v1/caption", {"features": [0] * WIDTH, "n": 1}).json["captions"]) == 1


def test_a_video_file(server):
    answer = server.ask("POST", "/v1/caption", *form(bytes([1, 2, 3, 4, 5, 9]), n="1"))
    assert [caption["text"] for caption in answer.json["captions"]] == ["a sum of 15"]
    assert answer.json["video"] == {"frames": 6}
    assert set(answer.json["timing_ms"]) == {"receive", "decode", "encode", "caption", "total"}


def test_a_file_that_is_no_video_is_told_without_a_path(server):
    answer = server.ask("POST", "/v1/caption", *form(b"bad file"))
    assert answer.status == 422 and answer.error == "not a video"
    assert "tmp" not in answer.body.decode()


def test_a_captioner_without_encoders_says_so():
    with LiveServer() as server:
        assert server.ask("GET", "/v1/info").json["accepts"] == ["features"]
        answer = server.ask("POST", "/v1/caption", *form(b"abcdefgh"))
        assert answer.status == 415 and "features" in answer.json["remedy"]


def test_uploads_have_places_of_their_own():
    import asyncio
    import threading

    class Slow(PlainReader):
        go_on = threading.Event()
        working = threading.Event()

        async def read(self, path, seconds):
            self.working.set()
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
            return await super().read(path, seconds)

    from concurrent.futures import ThreadPoolExecutor

    with LiveServer(videos=Slow(), max_videos=1) as server, ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.ask, "POST", "/v1/caption", *form(b"abcdefgh"))
        assert Slow.working.wait(5)
        answer = server.ask("POST", "/v1/caption", *form(b"abcdefgh"))
        assert answer.status == 429 and "retry-after" in answer.headers
        assert server.ask("POST", "/v1/caption", {"features": [0] * WIDTH}).status == 200
        Slow.go_on.set()
        assert held.result().status == 200
        assert server.ask("POST", "/v1/caption", *form(b"abcdefgh")).status == 200


def test_info_tells_what_the_page_needs(server):
    info = server.ask("GET", "/v1/info").json
    assert info["accepts"] == ["features", "video"]
    assert info["streams"] == [{"name": "long_range", "width": 3}, {"name": "keyframe", "width": 2}]
    assert info["captions"] == 2 and info["feature_size"] == WIDTH


@pytest.mark.parametrize("seed", range(20))
def test_forms_may_come_in_any_pieces(seed):
    rng = random.Random(seed)
    data = bytes(rng.randrange(256) for _ in range(3000)) + b"\r\n--b\r\n-- b--"[: rng.randrange(13)]
    data = data.replace(b"\r\n--b", b"\r\n--c")
    body, headers = form(data, n="3", note="grüße")
    with upload_file() as file:
        parsed = Form(headers["Content-Type"], file)
        while body:
            size = rng.choice([1, 2, 7, 500])
            parsed.write(body[:size])
            body = body[size:]
        parsed.finish()
        with open(file.name, "rb") as written:
            assert written.read() == data
        assert parsed.fields == {"n": "3", "note": "grüße"}
        assert "x.mp4" not in file.name
