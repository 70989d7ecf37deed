"""A small captioner with sizes that quantisation touches, and one export of it in every form."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from export.exporter import Exporter
from export.manifest import Provenance
from export.plan import ExportRequest
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.dataset import write_dataset
from glrg_tf.data.feature_layout import FeatureTable
from glrg_tf.data.record import VideoRecord
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import EncoderConfig, StreamSpec
from glrg_tf.text.vocabulary import Vocabulary
from glrg_tf.video.sampling import FramePlan

WORDS = ("<end>", "<start>", "<unk>", *(f"word{i}" for i in range(67)))
MIXED = ("<end>", "<start>", "<unk>", "a", "man", "的", "人", "が", "走", "dog", "l'eau", "คน")
STREAMS = (("words", 12), ("scenes", 6))
ALL_FORMS = ExportRequest(
    ("saved_model", "onnx", "onnx_text", "litert"), quantize=("int8", "float16"), with_encoder=True
)


def make_captioner(words=WORDS, tokenizer="release", alpha=1.0, scale=0.4, max_words=10, seed=5) -> VideoCaptioner:
    config = CaptionerConfig(len(words), STREAMS, pool_size=64, embedding_size=64, hidden_size=64, max_length=12)
    model = CaptionerModel(config, seed=1)
    rng = np.random.default_rng(seed)
    model.set_weights({name: rng.normal(0, scale, v.shape) for name, v in model.variables_by_name().items()})
    settings = DecodingConfig(beam_size=4, length_normalization=alpha, max_words=max_words)
    return VideoCaptioner(model, Vocabulary(words, tokenizer), settings)


@pytest.fixture(scope="session")
def captioner() -> VideoCaptioner:
    captioner = make_captioner()
    captioner.encoders = make_bundle()
    return captioner


def make_bundle() -> EncoderBundle:
    """Its streams stand in another order than the captioner's, and there is one more."""
    specs = tuple(
        StreamSpec(name, kind, kind, frames=frames, input_size=(16, 16), width=width)
        for name, kind, frames, width in (
            ("scenes", "keyframe", 1, 6),
            ("words", "long_range", 3, 12),
            ("unused", "keyframe", 1, 2),
        )
    )
    return EncoderBundle.from_config(EncoderConfig(FramePlan(positions=4, short_frames=2), specs))


@pytest.fixture(scope="session")
def videos() -> np.ndarray:
    return np.random.default_rng(2).random((33, 18)).astype(np.float32)


@pytest.fixture(scope="session")
def dataset(captioner, videos, tmp_path_factory) -> pathlib.Path:
    """A data set whose references are what the captioner says, some of it changed."""
    folder, rng = tmp_path_factory.mktemp("export") / "data", np.random.default_rng(3)
    records = []
    for number, found in enumerate(captioner.generate(videos, num_captions=3)):
        captions = [" ".join(rng.permutation(caption.text.split())) or "word1" for caption in found]
        records.append(VideoRecord(f"video{number}", "val", (found[0].text or "word1", *captions)))
    tables = {"words": videos[:, :12], "scenes": videos[:, 12:]}
    write_dataset(
        folder, records=records, name="made", source=["made"], features=FeatureTable([r.id for r in records], tables)
    )
    return folder


@pytest.fixture(scope="session")
def exported(captioner, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("export") / "out"
    Exporter(captioner, ALL_FORMS).run(folder, Provenance("made", "0" * 64, "# A card\n- Licence: none needed\n"))
    return folder


@pytest.fixture(scope="session")
def manifest(exported) -> dict:
    return json.loads((exported / "manifest.json").read_text("utf-8"))
