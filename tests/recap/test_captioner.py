"""The captioner of long video as an object: alone or in company the same text, a folder there and back, refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import EncoderConfig
from glrg_tf.errors import CheckpointError, ConfigError, FeatureError
from glrg_tf.recap.captioner import RecapCaptioner, row_columns
from glrg_tf.recap.hierarchy import Hierarchy
from glrg_tf.recap.model import RecapNetwork
from glrg_tf.recap.text_tokens import WordTokens
from tests.recap.made_recap import HIERARCHY, tiny

TOKENS = WordTokens.build(["a ball moves", "the ball goes on", "a red star rests in the snow", "so it ends"])


def speaking(**changes: object) -> RecapNetwork:
    """A network of random words, which its inputs change."""
    made = RecapNetwork(tiny(vocabulary_size=TOKENS.size, **changes), seed=7)
    for name, variable in made.variables.items():
        if "gate_" in name:
            variable.assign(0.8)
        if name.endswith(("kernel", "places")):
            variable.assign(variable * 3)
    return made


@pytest.fixture(scope="module")
def captioner() -> RecapCaptioner:
    network = speaking()
    return RecapCaptioner(dict.fromkeys(("clip", "segment", "video"), network), TOKENS, HIERARCHY)


def samples() -> tuple[list[np.ndarray], list[list[str]]]:
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(count, 5)).astype(np.float32) for count in (1, 3, 30, 0, 5)]
    texts = [["a ball moves"], [], ["the ball goes on"] * 14, ["a red star"], ["a ball moves", "so it ends"]]
    return rows, texts


def test_a_sample_is_written_alike_alone_and_in_company(captioner):
    rows, texts = samples()
    together = captioner.describe("segment", rows * 4, texts * 4)
    assert together == captioner.describe("segment", rows, texts) * 4
    alone = [captioner.describe("segment", [r], [t])[0] for r, t in zip(rows, texts, strict=True)]
    assert together[: len(rows)] == alone
    assert len(set(alone)) > 1 and captioner.describe("video", rows, texts) != []
    dense = np.random.default_rng(2).normal(size=(19, 2, 6)).astype(np.float32)
    captions = captioner.caption_clips(dense)
    assert captions == [captioner.caption_clips(one[None])[0] for one in dense]
    assert captioner.caption_clips(dense[:0]) == [] and captioner.describe("video", [], []) == []


def test_a_folder_there_and_back(captioner, tmp_path):
    captioner.save(tmp_path / "unified", extra={"note": 1})
    again = RecapCaptioner.load(tmp_path / "unified")
    rows, texts = samples()
    assert again.unified and again.levels == ("clip", "segment", "video") and again.row_width == 5
    assert again.fingerprint == captioner.fingerprint
    assert again.describe("video", rows, texts) == captioner.describe("video", rows, texts)
    assert again.hierarchy == HIERARCHY and again.encoder is None
    separate = RecapCaptioner(
        {"segment": speaking(dense_width=0), "video": speaking(dense_width=0, inputs="text")}, TOKENS, Hierarchy(4, 180)
    )
    separate.save(tmp_path / "run" / "captioner")
    loaded = RecapCaptioner.load(tmp_path / "run")
    assert loaded.fingerprint == separate.fingerprint != captioner.fingerprint
    assert not loaded.unified and set(loaded.named_networks) == {"segment", "video"}
    assert loaded.describe("video", rows, texts) == separate.describe("video", rows, texts)
    with pytest.raises(ConfigError, match="no level 'clip'"):
        loaded.caption_clips(np.zeros((1, 2, 6), np.float32))


def test_an_encoder_goes_with_it(tmp_path):
    from glrg_tf.encoders.presets import preset

    bundle = EncoderBundle.from_config(preset("nano"))
    width = bundle.config.width
    network = RecapNetwork(tiny(vocabulary_size=TOKENS.size, dense_width=width, row_width=25))
    names = [name for name, size in bundle.widths if size == 25] or [bundle.widths[-1][0]]
    size = len(row_columns(bundle.widths, names))
    network = RecapNetwork(tiny(vocabulary_size=TOKENS.size, dense_width=width, row_width=size))
    networks = dict.fromkeys(("clip", "segment"), network)
    made = RecapCaptioner(networks, TOKENS, HIERARCHY, encoder=bundle, row_streams=names)
    frames = np.random.default_rng(0).integers(0, 255, (40, 24, 32, 3), dtype=np.uint8)
    clip = {plan: frames[made.frame_plan.frames_of(plan, len(frames))] for plan in made.plans}
    dense, rows = made.encode_clips([clip, clip])
    assert dense.shape == (2, bundle.plan.positions, width) and rows.shape == (2, size)
    np.testing.assert_array_equal(dense[0], dense[1])
    np.testing.assert_allclose(rows, dense.mean(axis=1)[:, row_columns(bundle.widths, names)])
    assert made.encode_clips([])[1].shape == (0, size) and made.max_side > 0
    with pytest.raises(ConfigError, match="no stream"):
        RecapCaptioner(networks, TOKENS, encoder=bundle, row_streams=["nothing"])
    with pytest.raises(ConfigError, match="rows of width"):
        RecapCaptioner(dict.fromkeys(("clip", "segment"), speaking(dense_width=width)), TOKENS, encoder=bundle)
    assert isinstance(bundle.config, EncoderConfig)


def test_refusals(captioner, tmp_path):
    with pytest.raises(FeatureError, match="reads"):
        captioner.describe("segment", [np.zeros((2, 4), np.float32)], [[]])
    with pytest.raises(FeatureError, match="2 rows and 1 texts"):
        captioner.describe("segment", [np.zeros((2, 5), np.float32)] * 2, [[]])
    with pytest.raises(ConfigError, match="no encoder"):
        captioner.encode_clips([])
    with pytest.raises(CheckpointError, match="words"):
        RecapCaptioner({"clip": RecapNetwork(tiny())}, TOKENS)
    with pytest.raises(ConfigError, match="no level"):
        RecapCaptioner({}, TOKENS)
    with pytest.raises(CheckpointError, match="no captioner"):
        RecapCaptioner.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("format", "other", "not a captioner"),
        ("levels", ["clip", "nothing"], "."),
        ("tokens", "syllables", "not known"),
        ("hierarchy", {"clip_seconds": -1.0}, "clip lasts"),
        ("networks", {"../evil": {}}, "called"),
        ("networks", {"unified": {"widht": 3}}, "widht"),
    ],
)
def test_damaged_folders(captioner, tmp_path, key, value, match):
    from glrg_tf.io import atomic

    captioner.save(tmp_path / "c")
    file = tmp_path / "c" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match="differs"):
        RecapCaptioner.load(tmp_path / "c")
    atomic.write_manifest(tmp_path / "c")
    with pytest.raises(CheckpointError, match=match):
        RecapCaptioner.load(tmp_path / "c")


def test_a_plain_captioner_writes_the_clips(tmp_path):
    from glrg_tf.captioner.captioner import VideoCaptioner

    plain = VideoCaptioner.from_preset("world-nano")
    network = speaking(dense_width=0, row_width=plain.encoders.config.width)
    made = RecapCaptioner({"segment": network}, TOKENS, HIERARCHY, clip_captioner=plain)
    assert made.levels == ("clip", "segment") and made.encoder is plain.encoders
    dense = np.random.default_rng(3).random((3, 2, plain.encoders.config.width), np.float32)
    captions = made.caption_clips(dense)
    expected = [found[0].text for found in plain.generate(dense.mean(axis=1))]
    assert captions == expected and captions[1:2] == made.caption_clips(dense[1:2])
    made.save(tmp_path / "c")
    again = RecapCaptioner.load(tmp_path / "c")
    assert again.levels == made.levels and again.fingerprint == made.fingerprint
    assert again.caption_clips(dense) == captions
    plain.decoding = dataclasses.replace(plain.decoding, beam_size=1)  # other captions, so another captioner
    narrow = RecapCaptioner({"segment": network}, TOKENS, HIERARCHY, clip_captioner=plain)
    assert narrow.fingerprint != made.fingerprint == again.fingerprint
