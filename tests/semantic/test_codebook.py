"""The codebook: what scikit-learn clusters, streamed; words that depend on the clip alone."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.semantic.codebook import Codebook, assign, fit_codebook
from glrg_tf.semantic.settings import CodebookConfig
from glrg_tf.semantic.stack_sources import open_stacks
from tests.semantic.conftest import CODEBOOK, planted_tokens


def test_planted_words_are_found(stacks_folder: pathlib.Path) -> None:
    tokens, _ = planted_tokens(60, 25)
    with open_stacks([stacks_folder]) as stacks:
        learnt = []
        fit = fit_codebook(stacks, CODEBOOK, seed=1, progress=learnt.append)
        assert sum(learnt) == len(stacks) * (len(fit.distances) - 1)
        assert fit.distances[-1] <= fit.distances[0]
        words, squares = assign(fit.codebook, stacks)
        pairs = set(zip(words.tolist(), tokens.tolist(), strict=True))
        assert len(pairs) <= 1.1 * CODEBOOK.words  # nearly one word each
        gaps = stacks.rows(0, len(stacks)) - fit.codebook.centroids[words]
        np.testing.assert_allclose(squares, (gaps * gaps).sum(axis=1), atol=1e-3)


def test_words_are_the_same_for_any_workers_and_blocks(stacks_folder: pathlib.Path, monkeypatch) -> None:
    with open_stacks([stacks_folder]) as stacks:
        rows = stacks.rows(0, len(stacks))
        codebook = Codebook(np.ascontiguousarray(rows[::40]))
        exact = ((rows[:, None].astype(np.float64) - codebook.centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
        found = {}
        for workers, block, product in ((1, 4096, 1024), (2, 97, 1024), (5, 97, 11), (3, 1, 1)):
            monkeypatch.setattr("glrg_tf.semantic.codebook._BLOCK_ROWS", block)
            monkeypatch.setattr("glrg_tf.semantic.codebook._PRODUCT_ROWS", product)
            found[workers] = assign(codebook, stacks, workers=workers)[0]
        for words in found.values():
            np.testing.assert_array_equal(words, exact)


def test_between_equally_near_words_the_lower_one_is_taken() -> None:
    corner = np.full((1, 64), 0.1, np.float32)
    codebook = Codebook(np.concatenate([corner + 3, corner, corner - 0.5, corner, corner + 1e-7]))
    words, squares = codebook.nearest(np.repeat(corner, 7, axis=0))
    assert words.tolist() == [1] * 7
    assert squares.max() < 1e-4


def test_the_start_is_not_taken_for_a_good_pass(tmp_path: pathlib.Path) -> None:
    """First words lie on clips of their own: by those clips, nothing would ever seem better than the start."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(60, 32))
    rows = centres[random.integers(0, 60, 400)] + 0.5 * random.normal(size=(400, 32))
    np.save(tmp_path / "a_rgb.npy", rows.astype(np.float32))
    with open_stacks([tmp_path]) as stacks:
        fit = fit_codebook(stacks, CodebookConfig(60, 100, 2, 0.0), seed=0)
        first = fit_codebook(stacks, CodebookConfig(60, 100, 1, 0.0), seed=0)
    found = np.sqrt(first.codebook.nearest(rows.astype(np.float32))[1]).mean()
    assert found == pytest.approx(fit.distances[1], rel=0.1)
    spread = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(-1) + np.eye(400) * 99).min(axis=0).mean()
    assert found < spread  # nearer than the nearest other clip


def test_epochs_continue_and_stop(stacks_folder: pathlib.Path) -> None:
    with open_stacks([stacks_folder]) as stacks:
        once = fit_codebook(stacks, CodebookConfig(20, 200, 1, 0.0), seed=3)
        twice = fit_codebook(stacks, CodebookConfig(20, 200, 2, 0.0), seed=3)
        assert once.distances == twice.distances[:2]  # the first epoch of a longer run is the same
        assert twice.distances[2] != twice.distances[1]
        early = fit_codebook(stacks, CodebookConfig(20, 200, 50, 0.5), seed=3)
        assert len(early.distances) == 3  # the start is no pass to compare with
        same = fit_codebook(stacks, CodebookConfig(20, 200, 2, 0.0), seed=3)
        np.testing.assert_array_equal(same.codebook.centroids, twice.codebook.centroids)
        other = fit_codebook(stacks, CodebookConfig(20, 200, 2, 0.0), seed=4)
        assert other.codebook.fingerprint != twice.codebook.fingerprint


def test_too_few_clips(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "a_rgb.npy", np.ones((5, 2), np.float32))
    with open_stacks([tmp_path]) as stacks, pytest.raises(ConfigError, match="there are 5"):
        fit_codebook(stacks, CodebookConfig(words=6))


@pytest.mark.parametrize("change", [{"words": 1}, {"batch_rows": 0}, {"epochs": 0}, {"tolerance": -1.0}])
def test_settings_are_checked(change: dict) -> None:
    with pytest.raises(ConfigError):
        CodebookConfig(**change)
