"""Settings that follow from the size of the data: the two sizes that were measured, small ones, what is left alone."""

from __future__ import annotations

import pytest

from glrg_cli import main, train
from glrg_cli.common import Console
from glrg_cli.parser import fill_common_defaults
from training.recipes import NAMES, get_recipe
from training.sizing import fit, seeding_epochs


def test_the_sizes_that_are_known():
    config = get_recipe("glrg").config
    assert fit(config, 347, 6940) == (config, {})
    published, changed = fit(config, 6513, 130260)
    assert published.xe.epochs == published.dxe.epochs == 30 and published.dr.epochs == config.dr.epochs
    assert set(changed) == {"xe.epochs", "xe.patience", "dxe.epochs", "dxe.patience"}


@pytest.mark.parametrize("videos", [1, 3, 40, 400, 4000, 10**6])
def test_epochs_fall_with_the_videos(videos):
    assert 10 <= seeding_epochs(10 * videos) <= seeding_epochs(videos) <= 150


def test_little_data():
    config, changed = fit(get_recipe("glrg").config, 40, 40)
    assert config.dxe.batch_size == config.dr.batch_size == 6 and config.min_count == 1
    assert config.dxe.captions_per_video == 1 and config.dr.captions_per_video == 20
    assert changed["min_count"] == 1 and changed["dxe.epochs"] == 145
    assert fit(config, 0, 0) == (config, {})


def test_which_recipes_have_a_size_of_their_own():
    assert [name for name in NAMES if not get_recipe(name).sized][:1] == ["world"]


def test_training_says_what_it_chose_and_options_win(world, tmp_path, capsys):
    def chosen(*words):
        parser = main.build_parser("train")
        args = parser.parse_strictly(["--data", str(world), "--out", str(tmp_path / "r"), *words])
        fill_common_defaults(args)
        return train._choices(args, Console())["config"].dxe, capsys.readouterr().err

    phase, said = chosen("--recipe", "dxe")
    assert phase.epochs == 150 and phase.captions_per_video == 4
    assert "for 16 training videos with 64 captions" in said and "dxe.epochs 150" in said
    phase, _ = chosen("--recipe", "dxe", "--epochs", "7", "--set", "dxe.batch_size=9")
    assert phase.epochs == 7 and phase.batch_size == 9
    phase, said = chosen("--recipe", "world")
    assert phase == get_recipe("world").config.dxe and not said
