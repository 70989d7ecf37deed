"""Splits: names, files, and the hash for those that have none."""

from __future__ import annotations

import pathlib

import pytest

from glrg_tf.data.importers import splits
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError

RECORDS = [VideoRecord(name, "train", ("x",)) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("captions_train2014.json", "train"),
        ("msvd_test_cocofmt.json", "test"),
        ("mine-validation.json", "val"),
        ("DEV.json", "val"),
        ("contest.json", ""),
        ("train_val.json", ""),
        ("train/captions.json", "train"),
        ("captions.json", ""),
    ],
)
def test_split_of_a_file_name(name: str, split: str) -> None:
    assert splits.from_path(pathlib.Path("/data") / name) == split


def test_hash_splits_do_not_move_when_videos_are_added() -> None:
    many = splits.by_hash([f"video{n}" for n in range(2000)])
    shares = [list(many.values()).count(split) / 2000 for split in ("train", "val", "test")]
    assert abs(shares[0] - 0.8) < 0.03
    assert abs(shares[1] - 0.1) < 0.02
    few = splits.by_hash([f"video{n}" for n in range(1000)])
    assert all(many[name] == split for name, split in few.items())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 10])
def test_hash_splits_of_few_videos_leave_none_empty(count: int) -> None:
    chosen = splits.by_hash([f"clip{n}" for n in range(count)])
    assert len(chosen) == count
    if count >= 3:
        assert set(chosen.values()) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '{"training": ["a"], "validate": ["b"], "extra": ["z"]}'),
        ("s.json", '{"a": "train", "b": "val", "z": "extra"}'),
        ("s.csv", 'video,split\na,train\n"b",val\nz,extra\n'),
        ("s.tsv", "a\ttrain\nb\tval\nz\textra"),
        ("s.txt", "# mine\na train\r\nb dev\n\nz extra\n"),
    ],
)
def test_splits_file(name: str, text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / name).write_text(text, newline="")
    notes: list[str] = []
    kept = splits.assign(RECORDS, tmp_path / name, notes)
    assert [(record.id, record.split) for record in kept] == [("a", "train"), ("b", "val")]
    assert notes == [
        "1 videos are not in the splits file: dropped ('c')",
        "1 ids of the splits file have no captions: ignored ('z')",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", '{"train": ["a"], "val": ["a"]}', "'a' is in the splits 'train' and 'val'"),
        ("s.json", '{"train": 3}', "neither a split nor a list"),
        ("s.json", '{"train": [["a"]]}', "neither a split nor a list"),
        ("s.json", "[]", "empty"),
        ("s.json", "{", "not valid JSON"),
        ("s.txt", "a train x\n", "expected an id and a split"),
        ("s.csv", "a,\n", "expected an id and a split"),
        ("s.txt", "z train\n", "no video of the captions is in the splits file"),
    ],
)
def test_wrong_splits_file(name: str, text: str, message: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=message):
        splits.assign(RECORDS, tmp_path / name, [])
