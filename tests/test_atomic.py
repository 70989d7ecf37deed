"""Files and folders are whole or absent, and a damaged folder is noticed."""

from __future__ import annotations

import json
import os

import pytest

from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io import atomic


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "scores.json"
    atomic.write_json(path, {"CIDEr": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(path, {"CIDEr": float("nan")})
    assert json.loads(path.read_text("utf-8")) == {"CIDEr": 0.5}
    assert os.listdir(tmp_path) == ["scores.json"]


def test_a_write_that_dies_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "captions.jsonl"
    atomic.write_json_lines(path, [{"id": "a"}])

    def fail(source, target):
        raise OSError("the disk went away")

    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(OSError, match="went away"):
        atomic.write_json_lines(path, [{"id": "b"}])
    assert path.read_text("utf-8") == '{"id": "a"}\n'
    assert os.listdir(tmp_path) == ["captions.jsonl"]


def test_text_keeps_every_script(tmp_path):
    atomic.write_json(tmp_path / "x.json", {"caption": "um cão corre — 犬が走る"})
    assert "犬が走る" in (tmp_path / "x.json").read_text("utf-8")


def test_files_are_readable_by_others_as_usual(tmp_path):
    previous = os.umask(0o022)
    try:
        atomic.write_text(tmp_path / "a", "x")
    finally:
        os.umask(previous)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "dataset"
    with atomic.new_folder(target) as scratch:
        (scratch / "sub").mkdir()
        (scratch / "sub" / "a").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "1"
    assert os.listdir(target.parent) == ["dataset"]


def test_a_failed_folder_vanishes(tmp_path):
    with pytest.raises(RuntimeError), atomic.new_folder(tmp_path / "run") as scratch:
        (scratch / "a").write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_refused_or_swapped(tmp_path):
    target = tmp_path / "run"
    with atomic.new_folder(target) as scratch:
        (scratch / "a").write_text("old")
    with pytest.raises(ConfigError, match="already exists"), atomic.new_folder(target):
        pass
    with pytest.raises(RuntimeError), atomic.new_folder(target, replace=True):
        raise RuntimeError
    assert (target / "a").read_text() == "old"
    with atomic.new_folder(target, replace=True) as scratch:
        (scratch / "b").write_text("new")
    assert os.listdir(target) == ["b"]
    assert os.listdir(tmp_path) == ["run"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "artifact"
    (root / "inner").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "inner" / "weights").write_bytes(b"\0" * 100)
    atomic.write_manifest(root, step=7)
    return root


def test_a_whole_folder_passes(folder):
    manifest = atomic.verify_manifest(folder)
    assert manifest["step"] == 7
    assert set(manifest["files"]) == {"config.json", "inner/weights"}


def test_damage_is_noticed(folder):
    weights = folder / "inner" / "weights"
    weights.write_bytes(b"\0" * 99)
    with pytest.raises(CheckpointError, match="differs"):
        atomic.verify_manifest(folder)
    weights.write_bytes(b"\0" * 99 + b"\1")
    with pytest.raises(CheckpointError, match="differs"):
        atomic.verify_manifest(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        atomic.verify_manifest(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"files": 3}', '{"files": {"config.json": {}}}', '{"files": {"config.json": {"sha256": "0"}}}'],
)
def test_a_damaged_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError):
        atomic.verify_manifest(folder)


def test_a_manifest_may_not_point_outside_its_folder(folder):
    (folder.parent / "secret").write_text("x")
    entry = {"sha256": "0", "bytes": 1}
    (folder / "manifest.json").write_text(json.dumps({"files": {"../secret": entry}}))
    with pytest.raises(CheckpointError, match="outside"):
        atomic.verify_manifest(folder)


def test_no_manifest(tmp_path):
    with pytest.raises(CheckpointError, match="no manifest"):
        atomic.verify_manifest(tmp_path)
