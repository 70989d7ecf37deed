"""Rows of foreign files: read in parts, cut by segments, and refused before memory is spent."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.data.feature_store import write_features
from glrg_tf.errors import FeatureError
from glrg_tf.recap.features import open_rows
from glrg_tf.recap.hierarchy import Hierarchy

ROWS = np.arange(177 * 3, dtype=np.float32).reshape(177, 3)


def test_npy_by_segments(tmp_path):
    for kind in (np.float32, np.float16, np.float64):
        np.save(tmp_path / "v.npy", (ROWS / 1000).astype(kind))
        rows = open_rows(tmp_path / "v.npy")
        assert (rows.count, rows.width) == (177, 3)
        parts = rows.of_segments(Hierarchy(), 708.03)
        assert [len(part) for part in parts] == [45, 45, 45, 42] and parts[0].dtype == np.float32
        np.testing.assert_allclose(np.concatenate(parts), ROWS / 1000, atol=1e-3)


def test_the_references_extra_row_is_fine_and_more_is_not(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((178, 3)))
    assert sum(map(len, open_rows(tmp_path / "v.npy").of_segments(Hierarchy(), 708.03))) == 177
    for count in (176, 179):
        np.save(tmp_path / "v.npy", np.zeros((count, 3)))
        with pytest.raises(FeatureError, match=f"{count} rows for 177 clips of 4 s"):
            open_rows(tmp_path / "v.npy").of_segments(Hierarchy(), 708.03)


def test_a_store_of_positions(tmp_path):
    streams = {"a": [ROWS[:5], ROWS[:2]], "b": [ROWS[:5, :2], ROWS[:2, :2]]}
    write_features(tmp_path / "f.h5", ["v", "w"], streams, {}, {})
    rows = open_rows(tmp_path / "f.h5", "v")
    assert (rows.count, rows.width) == (5, 5)
    np.testing.assert_array_equal(rows.read(1, 3), np.concatenate([ROWS[1:3], ROWS[1:3, :2]], axis=1))
    with pytest.raises(FeatureError, match="has 2 videos"):
        open_rows(tmp_path / "f.h5")
    with pytest.raises(FeatureError, match="no features for video"):
        open_rows(tmp_path / "f.h5", "x")
    write_features(tmp_path / "pooled.h5", ["v"], {"a": ROWS[:1]}, {}, {})
    with pytest.raises(FeatureError, match="one vector a video"):
        open_rows(tmp_path / "pooled.h5")


def test_refusals(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.array([{"run": print}], object), allow_pickle=True)
    with pytest.raises(FeatureError, match="pickled"):
        open_rows(path)
    np.save(path, ROWS)
    data = path.read_bytes()
    huge = data.replace(b"(177, 3), ", b"(17700000000, 3), ", 1)
    for broken in (data[:-1], data[:20], b"text", huge):
        path.write_bytes(broken)
        with pytest.raises(FeatureError, match=r"needs|no usable .npy"):
            open_rows(path)
    for array, message in (
        (ROWS[0], "expected 2 axes"),
        (ROWS[:0], "expected 1.."),
        (np.zeros((1, 70_000)), "expected"),
    ):
        np.save(path, array)
        with pytest.raises(FeatureError, match=message):
            open_rows(path)
    np.save(path, np.where(ROWS == 7, np.nan, ROWS))
    rows = open_rows(path)
    assert len(rows.read(3)) == 174
    with pytest.raises(FeatureError, match="row 2 is not finite"):
        rows.read()
    with pytest.raises(FeatureError, match="rows 0 to 178 of 177"):
        rows.read(0, 178)
    with pytest.raises(FeatureError, match="no such file"):
        open_rows(tmp_path / "none.npy")
    with pytest.raises(FeatureError, match="npy and .h5"):
        open_rows(tmp_path / "v.pt")
