"""TF Serving's REST interface: forms of requests and answers."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from export.serving import predict
from export.serving.predict import TensorSpec
from export.serving.refusal import RequestError
from tests.serving.live import WIDTH

ROW = [1.0, 2.0, 3.0, 4.0, 5.5]
MODEL = "/v1/models/captioner"


def test_rows_with_and_without_names_give_rows(server):
    wanted = {"predictions": [{"caption": "a sum of 16", "score": -15.5}, {"caption": "a sum of 0", "score": 0.0}]}
    assert server.predict({"features": ROW}, {"features": [0] * WIDTH}).json == wanted
    assert server.predict(ROW, [0] * WIDTH).json == wanted


def test_columns_give_columns(server):
    for inputs in ([ROW, ROW], {"features": [ROW, ROW]}):
        answer = server.ask("POST", f"{MODEL}:predict", {"inputs": inputs})
        assert answer.json == {"outputs": {"caption": ["a sum of 16"] * 2, "score": [-15.5] * 2}}


def test_signatures_are_chosen_by_name(server):
    found = server.predict(ROW, signature_name="beam").json["predictions"][0]
    assert found["captions"] == ["a sum of 16", "or a sum of 16"]
    assert found["token_ids"] == [[3, 4, 0], [3, 0, 0]]
    answer = server.predict(ROW, signature_name="nonsense")
    assert answer.status == 400 and "nonsense" in answer.error


def test_one_output_is_not_named_and_bytes_come_as_base64(server):
    text = base64.b64encode("grüße".encode()).decode()
    for sentence in ("grüße", {"b64": text}):
        answer = server.predict({"features": ROW, "sentence": sentence}, signature_name="explain")
        assert answer.json == {"predictions": ["grüße: a sum of 16"]}
    columns = {"features": [ROW], "sentence": [{"b64": text}]}
    answer = server.ask("POST", f"{MODEL}:predict", {"inputs": columns, "signature_name": "explain"})
    assert answer.json == {"outputs": ["grüße: a sum of 16"]}


def test_versions_status_and_metadata(server):
    body = {"instances": [ROW]}
    assert server.ask("POST", f"{MODEL}/versions/1:predict", body).status == 200
    assert server.ask("POST", f"{MODEL}/versions/2:predict", body).status == 404
    assert server.ask("POST", "/v1/models/other:predict", body).status == 404
    for path in (MODEL, f"{MODEL}/versions/1"):
        (status,) = server.ask("GET", path).json["model_version_status"]
        assert status["version"] == "1" and status["state"] == "AVAILABLE"
    found = server.ask("GET", f"{MODEL}/metadata").json
    assert found["model_spec"]["name"] == "captioner"
    features = found["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["features"]
    assert features["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in features["tensor_shape"]["dim"]] == ["-1", str(WIDTH)]


def test_float32_survives_the_way_through_json(server):
    values = np.random.default_rng(0).normal(size=WIDTH).astype(np.float32)
    array = predict.to_array(json.loads(json.dumps([values.tolist()])), TensorSpec("f", "DT_FLOAT", (None, WIDTH)))
    assert array.dtype == np.float32 and np.array_equal(array[0], values)


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        ([[1, 2]], "DT_FLOAT", (None, 3)),  # width
        ([1, 2, 3], "DT_FLOAT", (None, 3)),  # rank
        ([], "DT_FLOAT", (None, 3)),
        ([[]], "DT_FLOAT", (None, None)),
        ([[1, 2], [3]], "DT_FLOAT", (None, None)),  # ragged
        ([[1, float("nan")]], "DT_FLOAT", (None, 2)),
        ([[1, float("inf")]], "DT_FLOAT", (None, 2)),
        ([[1, 1e300]], "DT_FLOAT", (None, 2)),  # beyond float32
        ([[1, "2"]], "DT_FLOAT", (None, 2)),
        ([[True, False]], "DT_FLOAT", (None, 2)),
        ([[1, None]], "DT_FLOAT", (None, 2)),
        ([[1, {}]], "DT_FLOAT", (None, 2)),
        ([[1, 10**400]], "DT_FLOAT", (None, 2)),
        ("text", "DT_FLOAT", (None, 2)),
        ({"a": 1}, "DT_FLOAT", (None, 2)),
        (None, "DT_FLOAT", (None, 2)),
        ([1.5], "DT_UINT8", (None,)),
        ([256], "DT_UINT8", (None,)),
        ([-1], "DT_UINT8", (None,)),
        ([2**31], "DT_INT32", (None,)),
        ("text", "DT_STRING", (None,)),
        ([1], "DT_STRING", (None,)),
        ([["a"], ["b", "c"]], "DT_STRING", (None,)),
        ([{"b64": "*"}], "DT_STRING", (None,)),
        ([{"b64": 1}], "DT_STRING", (None,)),
        (["\ud800"], "DT_STRING", (None,)),
    ],
)
def test_values_that_do_not_fit_are_refused(value, dtype, shape):
    with pytest.raises(RequestError) as caught:
        predict.to_array(value, TensorSpec("x", dtype, shape))
    assert caught.value.status == 400


def test_whole_numbers_become_the_type_of_the_signature():
    frames = predict.to_array([[[0, 255]]], TensorSpec("frames", "DT_UINT8", (None, None, 2)))
    assert frames.dtype == np.uint8 and frames.tolist() == [[[0, 255]]]
