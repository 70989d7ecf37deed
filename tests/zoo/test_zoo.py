"""`glrg zoo` and the presets, end to end on file:// mirrors."""

from __future__ import annotations

import json

import pytest

from glrg_cli.main import main
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.convert import zoo_presets
from glrg_tf.convert.glrg_checkpoint import read_checkpoint
from glrg_tf.errors import CheckpointError, ConfigError
from tests.zoo.made_release import write_release


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    write_release(root, datasets=("msrvtt", "msvd"), stages=("XE", "DR"))
    return root


def _zoo(mirror, out, capsys, *options, code=0):
    words = ["zoo", "--from", mirror.as_uri(), "--out", str(out), "--json", *options]
    assert main(words) == code
    printed = capsys.readouterr()
    return (json.loads(printed.out) if printed.out else None), printed.err


def test_all_rows_that_there_are(mirror, tmp_path, capsys):
    """The DXE checkpoints are wanting: exit code 3, the other rows are done."""
    value, errors = _zoo(mirror, tmp_path, capsys, code=3)
    assert [row["name"] for row in value["rows"]] == [
        "glrg-xe-msrvtt",
        "glrg-dr-msrvtt",
        "glrg-xe-msvd",
        "glrg-dr-msvd",
    ]
    assert value["rows"][1]["published"] == {"Bleu_4": 46.9, "METEOR": 31.2, "ROUGE_L": 65.7, "CIDEr": 60.6}
    assert {row["videos"] for row in value["rows"]} == {6}
    assert all(0 <= row["scores"]["METEOR"] <= 1 for row in value["rows"])
    assert "glrg-dxe-msvd: its checkpoint cannot be downloaded" in errors
    assert "2 rows of features without captions" in errors  # 670 rows of features, 470 captioned videos
    # Once more, with the mirror gone: everything is at hand.
    chosen = ("--stages", "xe,dr", "--datasets", "msvd")
    again, _ = _zoo(tmp_path, tmp_path, capsys, *chosen)
    assert again["rows"] == value["rows"][2:]


def test_list(capsys):
    assert main(["zoo", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == list(zoo_presets.NAMES) and listed[-1]["published"]["CIDEr"] == 101.0


@pytest.mark.parametrize(
    "options", [["--stages", "scst"], ["--datasets", "coco"], ["--stages", ""], ["--split", "dev"]]
)
def test_bad_usage(mirror, tmp_path, capsys, options):
    _zoo(mirror, tmp_path, capsys, *options, code=2)


def test_nothing_to_be_had(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    _zoo(tmp_path / "empty", tmp_path / "out", capsys, "--stages", "xe", code=4)


def test_presets(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("GLRG_CACHE", str(tmp_path))
    monkeypatch.setenv("GLRG_RELEASE", mirror.as_uri())
    captioner = VideoCaptioner.from_preset("glrg-dr-msvd")
    assert len(captioner.vocabulary) == 28
    monkeypatch.setenv("GLRG_RELEASE", "file:///nowhere/at/all")
    assert VideoCaptioner.from_preset("glrg-dr-msvd").vocabulary == captioner.vocabulary  # from the cache
    weights = next(tmp_path.rglob("model.weights.h5"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="differs from its manifest"):
        VideoCaptioner.from_preset("glrg-dr-msvd")


def test_presets_that_cannot_be_had(mirror, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="cannot be downloaded") as caught:
        zoo_presets.resolve("glrg-dxe-msvd", source=mirror.as_uri(), cache=tmp_path)
    assert "GLRG_RELEASE" in caught.value.remedy
    with pytest.raises(ConfigError, match="no preset"):
        zoo_presets.resolve("glrg-xe-coco", cache=tmp_path)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GLRG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert zoo_presets.cache_folder() == tmp_path / "glrg-tf"


def test_the_sample_scores_as_the_original_code_scored_it(shared, tmp_path, capsys):
    """The checkpoint remembers the CIDEr that the original code measured on these val videos."""
    sample = shared / "data/glrg_release_sample"
    value, _ = _zoo(sample, tmp_path, capsys, "--datasets", "msrvtt", "--stages", "xe", "--split", "val")
    [row] = value["rows"]
    original = read_checkpoint(sample / "model/GL-RG_XE_msrvtt/model.pth").history["CIDEr"]
    assert row["videos"] == 50 and row["scores"]["CIDEr"] == pytest.approx(original, abs=1e-9)
    expected = json.loads((sample / "model/GL-RG_XE_msrvtt/expected_val_captions.json").read_text("utf-8"))
    assert sorted(p["caption"] for p in row["predictions"]) == sorted(e["beam5"] for e in expected)
