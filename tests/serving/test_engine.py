"""What is served is what the library says: captioner and SavedModel, alone and in batches, and videos."""

from __future__ import annotations

import numpy as np
import pytest

from export.serving.engine import captioner_engine, newest_version, saved_model_engine
from glrg_tf.errors import CheckpointError, ExportError
from tests.serving.live import LiveServer, form

WIDTH = 9


@pytest.fixture(scope="module")
def captioner():
    from tests.captioner.conftest import build

    return build()


@pytest.fixture(scope="module")
def engine(captioner):
    return captioner_engine(captioner)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(40, WIDTH)).astype(np.float32)


def test_captions_over_http_are_those_of_generate(captioner, engine, features):
    from concurrent.futures import ThreadPoolExecutor

    wanted = [
        [(c.text, c.score, list(c.token_ids)) for c in row] for row in captioner.generate(features, num_captions=5)
    ]
    with LiveServer(engine) as server, ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda row: server.predict(row.tolist(), signature_name="beam").json, features))
        together = server.predict(*features.tolist(), signature_name="beam").json["predictions"]
        best = server.predict(*features.tolist()).json["predictions"]
        shown = list(pool.map(lambda row: server.ask("POST", "/v1/caption", {"features": row.tolist()}).json, features))
    for i, row in enumerate(wanted):
        assert together[i]["captions"] == alone[i]["predictions"][0]["captions"] == [text for text, _, _ in row]
        assert best[i]["caption"] == row[0][0]
        np.testing.assert_allclose(together[i]["scores"], [score for _, score, _ in row], rtol=1e-5)
        assert [(c["text"], c["token_ids"]) for c in shown[i]["captions"]] == [(text, ids) for text, _, ids in row]
        np.testing.assert_allclose(
            shown[i]["captions"][0]["score"], sum(shown[i]["captions"][0]["token_log_probs"]), 1e-4
        )


def test_one_graph_serves_batches_of_every_size(engine, features):
    engine.warm_up()
    graphs = {name: function.graph for name, function in engine._functions.items()}
    sizes = [len(engine.run("serving_default", {"features": features[:rows]})["score"]) for rows in range(1, 41)]
    assert sizes == list(range(1, 41))
    assert {name: function.graph for name, function in engine._functions.items()} == graphs


def test_a_saved_model_gives_the_same(captioner, engine, features, tmp_path):
    from export.saved_model import write_saved_model

    write_saved_model(captioner, tmp_path / "models", version=3)
    write_saved_model(captioner, tmp_path / "models", version=12)
    assert newest_version(tmp_path / "models").name == "12"
    loaded = saved_model_engine(tmp_path / "models")
    assert loaded.signatures == engine.signatures
    for name in ("serving_default", "beam"):
        ours, theirs = (e.run(name, {"features": features}) for e in (engine, loaded))
        for key, value in ours.items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(value, theirs[key], rtol=1e-5, atol=1e-5)
            else:
                assert (value == theirs[key]).all()


def test_what_is_no_saved_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        saved_model_engine(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(ExportError):
        saved_model_engine(tmp_path)


def test_features_the_network_cannot_work_with_harm_nobody_else(engine, features):
    huge = [3e38] * WIDTH
    with LiveServer(engine) as server:
        answer = server.ask("POST", "/v1/caption", {"features": huge})
        assert answer.status == 400 and "too large" in answer.error
        mixed = server.predict(features[0].tolist(), huge, features[1].tolist()).json["predictions"]
        alone = server.predict(*features[:2].tolist()).json["predictions"]
        assert [mixed[0]["caption"], mixed[2]["caption"]] == [row["caption"] for row in alone]
        assert mixed[1]["caption"] == ""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three small films of moving squares."""
    from glrg_tf.video.writer import write_video

    folder, paths = tmp_path_factory.mktemp("clips"), []
    for number in range(3):
        frames = np.full((20, 48, 64, 3), 40 * number, np.uint8)
        for t in range(20):
            frames[t, 10:30, 2 * t : 2 * t + 20] = (255, 90 * number, 20)
        paths.append(folder / f"clip{number}.mp4")
        write_video(paths[-1], frames, 10)
    return paths


@pytest.fixture(scope="module")
def filming():
    """A captioner with small encoders of random weights."""
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.presets import EncoderConfig, nano_spec
    from glrg_tf.text.vocabulary import Vocabulary
    from glrg_tf.video.sampling import FramePlan
    from tests.captioner.conftest import WORDS

    specs = (nano_spec("long_range", ("red", "blue", "green")), nano_spec("keyframe", ("square", "disc")))
    bundle = EncoderBundle.from_config(EncoderConfig(FramePlan(positions=4), specs))
    config = CaptionerConfig(
        vocabulary_size=len(WORDS), streams=bundle.widths, pool_size=6, embedding_size=5, hidden_size=8
    )
    model = CaptionerModel(config, seed=1)
    rng = np.random.default_rng(5)
    model.set_weights({name: rng.normal(0, 0.8, v.shape) for name, v in model.variables_by_name().items()})
    captioner = VideoCaptioner(model, Vocabulary(WORDS))
    captioner.encoders = bundle
    return captioner


def test_a_video_over_http_gets_the_captions_of_generate(filming, clips):
    from export.serving.videos import EncoderReader

    wanted = filming.generate(clips, num_captions=5)
    reader = EncoderReader(filming.encoders, filming.config.stream_names, 1, 20.0)
    reader.warm_up()
    with LiveServer(captioner_engine(filming), reader) as server:
        for path, row in zip(clips, wanted, strict=True):
            found = server.ask("POST", "/v1/caption", *form(path.read_bytes())).json
            assert [c["text"] for c in found["captions"]] == [c.text for c in row]
            np.testing.assert_allclose([c["score"] for c in found["captions"]], [c.score for c in row], rtol=1e-5)
            assert found["video"]["frames"] == 20
            assert {entry["label"] for entry in found["vocabularies"][1]["top"]} == {"square", "disc"}
        for data in (b"not a video", clips[0].read_bytes()[:600], b"#EXTM3U\nhttp://example.org/x.ts\n"):
            answer = server.ask("POST", "/v1/caption", *form(data))
            assert answer.status == 422 and answer.error and "glrg-upload" not in answer.body.decode()
        processes = [decoder._child._process for decoder in reader._idle]
    assert all(process.poll() is not None for process in processes)  # gone with the server


def test_a_client_that_leaves_takes_its_decoder_along(filming, clips, monkeypatch):
    """The decoding process is ended, and the next video gets a new one."""
    import socket
    import threading

    from export.serving.videos import EncoderReader
    from tests.serving.live import until
    from tests.serving.test_limits import head

    reader = EncoderReader(filming.encoders, filming.config.stream_names, 1, 20.0)
    stuck, killed = threading.Event(), threading.Event()

    def read_for_ever(item):
        stuck.set()
        killed.wait(10)

    with LiveServer(captioner_engine(filming), reader) as server:
        monkeypatch.setattr(reader._idle[0], "read", read_for_ever)
        monkeypatch.setattr(reader._idle[0], "close", killed.set)
        body, headers = form(clips[0].read_bytes())
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            lines = [f"Content-Length: {len(body)}", f"Content-Type: {headers['Content-Type']}"]
            connection.sendall(head("POST", "/v1/caption", *lines) + body)
            assert stuck.wait(5)
        until(killed.is_set)
        assert server.ask("POST", "/v1/caption", body, headers).status == 200
