"""One export in every form: what lies there, that each file captions as Keras does, that a wrong one is not kept."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import pytest

from export import exporter, frames_parity, onnx_int8, runners, smaller
from export.manifest import Provenance
from export.onnx_loops import subgraphs, walk
from export.parity import TOLERANCE, Reference, check_hypotheses
from export.plan import ExportRequest, artefacts
from export.probes import Probes
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.errors import ConfigError, ExportError
from glrg_tf.io import atomic
from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_tables import SENTINEL
from glrg_tf.text.vocabulary import Vocabulary
from tests.export.conftest import ALL_FORMS, make_captioner

PLAIN = Provenance("made", "0" * 64, "")
FEATURE_FILES = [a for a in artefacts(ALL_FORMS) if not a.frames]


def hypotheses(folder: pathlib.Path, artefact) -> runners.Run:
    path = folder / artefact.path
    if artefact.format == "saved_model":
        return runners.open_saved_model(path / "1")["beam"]
    return runners.open_litert(path) if artefact.format == "litert" else runners.open_onnx(path, 1)


def test_the_folder_holds_what_the_plan_says(exported, manifest, captioner):
    assert {entry["path"] for entry in manifest["artefacts"]} == {a.path for a in artefacts(ALL_FORMS)}
    assert (exported / "saved_model" / "1" / "saved_model.pb").is_file()
    assert (exported / "serving" / "models.config").is_file()
    assert not (exported / "source.onnx").exists()
    assert Vocabulary.load(exported / "vocabulary.json") == captioner.vocabulary
    atomic.verify_manifest(exported)
    assert manifest["versions"]["tensorflow"].startswith("2.")
    assert manifest["licence"] == {"program": "MIT", "data": "none needed"}
    card = (exported / "model_card.md").read_text("utf-8")
    assert "captioner.int8.onnx" in card and "### A card" in card


@pytest.mark.parametrize("artefact", FEATURE_FILES, ids=lambda artefact: artefact.path)
def test_every_file_captions_as_keras(artefact, exported, captioner, videos):
    twin = smaller.rounded(captioner) if artefact.form == "float16" else captioner
    outputs = hypotheses(exported, artefact)(videos)
    for row, expected in enumerate(twin.generate(videos, num_captions=4)):
        if artefact.form == "int8":
            assert outputs["scores"][row, 0] == pytest.approx(expected[0].score, abs=0.1)
            continue
        for place, caption in enumerate(expected):
            ids = outputs["token_ids"][row, place]
            assert tuple(ids[: len(caption.token_ids)]) == caption.token_ids and not ids[len(caption.token_ids) :].any()
            assert outputs["scores"][row, place] == pytest.approx(caption.score, abs=5 * TOLERANCE)
            if "captions" in outputs:
                text = outputs["captions"][row, place]
                assert (text if isinstance(text, str) else text.decode()) == caption.text


def test_a_bad_video_is_refused_alone(exported, videos):
    spoilt = videos[:4].copy()
    spoilt[1, 3], spoilt[2] = np.nan, 1e30
    for artefact in FEATURE_FILES:
        run = hypotheses(exported, artefact)
        whole, spoilt_outputs = run(videos[:4]), run(spoilt)
        assert (spoilt_outputs["scores"][1:3] < -6e4).all() and not spoilt_outputs["token_ids"][1:3].any()
        np.testing.assert_array_equal(spoilt_outputs["token_ids"][[0, 3]], whole["token_ids"][[0, 3]])


def test_saved_model_gives_the_best_caption_as_text(exported, captioner, videos):
    outputs = runners.open_saved_model(exported / "saved_model" / "1")["serving_default"](videos)
    expected = [found[0] for found in captioner.generate(videos)]
    assert [text.decode() for text in outputs["caption"]] == [caption.text for caption in expected]
    np.testing.assert_allclose(outputs["score"], [caption.score for caption in expected], atol=1e-5)


def test_int8_captions_do_not_depend_on_their_neighbours(exported, videos):
    run = runners.open_onnx(exported / "captioner.int8.onnx", 1)
    single = np.concatenate([run(videos[row : row + 1])["token_ids"] for row in range(len(videos))])
    np.testing.assert_array_equal(run(videos)["token_ids"], single)


def test_onnx_loops_read_their_weights_from_outside(exported):
    model = onnx.load(exported / "captioner.onnx")
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx.ml"}
    loops = [node for graph in walk(model.graph) for node in graph.node if node.op_type == "Loop"]
    assert len(loops) == 1
    body = subgraphs(loops[0])[0]
    kernels = [t.name for t in model.graph.initializer if len(t.dims) == 2 and t.dims[0] == 64]
    assert len(kernels) >= 4 and not set(kernels) & set(
        loops[0].input
    )  # read from outside, not handed from step to step
    assert set(kernels) & {name for node in body.node for name in node.input}
    small = onnx.load(exported / "captioner.int8.onnx")
    operations = [node.op_type for graph in walk(small.graph) for node in graph.node]
    assert "MatMulInteger" in operations
    left = [t.name for t in small.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2]
    sizes = [t.dims for t in small.graph.initializer if t.name in left]
    assert all(np.prod(size) < onnx_int8._SMALLEST for size in sizes)


def test_a_file_that_differs_is_not_kept(captioner, exported, tmp_path, monkeypatch):
    def slightly_wrong(module, path, frames=False):
        model = onnx.load(exported / "captioner.onnx")
        bias = next(t for t in model.graph.initializer if list(t.dims) == [len(captioner.vocabulary)])
        values = onnx.numpy_helper.to_array(bias).copy()
        values[3] += 1e-3
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(model, path)
        return path

    monkeypatch.setattr(exporter, "write_onnx", slightly_wrong)
    with pytest.raises(ExportError) as refusal:
        exporter.Exporter(captioner, ExportRequest(("onnx",))).run(tmp_path / "out", PLAIN)
    assert refusal.value.exit_code == 5 and "captioner.onnx" in refusal.value.where
    assert list(tmp_path.iterdir()) == []


def test_ties_are_told_from_mistakes(videos):
    """Two words with equal weights tie: exchanging them is accepted, a third word in their place is not."""
    twins = make_captioner()
    weights = twins.model.get_weights()
    said = Counter(i for found in twins.generate(videos[:8]) for i in found[0].token_ids)
    usual = said.most_common(1)[0][0]
    twin, third = [i for i in range(3, 70) if i not in said][:2]
    weights["word_embedding/embeddings"][twin] = weights["word_embedding/embeddings"][usual]
    for name in ("logits/kernel", "logits/bias"):
        weights[name][..., twin] = weights[name][..., usual]
    twins.model.set_weights(weights)
    reference = Reference(twins, Probes(videos[:8], ("made",) * 8), 4)

    assert check_hypotheses("same", answers(reference, {}), reference).ties == {}
    exchanged = check_hypotheses("exchanged", answers(reference, {usual: twin, twin: usual}), reference)
    assert exchanged.ties["made"] > 0
    with pytest.raises(ExportError, match="captions differ|log-probabilities"):
        check_hypotheses("wrong", answers(reference, {usual: third}), reference)


def answers(reference: Reference, exchange: dict[int, int]) -> runners.Run:
    """An artefact that says what the reference says, some words exchanged."""

    def run(features):
        known = [int(np.flatnonzero((reference.probes.features == row).all(axis=1))[0]) for row in features]
        ids = np.zeros((len(known), 4, 10), np.int32)
        scores, spent = np.full((len(known), 4), -1e30), np.zeros(ids.shape)
        for place, row in enumerate(known):
            for rank, caption in enumerate(reference.captions[row]):
                ids[place, rank, : len(caption.token_ids)] = [exchange.get(i, i) for i in caption.token_ids]
                scores[place, rank] = caption.score
                spent[place, rank, : len(caption.token_log_probs)] = caption.token_log_probs
        return {"token_ids": ids, "scores": scores, "token_log_probs": spent}

    return run


def test_minimum_risk_is_exported(tmp_path):
    captioner = make_captioner()
    keys = np.array([*range(3, 40), SENTINEL], np.int64)  # single words; all other n-grams weigh the same
    weights = np.random.default_rng(0).uniform(0, 9, len(keys)).astype(np.float32)
    captioner.ngram_weights = NgramWeights(keys, weights)
    probable = captioner.generate(np.eye(18, dtype=np.float32))
    captioner.decoding = dataclasses.replace(captioner.decoding, selection="minimum_risk")
    assert captioner.generate(np.eye(18, dtype=np.float32)) != probable
    content = exporter.Exporter(captioner, ExportRequest(("litert",))).run(tmp_path / "out", PLAIN)
    assert content["decoding"]["selection"] == "minimum_risk"


def with_prior(captioner: VideoCaptioner) -> VideoCaptioner:
    """The captioner with a made-up content prior, steered and choosing by it."""
    rng = np.random.default_rng(0)
    words = [*range(3, captioner.config.vocabulary_size)]
    pairs = {ngrams.pack_ngram([int(a), int(b)]) for a, b in rng.integers(3, words[-1], (99, 2))}
    keys = np.array([*words, *sorted(pairs), SENTINEL], np.int64)
    captioner.ngram_weights = NgramWeights(keys, rng.uniform(0, 9, len(keys)).astype(np.float32))
    width, size = captioner.config.feature_size, len(keys) - 1
    arrays = rng.random(width), rng.normal(0, 0.5, (width, 6)), rng.normal(0, 0.05, (6, size)), rng.random(size) / 5
    halves = [array.astype(np.float16).astype(np.float32) for array in arrays]
    captioner.content_prior = ContentPrior(*halves, columns=np.arange(len(keys), dtype=np.int32))
    captioner.decoding = dataclasses.replace(captioner.decoding, selection="content", word_bias=0.5)
    return captioner


def test_foretold_content_is_exported(tmp_path):
    captioner = with_prior(make_captioner())
    request = ExportRequest(("onnx", "litert"), quantize=("float16",))
    content = exporter.Exporter(captioner, request).run(tmp_path / "out", PLAIN)
    assert content["decoding"]["selection"] == "content"
    assert content["decoding"]["word_bias"] == 0.5
    for artefact in content["artefacts"]:
        for agreement in artefact["agreement"]:
            assert agreement["ties"].keys() <= {"knife_edge", "huge", "large"}


def test_what_cannot_be_asked_for():
    for settings in ({"formats": ("pb",)}, {"formats": ()}, {"formats": ("onnx",), "quantize": ("float16",)}):
        with pytest.raises(ConfigError):
            ExportRequest(**settings)
    with pytest.raises(ConfigError, match="no encoders"):
        exporter.Exporter(make_captioner(), ExportRequest(with_encoder=True))
    with pytest.raises(ConfigError, match="beam"):
        exporter.Exporter(make_captioner(), ExportRequest(("onnx",), beam=71)).run("unused", PLAIN)


def test_command_scores_smaller_files_and_leaves_what_is_good(captioner, dataset, tmp_path, capsys, monkeypatch):
    from glrg_cli.main import main

    captioner.save_to_preset(tmp_path / "captioner")
    (tmp_path / "other").mkdir()
    words = ["export", str(tmp_path / "captioner"), "--format", "onnx", "--quantize", "int8", "--json", "--beam", "2"]
    assert main([*words, "--out", str(tmp_path / "other")]) == 2
    assert main([*words, "--out", str(tmp_path / "out"), "--data", str(dataset), "--split", "nothing"]) == 2
    capsys.readouterr()
    scored = [*words, "--out", str(tmp_path / "out"), "--data", str(dataset), "--max-loss"]
    assert main([*scored, "100"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    plain, small = document["artefacts"]
    assert plain["scores"]["changed"] == 0 and plain["scores"]["cider_loss_points"] == 0
    assert small["bytes"] < plain["bytes"] and "cider_loss_points" in small["scores"]
    assert document["decoding"]["beam_size"] == 2
    made = (tmp_path / "out" / "captioner.onnx").read_bytes()
    # Converted once is enough.
    monkeypatch.setattr(exporter, "write_onnx", lambda module, path, *_: path.write_bytes(made) and path)
    assert main([*scored, "-100"]) == 5  # it may take the place of an earlier export, and is refused too late for that
    assert sorted(p.name for p in tmp_path.iterdir()) == ["captioner", "other", "out"]
    assert atomic.verify_manifest(tmp_path / "out")["made"] == document["made"]


def test_a_data_set_without_files_has_no_real_frames(dataset):
    assert frames_parity.real_frames(dataset, {"video0"}) == []


def test_python_m_export_is_the_command(tmp_path):
    ran = subprocess.run([sys.executable, "-m", "export", "--help"], capture_output=True, text=True)
    assert ran.returncode == 0 and "--with-encoder" in ran.stdout


def test_agreement_is_reported(manifest):
    for entry in manifest["artefacts"]:
        for agreement in entry["agreement"]:
            assert agreement["videos"] >= 3
            if entry["weights"] == "int8":
                assert (
                    entry["regret_nats_per_word"] < smaller.MAX_REGRET
                    and agreement["changed_best_captions"] is not None
                )
            else:
                assert agreement["log_prob_difference"] < 2e-4 and not {"made", "frames"} & set(agreement["ties"])
