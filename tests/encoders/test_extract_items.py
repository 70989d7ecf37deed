"""What to extract: folders, lists, datasets and files, with ids that are unique and readable."""

from __future__ import annotations

import json
import pathlib

import pytest

from glrg_tf.data.dataset import VideoRecord, write_dataset
from glrg_tf.encoders.extract_items import VideoItem, list_videos
from glrg_tf.errors import DataError


def touch(*paths: pathlib.Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_gives_its_videos_by_name_without_hidden_and_other_files(tmp_path):
    touch(tmp_path / "b.mp4", tmp_path / "sub/a.MKV", tmp_path / ".trash/c.mp4", tmp_path / "notes.txt")
    (tmp_path / "folder.mp4").mkdir()
    assert [(item.id, item.path) for item in list_videos(tmp_path)] == [
        ("b", tmp_path / "b.mp4"),
        ("a", tmp_path / "sub/a.MKV"),
    ]


def test_names_that_clash_get_longer_ids(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "x/a.mp4", tmp_path / "x/b.mp4", tmp_path / "y/c.avi", tmp_path / "y/c.mp4")
    assert [item.id for item in list_videos(tmp_path)] == ["a", "x/a", "b", "y/c.avi", "y/c.mp4"]


def test_lists_name_paths_beside_themselves(tmp_path):
    (tmp_path / "list.txt").write_text("# mine\na.mp4\n\nsub/b.mp4\n")
    assert [item.path for item in list_videos(tmp_path / "list.txt")] == [tmp_path / "a.mp4", tmp_path / "sub/b.mp4"]
    rows = [{"id": "one", "video": "a.mp4", "start": 1, "end": 2.5}, {"video": "b.mp4"}]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list_videos(tmp_path / "list.jsonl") == [
        VideoItem("one", tmp_path / "a.mp4", 1.0, 2.5),
        VideoItem("b", tmp_path / "b.mp4"),
    ]


def test_a_dataset_gives_its_own_ids_and_seconds(tmp_path):
    records = [
        VideoRecord("v1", "train", ("a man",), video="/videos/one.mp4", start=3.0, end=4.0),
        VideoRecord("v2", "train", ("a dog",)),
    ]
    write_dataset(tmp_path / "ds", records, name="made", source=["test"])
    assert list_videos(tmp_path / "ds") == [VideoItem("v1", pathlib.Path("/videos/one.mp4"), 3.0, 4.0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a"}', "'video' is missing"),
        ('{"video": "a.mp4", "start": -1}', "no number of seconds"),
        ('{"video": "a.mp4", "bogus": 1}', "unknown key 'bogus'"),
        ("[1]", "expected a JSON object"),
        ('{"id": "x", "video": "a.mp4"}\n{"id": "x", "video": "b.mp4"}', "two videos have the id 'x'"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, content, message):
    (tmp_path / "list.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        list_videos(tmp_path / "list.jsonl")


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(DataError, match="no video files"):
        list_videos(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        list_videos(tmp_path / "nowhere")


def test_several_sources_are_one_list(tmp_path):
    touch(tmp_path / "f/a.mp4", tmp_path / "c.webm")
    assert [item.id for item in list_videos([tmp_path / "f", tmp_path / "c.webm"])] == ["a", "c"]
