"""`glrg plus`: a trained captioner that decodes by foretold content, its networks as they were."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from glrg_cli.main import main
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.dataset import CaptionDataset
from tests.training.conftest import MODEL
from training import material


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """A captioner that has learnt nothing."""
    dataset = CaptionDataset.load(world)
    split = material.open_split(dataset, "train", MODEL)
    vocabulary = material.build_vocabulary(dataset, split, 1)
    model = CaptionerModel(dataclasses.replace(MODEL, vocabulary_size=len(vocabulary)), seed=2)
    place = tmp_path_factory.mktemp("plus") / "plain"
    VideoCaptioner(model, vocabulary, DecodingConfig(3, 1.0, 8)).save_to_preset(place, card="# A card\n")
    return place


def test_a_trained_captioner_is_equipped(folder, world, tmp_path, capsys):
    out = tmp_path / "plus"
    assert main(["plus", str(folder), "--data", str(world), "--out", str(out), "--beam", "9", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    plain, plus = VideoCaptioner.from_preset(folder), VideoCaptioner.from_preset(out)
    assert plus.decoding == DecodingConfig(9, 1.0, 8, "content", 0.5) and told["beam"] == 9
    for name, values in plain.model.get_weights().items():
        np.testing.assert_array_equal(plus.model.get_weights()[name], values)
    assert (out / "model_card.md").read_text().startswith("# A card")
    assert plus.content_prior.components.shape == (told["components"], told["ngrams"])
    # Words of the video itself come first in a search that knew nothing of it.
    split = material.open_split(CaptionDataset.load(world), "train", plus.config)
    captions = plus.generate(split.features())
    own = [
        bool({*c[0].text.split()} & {*r.captions[0].split()[1:]}) for c, r in zip(captions, split.records, strict=True)
    ]
    assert np.mean(own) > 0.5


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--ridge", "0"], 2, "out of range"),
        (["--beam", "51"], 2, "1 to 50"),
        (["--data", "nowhere"], 4, "nowhere"),
        (["--word-bias", "9"], 2, "out of range"),
    ],
)
def test_what_cannot_be_is_refused(folder, world, tmp_path, capsys, words, code, hint):
    assert main(["plus", str(folder), "--data", str(world), "--out", str(tmp_path / "p"), *words]) == code
    assert hint in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_folder_in_use_is_left_alone(folder, world, capsys):
    assert main(["plus", str(folder), "--data", str(world), "--out", str(folder)]) == 2
    assert "not empty" in capsys.readouterr().err
