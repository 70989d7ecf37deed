"""Clips from folders and feature files: one numbered table, read piece by piece, nothing believed unseen."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from glrg_tf.data.feature_layout import write_features
from glrg_tf.errors import DataError, FeatureError
from glrg_tf.semantic.shuffling import shuffled_batches
from glrg_tf.semantic.stack_sources import open_stacks, read_id_list


def make(folder: pathlib.Path, counts: dict[str, int], width: int = 3, dtype: str = "f4") -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    total, start = sum(counts.values()), 0
    rows = np.arange(total * width).reshape(total, width).astype(dtype)
    for name, count in counts.items():
        np.save(folder / f"{name}_rgb.npy", rows[start : start + count])
        start += count
    return rows.astype(np.float32)


def test_rows_of_all_videos_are_one_table(tmp_path: pathlib.Path) -> None:
    rows = make(tmp_path, {"a": 4, "b": 1, "c": 3}, dtype="f8")
    with open_stacks([tmp_path]) as stacks:
        assert (len(stacks), stacks.videos, stacks.width, stacks.ids) == (8, 3, 3, ("a", "b", "c"))
        for first in range(8):
            for last in range(first, 9):
                np.testing.assert_array_equal(stacks.rows(first, last), rows[first:last])
        np.testing.assert_array_equal(stacks.take(np.array([7, 0, 4, 4])), rows[[7, 0, 4, 4]])
        assert [stacks.locate(row) for row in (0, 3, 4, 5)] == [(0, 0), (0, 3), (1, 0), (2, 0)]
        assert stacks.span(stacks.index("c")) == (5, 8)
        with pytest.raises(FeatureError, match="no video 'x'"):
            stacks.index("x")


def test_features_file_gives_the_same_table(tmp_path: pathlib.Path) -> None:
    values = [np.random.default_rng(i).random((i + 2, 5)).astype(np.float32) for i in range(3)]
    semantic = [np.zeros((i + 2, 2), np.float32) for i in range(3)]
    streams = {"keyframe": values, "mine": [v[:, :2] for v in values], "semantic": semantic}
    write_features(tmp_path / "f.h5", ["x", "y", "z"], streams)
    with open_stacks([tmp_path / "f.h5"]) as stacks:
        assert (stacks.width, stacks.source["streams"]) == (7, ["keyframe", "mine"])
        wanted = np.concatenate([np.concatenate(values), np.concatenate(values)[:, :2]], axis=1)
        np.testing.assert_array_equal(stacks.rows(0, 9), wanted)
    with open_stacks([tmp_path / "f.h5"], streams=["mine"], keep=["z", "q"]) as stacks:
        np.testing.assert_array_equal(stacks.rows(1, 3), values[2][1:3, :2])
        assert stacks.notes == ("1 listed ids have no features",)


def test_names_lists_and_short_videos(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "a", {"v_1": 2, "v_12": 3, "empty": 0})
    make(tmp_path / "b", {"v_3": 2})
    with open_stacks([tmp_path / "b", tmp_path / "a"]) as stacks:
        assert stacks.ids == ("v_1", "v_12", "v_3")
        assert "shorter than one clip" in stacks.notes[0]
    (tmp_path / "ids.json").write_text('["v_1"]')
    (tmp_path / "ids.txt").write_text("v_1\n\nv_3\n")
    with open_stacks([tmp_path / "a"], keep=read_id_list(tmp_path / "ids.json")) as stacks:
        assert stacks.ids == ("v_1",)  # whole names: v_12 is another video
    assert read_id_list(tmp_path / "ids.txt") == ["v_1", "v_3"]
    with pytest.raises(DataError, match="none of the listed ids"):
        open_stacks([tmp_path / "a"], keep=["v_"])
    np.save(tmp_path / "b" / "plain.npy", np.ones((2, 3)))
    with open_stacks([tmp_path / "b"], rgb_suffix=".npy") as stacks:
        assert stacks.ids == ("plain", "v_3_rgb")


def test_what_is_wrong_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FeatureError, match="no such"):
        open_stacks([tmp_path / "none"])
    with pytest.raises(FeatureError, match="no \\*.npy"):
        open_stacks([tmp_path])
    make(tmp_path / "w", {"a": 2})
    with pytest.raises(FeatureError, match="not of stacks"):
        open_stacks([tmp_path / "w"], streams=["rgb"])
    np.save(tmp_path / "w" / "b_rgb.npy", np.ones((2, 4)))
    with pytest.raises(FeatureError, match="4 wide, others are 3"):
        open_stacks([tmp_path / "w"])
    make(tmp_path / "x", {"a": 2})
    make(tmp_path / "y", {"a": 2})
    with pytest.raises(FeatureError, match="two folders"):
        open_stacks([tmp_path / "x", tmp_path / "y"])
    np.save(tmp_path / "x" / "a_rgb.npy", np.array([[1, 2, 3], [1, np.nan, 1]]))
    with open_stacks([tmp_path / "x"]) as stacks, pytest.raises(FeatureError, match="clip 1 of video 'a'"):
        stacks.rows(0, 2)
    np.save(tmp_path / "y" / "a_flow.npy", np.ones((3, 3)))
    with open_stacks([tmp_path / "y"]) as stacks, pytest.raises(FeatureError, match="3 flow clips for 2 rgb"):
        stacks.flow(0)
    write_features(tmp_path / "p.h5", ["a"], {"keyframe": np.ones((1, 3))})
    with pytest.raises(FeatureError, match="one vector a video"):
        open_stacks([tmp_path / "p.h5"])


@pytest.mark.parametrize("buffer_bytes", [1, 3000, 10**6])
def test_shuffled_batches_bring_every_row_once(tmp_path: pathlib.Path, buffer_bytes: int) -> None:
    rows = make(tmp_path, {f"v{i:02d}": 90 for i in range(20)}, width=2)
    with open_stacks([tmp_path]) as stacks:
        batches = list(shuffled_batches(stacks, 100, seed=1, epoch=1, buffer_bytes=buffer_bytes))
        assert max(map(len, batches)) <= 100
        seen = np.concatenate(batches)
        assert not np.array_equal(seen, rows)
        np.testing.assert_array_equal(np.sort(seen[:, 0]), rows[:, 0])
        again = np.concatenate(list(shuffled_batches(stacks, 100, seed=1, epoch=1, buffer_bytes=buffer_bytes)))
        other = np.concatenate(list(shuffled_batches(stacks, 100, seed=1, epoch=2, buffer_bytes=buffer_bytes)))
        np.testing.assert_array_equal(seen, again)
        assert not np.array_equal(seen, other)


def test_real_stacks(shared: pathlib.Path) -> None:
    with open_stacks([shared / "data" / "features"]) as stacks:
        assert (stacks.ids, len(stacks), stacks.width) == (("bmt_women_long_jump_i3d",), 14, 1024)
        flow = stacks.flow(0)
        assert flow is not None and flow.shape == (14, 1024)
