"""The pointing game by hand, on a tiny world, and on files in the form of Flickr30k Entities."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from glrg_tf.data.world.make import make_world
from glrg_tf.data.world.truth import load_truth
from glrg_tf.errors import AnnotationError, DataError
from glrg_tf.explain import entities, world_game
from glrg_tf.explain.pointing_game import Phrase, mask_of, play, score
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.view import View
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import SPECIAL_WORDS, Vocabulary
from tests.explain import squares


def test_play_by_hand():
    raw = np.full((2, 4, 4), -5.0, np.float32)
    raw[0, 0, 3] = raw[1, 3, 0] = 0.0
    size = (40, 80)
    corner, other = (60.0, 0.0, 80.0, 10.0), (0.0, 30.0, 20.0, 40.0)
    phrases = [Phrase((0,), (corner,), "a"), Phrase((1,), (corner,), "b"), Phrase((0, 1), (corner, other), "b")]
    plays = play(raw, phrases, size)
    assert [one.hit for one in plays] == [True, False, True] and not any(one.centre_hit for one in plays)
    assert [one.chance for one in plays] == pytest.approx([1 / 16, 1 / 16, 1 / 8])
    assert plays[0].correctness > 0.6 > 0.1 > plays[1].correctness
    found = score(plays)
    assert list(found) == ["all", "a", "b"] and found["all"].accuracy == pytest.approx(2 / 3) and found["b"].plays == 2
    assert score([]) == {}


def test_boxes_that_are_not_seen_are_left_out():
    raw, view = np.zeros((1, 4, 4), np.float32), View((32, 32), "crop")
    outside, inside = Phrase((0,), ((0.0, 0.0, 18.0, 40.0),), "x"), Phrase((0,), ((30.0, 10.0, 50.0, 30.0),), "x")
    (one,) = play(raw, [outside, inside], (40, 80), view)
    assert one.centre_hit and one.correctness == pytest.approx(one.chance)  # an even map
    assert mask_of([(0, 0, 2, 1)], (2, 3)).tolist() == [[True, True, False], [False, False, False]]


# === World ===
@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world") / "w", clips=10, seed=2)


def test_phrases_of_the_world(world):
    clips = load_truth(world)
    words = sorted({word for clip in clips for word in get_tokenizer("release")(clip.caption)})
    vocabulary, found = Vocabulary((*SPECIAL_WORDS, *words)), 0
    for clip in clips:
        query = parse_query(clip.caption, vocabulary)
        for phrase in world_game.object_phrases(clip, query, clip.frames // 2):
            colours = {item.colour for item in clip.objects if item.kind == phrase.kind}
            assert query.words[phrase.words[-1]] == phrase.kind
            assert len(phrase.words) == 1 or query.words[phrase.words[0]] in colours
            found += 1
        assert world_game.motion_words(clip, query)
    assert found >= 8
    for first, second in world_game.pairs_of(clips, 3):
        assert set(first.action_labels()).isdisjoint(second.action_labels())


def test_play_world(world, monkeypatch):
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig

    words = sorted({word for clip in load_truth(world) for word in get_tokenizer("release")(clip.caption)})
    vocabulary = Vocabulary((*SPECIAL_WORDS, *words))
    config = CaptionerConfig(len(vocabulary), squares.STREAMS, pool_size=8, embedding_size=8, hidden_size=8)
    captioner = VideoCaptioner(CaptionerModel(config, 1), vocabulary, encoders=squares.make_bundle())
    told = []
    settings = world_game.GameSettings(frames=2, pairs=1, split="train")
    found = world_game.play_world(captioner, world, settings, told.append)
    assert found.nouns.plays == found.phrases["all"].plays > 5 and 0 < found.nouns.random < 0.3
    assert 0 <= found.mass <= 1 and len(told) == 7 + found.mass_pairs // 2
    with pytest.raises(AnnotationError, match="split"):
        world_game.play_world(captioner, world, world_game.GameSettings(split="dev"))


# === Flickr30k Entities ===
LINE = "[/EN#1/clothing A red square] beside [/EN#2/other/people the blue , blue one] ; [/EN#0/notvisual nothing]"
BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture
def flickr(tmp_path):
    for name in ("Annotations", "Sentences", "images"):
        (tmp_path / name).mkdir()
    lines = "A [/EN#1/clothing red] square .\n\na [/EN#2/other blue] square [/EN#9/other zebras]\n"
    (tmp_path / "Sentences" / "7.txt").write_text(lines + "zebras [/EN#1/clothing only]\n")
    boxes = BOX.format(1, 9, 9, 16, 16) + BOX.format(2, 33, 33, 40, 40)
    scene = "<object><name>3</name><scene>1</scene><nobndbox>1</nobndbox></object>"
    (tmp_path / "Annotations" / "7.xml").write_text(f"<annotation>{boxes}{scene}</annotation>")
    Image.fromarray(squares.frame(("red", 1, 1), ("blue", 4, 4))).save(tmp_path / "images" / "7.png")
    return tmp_path


def test_sentences():
    plain, chains = entities.read_sentence(LINE, get_tokenizer("release"))
    assert plain == "A red square beside the blue , blue one ; nothing"
    assert [(c.id, c.kinds, c.first, c.last) for c in chains] == [
        ("1", ("clothing",), 0, 3),
        ("2", ("other", "people"), 4, 8),
        ("0", ("notvisual",), 8, 9),
    ]


def test_play_entities(glrg, flickr):
    found = entities.play_entities(glrg, flickr)
    assert {name: one.plays for name, one in found.items()} == {"all": 2, "clothing": 1, "other": 1}
    assert found["all"].accuracy == 1.0 and found["all"].random == pytest.approx(1 / 36)


def test_refused(glrg, flickr, tmp_path):
    annotation = flickr / "Annotations" / "7.xml"
    for text in ("<annotation>", "<!DOCTYPE a><annotation/>", BOX.format(1, 9, 9, 2, "x")):
        annotation.write_text(text)
        with pytest.raises(AnnotationError):
            entities.play_entities(glrg, flickr)
    (flickr / "images" / "7.png").write_bytes(b"no picture")
    with pytest.raises(DataError):
        entities.play_entities(glrg, flickr)
    with pytest.raises(AnnotationError, match="neither"):
        entities.play_entities(glrg, tmp_path / "images")
