"""Settings are strict: unknown keys name the nearest known one, wrong types are refused, values round-trip."""

from __future__ import annotations

import dataclasses
import json
from typing import Literal

import pytest

from glrg_tf.config import from_dict, override, override_all, to_dict
from glrg_tf.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Train:
    learning_rate: float = 1e-3
    epochs: int = 3
    shuffle: bool = True
    baseline: Literal["b1", "b2"] = "b2"
    resume_from: str | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str
    train: Train = Train()
    streams: tuple[tuple[str, int], ...] = (("long_range", 300),)
    size: tuple[int, int] = (1, 2)


def test_round_trip_through_json():
    settings = Settings("a", Train(epochs=5, resume_from="x"), (("keyframe", 1000), ("own", 7)))
    assert from_dict(Settings, json.loads(json.dumps(to_dict(settings)))) == settings


def test_missing_fields_keep_their_defaults_but_required_ones_are_asked_for():
    assert from_dict(Settings, {"name": "a", "train": {"epochs": 9}}).train == Train(epochs=9)
    with pytest.raises(ConfigError, match="incomplete settings"):
        from_dict(Settings, {})


def test_an_unknown_key_names_the_nearest_known_one():
    with pytest.raises(ConfigError) as caught:
        from_dict(Settings, {"name": "a", "train": {"learnin_rate": 1}})
    assert "learnin_rate" in caught.value.what
    assert caught.value.where == "train"
    assert "'learning_rate'" in caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"name": 3}, "a text"),
        ({"name": "a", "train": {"epochs": 1.5}}, "a whole number"),
        ({"name": "a", "train": {"epochs": True}}, "a whole number"),
        ({"name": "a", "train": {"shuffle": 1}}, "true or false"),
        ({"name": "a", "train": {"learning_rate": "fast"}}, "a number"),
        ({"name": "a", "train": {"learning_rate": True}}, "a number"),
        ({"name": "a", "train": 3}, "int"),
        ({"name": "a", "streams": "long_range"}, "list"),
        ({"name": "a", "size": [1, 2, 3]}, "2 values"),
    ],
)
def test_a_wrong_type_is_refused(values, word):
    with pytest.raises(ConfigError, match=word):
        from_dict(Settings, values)


def test_a_whole_number_is_a_fine_float():
    rate = from_dict(Train, {"learning_rate": 1}).learning_rate
    assert rate == 1.0
    assert isinstance(rate, float)


def test_override_sets_a_dotted_field():
    settings = Settings("a")
    assert override(settings, "train.learning_rate", "1e-4").train.learning_rate == 1e-4
    assert override(settings, "train.shuffle", "false").train.shuffle is False
    assert override(settings, "train.shuffle", "True").train.shuffle is True
    assert override(settings, "train.resume_from", "null").train.resume_from is None
    assert override(settings, "train.resume_from", "runs/a").train.resume_from == "runs/a"
    assert override(settings, "streams", '[["own", 5]]').streams == (("own", 5),)
    assert settings == Settings("a")  # the original is untouched


@pytest.mark.parametrize("path", ["train.learnin_rate", "trian.learning_rate", "learning_rate"])
def test_override_suggests_the_whole_path(path):
    with pytest.raises(ConfigError) as caught:
        override(Settings("a"), path, "1")
    assert "train.learning_rate" in caught.value.remedy


def test_override_of_a_wrong_choice_names_the_near_one():
    with pytest.raises(ConfigError) as caught:
        override(Settings("a"), "train.baseline", "b3")
    assert "b2" in caught.value.remedy or "b1" in caught.value.remedy


def test_override_below_a_leaf_is_refused():
    with pytest.raises(ConfigError, match="no settings of its own"):
        override(Settings("a"), "name.first", "x")


def test_a_far_off_key_gets_the_list_and_a_wrong_value_its_whole_name():
    @dataclasses.dataclass(frozen=True)
    class Two:
        xe: Train = Train()
        dr: Train = Train()

    with pytest.raises(ConfigError, match="unknown setting 'q'") as caught:
        override(Two(), "q", "1")
    assert "xe|dr.epochs, xe|dr.shuffle" in caught.value.remedy
    with pytest.raises(ConfigError, match="'dr.epochs' wants a whole number, found 'many'"):
        override(Two(), "dr.epochs", "many")


def test_changes_of_a_command_line_come_one_after_the_other():
    changed = override_all(Settings("a"), ["train.epochs=4", "train.epochs = 5", "name=b=c"], "name=x")
    assert (changed.name, changed.train.epochs) == ("b=c", 5)
    with pytest.raises(ConfigError, match="'train.epochs' is no KEY=VALUE") as refusal:
        override_all(Settings("a"), ["train.epochs"], "name=x")
    assert refusal.value.remedy == "example: --set name=x"
