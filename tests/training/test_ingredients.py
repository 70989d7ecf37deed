"""The study of ingredients: what its rows share, what it judges, what it says."""

from __future__ import annotations

import json

import pytest

from glrg_cli.main import main
from glrg_tf.errors import ConfigError
from tests.training.conftest import CONFIG
from training import ingredients, ingredients_results
from training.ablation import StudyData
from training.ablation_job import CAPTIONER, run_job, write_job
from training.recipes import get_recipe

ROWS = ("glrg", "words", "glrg-plus")


@pytest.fixture(scope="module")
def data(world):
    return StudyData.open(world, "val")


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    """A study of one seed, its captioners trained, judged."""
    out = tmp_path_factory.mktemp("study")
    rows = ingredients.build(data, CONFIG, (1,), ROWS)
    for job in ingredients.jobs_of(rows):
        run_job(write_job(out, job))
    ingredients.judge(rows, data, out)
    return out, rows


def test_ways_to_decode_share_their_captioners(data):
    rows = ingredients.build(data, CONFIG, (1, 2))
    assert [row.key for row in rows] == list(ingredients.NAMES)
    jobs = ingredients.jobs_of(rows)
    # A seed: DXE, three boosted from it, XE and what is boosted from that.
    assert len(jobs) == len({job.key for job in jobs}) == 2 * 6
    assert len({row.file("out", job) for row in rows for job in row.jobs}) == 2 * len(rows)
    seen = set()
    for job in jobs:
        assert job.entrance is None or job.entrance.key in seen
        seen.add(job.key)
    by_name = {row.key: row for row in rows}
    assert by_name["glrg"].jobs == by_name["glrg-plus"].jobs != by_name["loo"].jobs


def test_the_first_row_is_always_there_and_unknown_ones_are_refused(data):
    assert [row.key for row in ingredients.build(data, CONFIG, (1,), ("dxe",))] == ["glrg", "dxe"]
    with pytest.raises(ConfigError, match="no row 'magic'"):
        ingredients.build(data, CONFIG, (1,), ("magic",))


def test_most_epochs_bound_the_captioners_own(data):
    for most, expected in ((None, 110), (2, 2)):
        rows = ingredients.build(data, CONFIG, (1,), ("xe",), most)
        jobs = {job.name: job for job in ingredients.jobs_of(rows)}
        assert jobs["xe"].config.xe.epochs == expected


def test_every_row_is_judged_once(study, data):
    out, rows = study
    for row in rows:
        ((seed, result),) = ingredients.read(row, out)
        assert seed == 1 and set(result["scores"]) == set(ingredients.METRICS)
        assert len(result["per_video"]["CIDEr"]) == len(result["ids"]) == len(result["predictions"]) == 4
        assert result["decoding"] == row.decoding and result["variety"]["distinct"] >= 1
    told = []
    ingredients.judge(rows, data, out, lambda *news: told.append(news))
    assert not told
    assert all((out / "jobs" / job.folder / CAPTIONER).is_dir() for job in ingredients.jobs_of(rows))


def test_rows_are_compared_with_the_first(study, data):
    out, rows = study
    document = ingredients_results.summarise(rows, data, out, "glrg ablate ingredients")
    first, *others = document["rows"]
    assert "difference" not in first and first["time"] == 1.0
    for row in others:
        gap = row["difference"]
        mean = 100 * (row["mean"]["CIDEr"] - first["mean"]["CIDEr"])
        assert gap["low"] <= gap["mean"] <= gap["high"] and gap["mean"] == pytest.approx(mean, abs=0.01)
    head, lines = ingredients_results.cells(document)
    assert {len(line) for line in lines} == {len(head) + 1}


def test_tables_are_written_and_trainings_planned(study, world, capsys):
    out, rows = study
    document = ingredients_results.summarise(rows, StudyData.open(world, "val"), out, "command")
    paths = ingredients_results.write(document, out)
    assert [path.name for path in paths] == ["ingredients.json", "ingredients.md", "ingredients.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    assert main(["ablate", "ingredients", "--data", str(world), "--out", str(out), "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["jobs"] == planned["missing"] == 3 * 6  # the recipe's own settings: other trainings


def test_recipes_train_as_before_and_decode_by_content():
    for name, plain, beam in (("glrg-plus", "glrg", 12), ("world-plus", "world", 10)):
        config, before = get_recipe(name).config, get_recipe(plain).config
        used = {"beam_size": config.decoding_beam, "selection": config.decoding_selection}
        used["word_bias"] = config.decoding_word_bias
        assert used == {**ingredients._PLUS, "beam_size": beam}
        assert (config.dxe, config.dr, config.model) == (before.dxe, before.dr, before.model)
        assert get_recipe(name).sized == get_recipe(plain).sized
