"""TF Serving's side: layout, warm-up requests, REST and gRPC clients against a stand-in with the same SavedModel."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from export.serving.clients import grpc_client, load_generator, rest_client
from tests.serving.live import WIDTH, LiveServer, saying

FEATURES = 9


@pytest.fixture(scope="module")
def captioner():
    from tests.captioner.conftest import build

    return build()


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(40, FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def export(captioner, tmp_path_factory):
    """An export with a SavedModel in two forms, and its serving files."""
    from export.saved_model import write_saved_model
    from export.serving.layout import write_serving_files

    folder = tmp_path_factory.mktemp("export")
    write_saved_model(captioner, folder / "saved_model")
    write_saved_model(captioner, folder / "saved_model.float16", storage="float16")
    written = write_serving_files(folder)
    assert all(path.is_file() for path in written)
    return folder


def test_the_layout_is_what_tf_serving_reads(export):
    models = (export / "serving" / "models.config").read_text()
    assert models.count("config {") == 2 and 'base_path: "/models/saved_model"' in models
    assert 'name: "captioner"' in models and 'name: "captioner_float16"' in models
    for file in ("models.config", "batching.config", "monitoring.config"):
        text = (export / "serving" / file).read_text()
        assert text.count("{") == text.count("}") > 0
    compose = (export / "serving" / "docker-compose.yml").read_text()
    assert "--model_config_file=/serving/models.config" in compose and "..:/models:ro" in compose
    assert "127.0.0.1:8501:8501" in compose
    assert f"(N, {FEATURES})" in (export / "serving" / "README.md").read_text()


def test_configuration_files_parse_as_text_of_the_protocol(export):
    """Field names of tensorflow_serving/config/model_server_config.proto and session_bundle_config.proto."""
    from google.protobuf import text_format

    wrapped = {"value": (1, "int64")}
    entries = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    classes = grpc_client.message_classes(
        {
            "ModelConfig": {"name": (1, "string"), "base_path": (2, "string"), "model_platform": (4, "string")},
            "ModelConfigList": {"config": (1, "*ModelConfig")},
            "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
            "Int64Value": wrapped,
            "BatchingParameters": {name: (number, "Int64Value") for number, name in enumerate(entries, 1)},
        }
    )
    folder = export / "serving"
    models = text_format.Parse((folder / "models.config").read_text(), classes["ModelServerConfig"]())
    names = [(entry.name, entry.base_path) for entry in models.model_config_list.config]
    assert names == [("captioner", "/models/saved_model"), ("captioner_float16", "/models/saved_model.float16")]
    batching = text_format.Parse((folder / "batching.config").read_text(), classes["BatchingParameters"]())
    assert batching.max_batch_size.value == 32 and batching.batch_timeout_micros.value == 2000


def test_warm_up_requests_are_read_back_as_the_protocol_has_them(export, captioner):
    import tensorflow as tf

    from export.serving.engine import saved_model_engine
    from export.serving.warmup import FILE, read_warmup
    from tests.serving.stand_in import official_messages

    path = export / "saved_model" / "1" / FILE
    requests = list(read_warmup(path))
    assert [(name, len(inputs["features"])) for name, inputs in requests] == [
        ("serving_default", 1),
        ("serving_default", 8),
        ("beam", 1),
        ("beam", 8),
    ]
    engine = saved_model_engine(export / "saved_model")
    for name, inputs in requests:
        assert all(np.isfinite(v).all() for v in engine.run(name, inputs).values() if v.dtype == np.float32)
    official, _ = official_messages()
    for record, (name, inputs) in zip(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), requests, strict=True):
        # PredictionLog { PredictLog predict_log = 6 { PredictRequest request = 1 } }: two lengths around the request.
        assert record[0] == 6 << 3 | 2
        request = official.FromString(unwrapped(unwrapped(record)))
        assert (request.model_spec.name, request.model_spec.signature_name) == ("captioner", name)
        tensor = tf.make_ndarray(tf.make_tensor_proto(inputs["features"]))
        sent = request.inputs["features"]
        assert sent.dtype == tf.float32.as_datatype_enum and sent.tensor_content == tensor.tobytes()


def unwrapped(message: bytes) -> bytes:
    """The bytes of a message whose only field is a message."""
    from google.protobuf.internal.decoder import _DecodeVarint32

    length, start = _DecodeVarint32(message, 1)
    assert start + length == len(message)
    return message[start:]


def test_warm_up_files_that_are_none_are_refused(tmp_path):
    from export.serving.warmup import read_warmup
    from glrg_tf.errors import ExportError

    (tmp_path / "file").write_bytes(b"not a record" * 9)
    with pytest.raises(ExportError):
        list(read_warmup(tmp_path / "file"))


def test_the_rest_client_gets_the_captions_of_generate(export, captioner, features):
    from export.serving.engine import saved_model_engine

    wanted = [[caption.text for caption in row] for row in captioner.generate(features, num_captions=3)]
    with LiveServer(saved_model_engine(export / "saved_model")) as server:
        url = f"http://127.0.0.1:{server.port}"
        best = rest_client.captions(url, features, 1, "captioner")
        several = rest_client.captions(url, features, 3, "captioner")
        with pytest.raises(RuntimeError, match="400.*shape"):
            rest_client.predict(url, features[:, :4], "beam")
        with pytest.raises(RuntimeError, match="404.*Servable not found|404.*nothing"):
            rest_client.predict(url, features, "beam", model="other")
    assert [[caption["text"] for caption in row] for row in best] == [row[:1] for row in wanted]
    assert [[caption["text"] for caption in row] for row in several] == wanted


def test_requests_and_answers_of_the_rest_client_fit_the_signature(export, features):
    """The client's JSON is what TF Serving's documentation says, checked against the SavedModel's own signature."""
    import tensorflow as tf

    from export.serving.engine import saved_model_engine
    from export.serving.predict import parse_call

    engine = saved_model_engine(export / "saved_model")
    document = {"signature_name": "beam", "inputs": {"features": features[:2].tolist()}}
    call = parse_call(json.loads(json.dumps(document)), engine.signatures)
    wanted = tf.saved_model.load(str(export / "saved_model" / "1")).signatures["beam"].structured_input_signature[1]
    assert set(call.inputs) == set(wanted)
    assert all(wanted[name].is_compatible_with(tf.constant(value)) for name, value in call.inputs.items())


@pytest.mark.parametrize("packed", [False, True])
def test_the_grpc_client_gets_the_captions_of_generate(
    export, captioner, features, packed, monkeypatch, capsys, tmp_path
):
    import grpc

    from tests.serving.stand_in import grpc_server

    np.save(tmp_path / "features.npy", features)
    with grpc_server(str(export / "saved_model" / "1"), packed=packed) as port:
        monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "features.npy"), "--address", f"127.0.0.1:{port}"])
        grpc_client.main()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            response = grpc_client.CLASSES["PredictResponse"]
            predict = channel.unary_unary(grpc_client.METHOD, lambda m: m.SerializeToString(), response.FromString)
            found = predict(grpc_client.predict_request({"features": features[:3]}, "captioner", "beam"), timeout=20)
            with pytest.raises(grpc.RpcError) as caught:
                predict(grpc_client.predict_request({"features": features[:3]}, "other", "beam"), timeout=20)
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = captioner.generate(features, num_captions=5)
    assert [row["caption"] for row in rows] == [row[0].text for row in wanted]
    np.testing.assert_allclose([row["score"] for row in rows], [row[0].score for row in wanted], rtol=1e-5)
    outputs = {entry.key: grpc_client.to_array(entry.value) for entry in found.outputs}
    assert outputs["token_ids"].dtype == np.int32 and outputs["token_ids"].shape == (3, 5, 28)
    assert outputs["captions"].tolist() == [[caption.text for caption in row] for row in wanted[:3]]


def test_messages_above_four_megabytes_pass(tmp_path, monkeypatch, capsys):
    import tensorflow as tf

    from tests.serving.stand_in import grpc_server

    many = np.ones((2000, 600), np.float32)
    assert many.nbytes > 4 * 2**20
    np.save(tmp_path / "many.npy", many)
    sums = {"serving_default": lambda features: {"caption": tf.fill([2000], "x"), "score": tf.reduce_sum(features, 1)}}
    with grpc_server(sums) as port:
        monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "many.npy"), "--address", f"127.0.0.1:{port}"])
        grpc_client.main()
    assert capsys.readouterr().out.splitlines() == ['{"caption": "x", "score": 600.0}'] * 2000


def test_clients_are_short_and_need_nothing_of_this_package(repository):
    for file in ("rest_client.py", "grpc_client.py"):
        text = (repository / "export" / "serving" / "clients" / file).read_text()
        assert len(text.splitlines()) < 100
        assert "glrg_tf" not in text and "import tensorflow" not in text and "from export" not in text
    for file in ("rest_client.py", "grpc_client.py", "load_generator.py"):
        path = repository / "export" / "serving" / "clients" / file
        ran = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, cwd="/")
        assert ran.returncode == 0 and "usage" in ran.stdout


def test_the_load_generator_counts_what_comes_back():
    with LiveServer() as server:
        bodies = [json.dumps({"instances": [[i, 0, 0, 0, 0]]}).encode() for i in range(5)] + [b"{"]
        url, seen = f"http://127.0.0.1:{server.port}", []

        def check(number, answer):
            return json.loads(answer)["predictions"][0]["caption"].encode() == saying(
                [max(number, 1)] + [0] * (WIDTH - 1)
            )

        load = load_generator.run(url, bodies, 120, 4, check=check, progress=seen.append)
    assert load.statuses == {200: 100, 400: 20}
    assert load.wrong == 20  # the check above is wrong about body 0
    assert sum(seen) == 100
    assert 0 < load.percentile(0.5) <= load.percentile(0.99) <= load.seconds
