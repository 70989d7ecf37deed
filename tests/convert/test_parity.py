"""Converted checkpoints against an independent NumPy transcription and against the original code's own captions."""

from __future__ import annotations

import json
import pathlib

import h5py
import numpy as np
import pytest

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.convert.glrg_captioner import convert_release
from tests.convert.made_checkpoint import checkpoint_tensors, write_checkpoint
from tests.references.glrg_numpy import NumpyCaptioner

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small checkpoint with random weights, converted; its transcription; 12 videos."""
    folder = tmp_path_factory.mktemp("made")
    tensors = checkpoint_tensors(words=60, embedding=24, pool=20, hidden=28, seed=4, spread=12.0)
    write_checkpoint(folder, tensors)
    convert_release(folder / "model.pth", folder / "vocab.json", folder / "captioner")
    features = np.random.default_rng(1).random((12, 1700), np.float32) * 0.1
    return VideoCaptioner.from_preset(folder / "captioner"), NumpyCaptioner(tensors), features


@pytest.fixture(scope="module")
def original(shared, tmp_path_factory):
    """The checkpoint trained by the original code, converted; its transcription; features and captions of 50 videos."""
    sample = shared / "data/glrg_release_sample"
    model = sample / "model/GL-RG_XE_msrvtt"
    out = tmp_path_factory.mktemp("original") / "captioner"
    checkpoint, _ = convert_release(model / "model.pth", sample / "data/metadata/msrvtt_train_vocab.json", out)
    expected = {row["id"]: row for row in json.loads((model / "expected_val_captions.json").read_text("utf-8"))}
    features = _val_features(shared, list(expected))
    return VideoCaptioner.from_preset(out), NumpyCaptioner(checkpoint.tensors), features, list(expected.values())


def _val_features(shared: pathlib.Path, ids: list[str]) -> np.ndarray:
    with h5py.File(shared / "data/msrvtt/val/gl_feats.h5") as file:
        row_of = {name.decode(): row for row, name in enumerate(file["video_ids"][:])}
        return file["feats"][:][[row_of[name] for name in ids]]


def _assert_forward(captioner: VideoCaptioner, reference: NumpyCaptioner, features: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    labels = np.zeros((len(features), 30), np.int32)
    labels[:, 0] = 1
    for row, length in enumerate(rng.integers(0, 29, len(features))):
        labels[row, 1 : 1 + length] = rng.integers(2, len(captioner.vocabulary), length)
    ours = captioner.score(features, labels[:, 1:])
    for row, video in enumerate(features):
        theirs = reference.forward(video, labels[row : row + 1])[0]
        steps = min(len(theirs), int((labels[row, 1:] != 0).sum()) + 1)
        want = theirs[np.arange(steps), labels[row, 1 : 1 + steps]]
        np.testing.assert_allclose(ours[row, :steps], want, rtol=0, atol=TOLERANCE)


def _assert_greedy(captioner: VideoCaptioner, reference: NumpyCaptioner, features: np.ndarray) -> None:
    for compat in ("release", None):
        for video, [caption] in zip(features, captioner.generate(features, beam_size=1, compat=compat), strict=True):
            words, log_probs = reference.greedy(video)
            assert list(caption.token_ids) == words
            np.testing.assert_allclose(caption.token_log_probs[: len(words)], log_probs, rtol=0, atol=TOLERANCE)


def _assert_beam(captioner: VideoCaptioner, reference: NumpyCaptioner, features: np.ndarray) -> None:
    for video, [caption] in zip(features, captioner.generate(features, beam_size=5, compat="release"), strict=True):
        want = reference.beam(video)
        assert list(caption.token_ids) == want.token_ids
        length = len(want.token_ids)
        np.testing.assert_allclose(caption.token_log_probs[:length], want.word_log_probs, rtol=0, atol=TOLERANCE)
        assert caption.score == pytest.approx(-want.perplexity, rel=1e-4)


def test_made_forward(made):
    _assert_forward(*made)


def test_made_greedy(made):
    _assert_greedy(*made)


def test_made_beam(made):
    _assert_beam(*made)


def test_made_captions_vary(made):
    captioner, reference, features = made
    lengths = {len(reference.beam(video).token_ids) for video in features}
    assert len(lengths) > 1  # otherwise the tests above prove little


def test_original_forward(original):
    _assert_forward(*original[:3])


def test_original_greedy(original):
    _assert_greedy(*original[:3])


def test_original_beam(original):
    captioner, reference, features, _ = original
    _assert_beam(captioner, reference, features[:20])  # all 50 below, against the original itself


def test_captions_of_the_original_code(original):
    """Token for token, and word log-probabilities as the original printed them (6 decimals)."""
    captioner, _, features, expected = original
    beams = captioner.generate(features, beam_size=5, compat="release")
    greedy = captioner.generate(features, beam_size=1, compat="release")
    assert len(expected) == 50
    for want, [beam], [single] in zip(expected, beams, greedy, strict=True):
        assert list(beam.token_ids) == want["beam5_token_ids"]
        assert (beam.text, single.text) == (want["beam5"], want["greedy"])
        length = len(beam.token_ids)
        np.testing.assert_allclose(beam.token_log_probs[:length], want["beam5_word_logprobs"], rtol=0, atol=TOLERANCE)


def test_transcription_of_the_original_code(original):
    """The transcription itself gives what the original code gave: it is a fair judge."""
    _, reference, features, expected = original
    for want, video in zip(expected[:10], features[:10], strict=True):
        found = reference.beam(video)
        assert found.token_ids == want["beam5_token_ids"]
        np.testing.assert_allclose(found.word_log_probs, want["beam5_word_logprobs"], rtol=0, atol=TOLERANCE)
