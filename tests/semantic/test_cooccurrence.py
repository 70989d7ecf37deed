"""Co-occurrences: the specification's examples in both modes, and the same bits however the work is split."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.semantic.cooccurrence import PairCounts, count_all, count_pairs
from tests.semantic import plain_glove
from tests.semantic.conftest import planted_tokens

THIRD = 1 / 3
REFERENCE = {
    (0, 1): 2.25,
    (0, 2): 2.0,
    (0, 3): THIRD,
    (1, 0): 2.0,
    (1, 2): 1.0,
    (1, 3): THIRD,
    (2, 0): 1.5,
    (2, 1): 1.0,
    (2, 3): THIRD,
    (3, 0): 0.5,
    (3, 1): 0.25,
    (3, 2): 1.0,
}
GLOVE = {
    (0, 1): 2.0,
    (0, 2): 1.5,
    (0, 3): 1.0,
    (1, 0): 2.0,
    (1, 2): 1.0,
    (1, 3): 1.0,
    (2, 0): 1.5,
    (2, 1): 1.0,
    (2, 3): 0.5,
    (3, 0): 1.0,
    (3, 1): 1.0,
    (3, 2): 0.5,
}


@pytest.mark.parametrize(("compat", "wanted"), [("reference", REFERENCE), ("off", GLOVE)])
def test_six_clips_of_the_specification(compat: str, wanted: dict) -> None:
    table = count_pairs(np.array([0, 1, 2, 0, 3, 1]), np.array([0, 6]), 4, 2, compat).table()
    found = dict(zip(zip(table.rows.tolist(), table.columns.tolist(), strict=True), table.values, strict=True))
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("compat", "wanted"),
    [("reference", {3: 0.5, 4: THIRD, 6: 0.2, 7: 1 / 6}), ("off", {3: 0.5, 4: 1.0, 6: 1.0, 7: 0.5})],
)
def test_eight_clips_of_the_specification(compat: str, wanted: dict) -> None:
    row = count_pairs(np.arange(8), np.array([0, 8]), 8, 2, compat).table().dense()[5]
    assert {column: value for column, value in enumerate(row) if value} == pytest.approx(wanted)


@pytest.mark.parametrize("compat", ["off", "reference"])
@pytest.mark.parametrize("window", [2, 5, 30])
def test_equal_to_the_definition(compat: str, window: int) -> None:
    random = np.random.default_rng(window)
    videos = [random.integers(0, 7, length).tolist() for length in (1, 9, 2, 25, 1, 14)]
    offsets = np.cumsum([0, *map(len, videos)])
    table = count_all(np.concatenate(videos), offsets, 7, window, compat).table().dense()
    wanted = plain_glove.cooccurrence(videos, 7, window, compat == "reference")
    np.testing.assert_allclose(table, wanted, rtol=1e-12)
    if compat == "off":
        np.testing.assert_array_equal(table, table.T)


@pytest.mark.parametrize("compat", ["off", "reference"])
def test_the_same_bits_for_any_split_of_the_work(compat: str, monkeypatch) -> None:
    tokens, offsets = planted_tokens(80, 25)
    wanted = count_pairs(tokens, offsets, 48, 6, compat)
    for workers, shard in ((1, 10), (2, 300), (7, 41)):
        monkeypatch.setattr("glrg_tf.semantic.cooccurrence._SHARD_CLIPS", shard)
        told: list[int] = []
        found = count_all(tokens, offsets, 48, 6, compat, workers=workers, progress=told.append)
        np.testing.assert_array_equal(found.keys, wanted.keys)
        np.testing.assert_array_equal(found.counts, wanted.counts)
        assert found.table().values.tobytes() == wanted.table().values.tobytes()
        assert sum(told) == len(tokens)


def test_renumbering_words_keeps_the_sum_and_moves_the_cells() -> None:
    tokens, offsets = planted_tokens(20, 25)
    order = np.random.default_rng(0).permutation(48)
    plain = count_pairs(tokens, offsets, 48, 5).table().dense()
    renumbered = count_pairs(order[tokens], offsets, 48, 5).table().dense()
    np.testing.assert_array_equal(renumbered[np.ix_(order, order)], plain)


def test_counts_of_several_machines_are_merged(tmp_path: pathlib.Path) -> None:
    tokens, offsets = planted_tokens(10, 25)
    half = int(offsets[5])
    count_pairs(tokens[:half], offsets[:6], 48, 5).save(tmp_path / "a.npz")
    count_pairs(tokens[half:], offsets[5:] - half, 48, 5).save(tmp_path / "b.npz")
    merged = PairCounts.merge([PairCounts.load(tmp_path / name) for name in ("b.npz", "a.npz")])
    wanted = count_pairs(tokens, offsets, 48, 5)
    np.testing.assert_array_equal(merged.keys, wanted.keys)
    np.testing.assert_array_equal(merged.counts, wanted.counts)
    with pytest.raises(ConfigError, match="different vocabularies"):
        PairCounts.merge([merged, PairCounts.empty(5)])
    broken = PairCounts(48, merged.keys[::-1], merged.counts)
    broken.save(tmp_path / "c.npz")
    with pytest.raises(DataError, match="no sound counts"):
        PairCounts.load(tmp_path / "c.npz")


def test_pairs_that_never_meet_are_filled_in(monkeypatch) -> None:
    table = count_pairs(np.array([0, 1, 4, 2]), np.array([0, 2, 4]), 6, 2).table()
    full = table.filled(0.25)
    known = np.array([True, True, True, False, True, False])  # words 3 and 5 occur nowhere and stay out
    np.testing.assert_array_equal(full.dense(), (table.dense() + 0.25) * np.outer(known, known))
    np.testing.assert_array_equal(full.seen, known)
    assert len(full) == 16
    monkeypatch.setattr("glrg_tf.semantic.cooccurrence._MOST_FILLED", 15)
    with pytest.raises(ConfigError, match="too many"):
        table.filled(0.25)


def test_single_clips_have_no_neighbours() -> None:
    table = count_all(np.array([3, 1, 2]), np.array([0, 1, 2, 3]), 4, 5).table()
    assert len(table) == 0
    assert not table.seen.any()
