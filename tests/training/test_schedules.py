"""Schedules are pure functions with the published values."""

from __future__ import annotations

import dataclasses

import pytest

from glrg_tf.errors import ConfigError
from training import recipes, schedules
from training.config import PhaseConfig, RunConfig, from_dict, override


def test_inverse_sigmoid_gives_the_published_values():
    config = PhaseConfig(sampling="inverse_sigmoid")
    published = {0: 0.0099, 30: 0.0133, 100: 0.0265, 200: 0.069, 351: 0.25, 10_000: 0.25}
    for epoch, value in published.items():
        assert abs(schedules.sampling_probability(config, epoch) - value) < 6e-4, epoch


def test_scheduled_sampling_rises_then_falls():
    config = PhaseConfig(sampling="rise_fall", epochs=40, sampling_max=0.2)
    values = [schedules.sampling_probability(config, epoch) for epoch in range(41)]
    assert values[0] == 0.0 and values[20] == 0.2 and abs(values[40]) < 1e-9
    assert values[:21] == sorted(values[:21]) and values[20:] == sorted(values[20:], reverse=True)
    assert schedules.sampling_probability(PhaseConfig(), 5) == 0.0


def test_mixer_anneals_as_the_release():
    config = PhaseConfig(mixer_from=-1)
    values = [schedules.mixer_from(config, epoch) for epoch in range(70)]
    assert values[:4] == [29, 29, 28, 28] and values[55] == 2 and values[56] == 1 and values[69] == 1
    assert schedules.mixer_from(PhaseConfig(mixer_from=3), 50) == 3


def test_baseline_size_anneals_as_the_release():
    config = PhaseConfig(baseline_size=-1, captions_per_video=20)
    assert [schedules.baseline_size(config, e) for e in (0, 4, 5, 93, 500)] == [1, 1, 2, 19, 19]
    assert schedules.baseline_size(PhaseConfig(baseline_size=20, captions_per_video=4), 0) == 4


def test_learning_rate_warms_up_and_decays():
    config = PhaseConfig(learning_rate=1.0, warmup_steps=4, learning_rate_decay=0.1, learning_rate_decay_epochs=2)
    assert [schedules.learning_rate(config, step, 0) for step in (0, 3, 4)] == [0.25, 1.0, 1.0]
    assert schedules.learning_rate(config, 100, 5) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("assignment", "nearest"),
    [
        ("train.learnin_rate=1", "train.learning_rate"),
        ("dr.baselin=b1", "dr.baseline"),
        ("modle.dropout=0", "model.dropout"),
    ],
)
def test_misspelt_settings_name_the_nearest(assignment, nearest):
    with pytest.raises(ConfigError) as caught:
        override(RunConfig(), [assignment])
    assert caught.value.exit_code == 2 and nearest in caught.value.remedy


@pytest.mark.parametrize(
    "assignment",
    ["train.epochs=0", "train.epochs=many", "dr.baseline=b3", "model.dropout=1.5", "train.batch_size", "x=1"],
)
def test_impossible_settings_are_refused(assignment):
    with pytest.raises(ConfigError):
        override(RunConfig(), [assignment])


def test_train_sets_every_phase_and_settings_round_trip():
    from glrg_tf.config import to_dict

    config = override(RunConfig(), ["train.epochs=7", "dr.epochs=9", 'dr.reward=[["CIDEr-D",1.0],["Bleu_4",0.5]]'])
    assert (config.xe.epochs, config.dxe.epochs, config.dr.epochs) == (7, 7, 9)
    assert config.dr.reward == (("CIDEr-D", 1.0), ("Bleu_4", 0.5))
    assert from_dict(to_dict(config)) == config


def test_every_recipe_loads_and_unknown_ones_are_named():
    for name in recipes.NAMES:
        recipe = recipes.get_recipe(name)
        assert recipe.name == name and recipe.phases and recipe.summary
        assert dataclasses.is_dataclass(recipe.config)
    with pytest.raises(ConfigError) as caught:
        recipes.get_recipe("dr_b2")
    assert "dr-b2" in caught.value.remedy
