"""The signatures of a SavedModel give what the library gives."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from export.saved_model import write_saved_model
from export.serving.engine import saved_model_engine
from export.signatures import frames_model_for
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.saliency import saliency
from glrg_tf.explain.video import Explainer, ExplainSettings
from tests.explain import squares


@pytest.fixture(scope="module")
def loaded(glrg, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signature") / "model"
    write_saved_model(glrg, folder, frames_model=frames_model_for(glrg, glrg.encoders))
    return tf.saved_model.load(str(folder / "1")).signatures, saved_model_engine(folder)


def test_items(glrg, loaded):
    items = np.random.default_rng(0).random((2, 5, 3)).astype(np.float32)
    queries = [parse_query(text, squares.VOCABULARY).token_ids for text in ("a red square", "a blue")]
    token_ids = np.array([[*queries[0], 0], [*queries[1], 0, 0]], np.int32)
    found = loaded[0]["explain"](features=tf.constant(items), token_ids=tf.constant(token_ids))["log_probs"].numpy()
    assert found.shape == (2, 5, 4) and not found[1, :, 3].any()
    scorer = Explainer(glrg).scorer
    for row, (part, ids) in enumerate(zip(items, queries, strict=True)):
        np.testing.assert_allclose(found[row, :, : len(ids)], saliency(scorer, part, ids), atol=1e-5)


def test_frames(glrg, loaded):
    frames = np.stack([squares.frame(("red", 1, n // 2), ("blue", 4, 4)) for n in range(8)]).repeat(2, axis=2)
    query, explainer = parse_query("a red square", squares.VOCABULARY), Explainer(glrg)
    positions = explainer.encode_frames(lambda places: frames[places], len(frames))
    shown = frames[glrg.encoders.plan.keyframes(len(frames))]
    expected = explainer.score_frames(shown, positions, query, ExplainSettings())
    inputs = {"frames": frames[None], "token_ids": query.token_ids[None]}
    found = loaded[1].run("explain_frames", inputs)["log_probs"]
    assert found.shape == (1, 4, 3, 6, 6)
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
