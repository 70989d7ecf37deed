"""Bad input to `glrg data import`: exit code 4, cause, place and remedy, and nothing left behind."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from glrg_cli.main import main
from glrg_tf.data.feature_store import write_features
from glrg_tf.data.importers import ImportOptions, import_dataset
from glrg_tf.errors import ConfigError, DataError
from tests.data import made

Path = pathlib.Path
GOOD = {"video0": ["a man"], "video1": ["a dog", "it"]}


def _changed(**changes: Any) -> dict[str, Any]:
    return {**made.msrvtt(GOOD), **changes}


def _row(table: str, index: int, **changes: Any) -> dict[str, Any]:
    value = made.msrvtt(GOOD)
    value[table][index].update(changes)
    return value


def _without(table: str, key: str) -> dict[str, Any]:
    value = made.msrvtt(GOOD)
    del value[table][1][key]
    return value


MSRVTT: dict[str, tuple[Any, str]] = {
    "no videos": (_changed(videos=None), "'videos' is NoneType"),
    "no sentences key": ({"videos": []}, "'sentences' is missing"),
    "nothing": (_changed(videos=[], sentences=[]), "there are no videos"),
    "a list": ([1], "expected a JSON object, found list"),
    "a video is text": (_changed(videos=["video0"]), "expected a JSON object, found str"),
    "no video_id": (_without("videos", "video_id"), "'video_id' is missing"),
    "no split": (_without("videos", "split"), "'split' is missing"),
    "no caption": (_without("sentences", "caption"), "'caption' is missing"),
    "caption is a number": (_row("sentences", 1, caption=3), "a caption is int"),
    "caption is null": (_row("sentences", 1, caption=None), "a caption is NoneType"),
    "empty caption": (_row("sentences", 1, caption=" \n"), "a caption of 'video1' is empty"),
    "half a surrogate": (_row("sentences", 1, caption="\ud800"), "surrogate"),
    "caption of another": (_row("sentences", 1, video_id="video7"), "of 'video7', which is not listed"),
    "listed twice": (_row("videos", 1, video_id="video0"), "'video0' is listed twice"),
    "id is blank": (
        {"videos": [{"video_id": " ", "split": "train"}], "sentences": [{"video_id": " ", "caption": "x"}]},
        "blank",
    ),
    "split is no name": (_row("videos", 1, split="../x"), "has the split"),
    "split is a number": (_row("videos", 1, split=3), "'split' is int"),
    "category is a list": (_row("videos", 1, category=[1]), "wrong type"),
    "other language": (made.msrvtt({"video0": ["\u72ac"]}), "--tokenizer unicode|have no word"),
}


@pytest.mark.parametrize("case", MSRVTT)
def test_msrvtt(case: str, tmp_path: Path) -> None:
    value, message = MSRVTT[case]
    refused("msrvtt", made.write_json(tmp_path / "in/v.json", value), message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"videos": [', "not valid JSON"),
        (b'{"videos": NaN}', "NaN is not JSON"),
        (b"[" * 200000, "nested too deeply"),
        (b'{"videos": "\xff\xff"}', "not utf-8"),
        (b'{"videos": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("format_name", ["msrvtt", "coco"])
def test_json_that_is_none(format_name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/v.json").write_bytes(content)
    refused(format_name, tmp_path / "in/v.json", message)


TABLES: dict[str, tuple[str, str, str]] = {
    "no header": ("t.csv", "a,b\n1,2\n", "'video' is missing"),
    "semicolons": ("t.csv", "video;caption\na;x\n", "by commas, not by ';'"),
    "empty file": ("t.csv", "", "no header line"),
    "no rows": ("t.csv", "video,caption\n", "no rows"),
    "empty caption": ("t.csv", "video,caption\na,\n", "a caption of 'a' is empty"),
    "empty video": ("t.csv", "video,caption\n,x\n", "the cell 'video' is empty"),
    "cells missing": ("t.csv", "video,caption,split\na,x\n", "too few or too many"),
    "cells too many": ("t.csv", "video,caption\na,x,y\n", "too few or too many"),
    "open quote": ("t.csv", 'video,caption\na,"x\n', "not valid csv"),
    "huge cell": ("t.csv", "video,caption\na," + "x" * 200000, "not valid csv"),
    "two splits": ("t.csv", "video,caption,split\na,x,train\na,y,test\n", "differ in split"),
    "no number": ("t.csv", "video,caption,start\na,x,soon\n", "'start' is no number"),
    "ends first": ("t.csv", "video,caption,start,end\na,x,2,1\n", "starts at 2.0"),
    "not finite": ("t.csv", "video,caption,start\na,x,inf\n", "'start' is no number"),
    "ending": ("t.xlsx", "", "ends in .csv"),
    "line": ("t.jsonl", "{", "not valid JSON"),
    "no object": ("t.jsonl", "[]", "expected a JSON object"),
    "no caption": ("t.jsonl", '{"video": "a"}', "'caption' is missing"),
    "caption number": ("t.jsonl", '{"video": "a", "caption": 3}', "'caption' is int"),
    "captions numbers": ("t.jsonl", '{"video": "a", "captions": [3]}', "a caption is int"),
    "no captions": ("t.jsonl", '{"video": "a", "captions": []}', "no videos"),
    "video list": ("t.jsonl", '{"video": [], "caption": "x"}', "'video' is list"),
}


@pytest.mark.parametrize("case", TABLES)
def test_table(case: str, tmp_path: Path) -> None:
    name, text, message = TABLES[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(text, "utf-8")
    refused("table", tmp_path / "in" / name, message)


def test_msvd(tmp_path: Path) -> None:
    source = made.msvd_corpus(tmp_path / "in")
    refused("msvd", source / "corpus.csv", "no caption is left.*mapping does not list")
    (source / "youtube_mapping.txt").write_text("a vid1\nb\n")
    refused("msvd", source, "expected a name and vidK")
    (source / "youtube_mapping.txt").write_text("a vid1\na vid2\n")
    refused("msvd", source, "mapped twice")
    (source / "youtube_mapping.txt").write_text("a vid1\nb vid1\n")
    refused("msvd", source, "two names map to one")
    (source / "youtube_mapping.txt").unlink()
    (source / "corpus.csv").write_text("VideoID,Start\na,1\n")
    refused("msvd", source / "corpus.csv", "'End' is missing")
    refused("msvd", source, "no MSVD captions")
    (source / "list.txt").write_text("vid1 a man\nvid2\n")
    refused("msvd", source / "list.txt", "a caption is empty")


def _damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def _huge(path: Path) -> None:
    with h5py.File(path, "w") as handle:
        handle.create_dataset("feats", (10**9, made.WIDTH), "f4")
        handle["video_ids"] = ["a"]


def _linked(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as handle:
        handle["feats"] = h5py.ExternalLink("/etc/passwd", "/x")


FEATURES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda p: p.unlink(), "no such file"),
    "cut": (_damaged, "not a whole HDF5 file"),
    "text": (lambda p: p.write_text("no"), "not a whole HDF5 file"),
    "width": (lambda p: made.release_features(p, ["video0"], feats=np.ones((1, 1300), "f4")), "1300 wide"),
    "NaN": (lambda p: made.release_features(p, ["video0"], feats=np.full((1, 1700), np.nan)), "not finite"),
    "infinite": (lambda p: made.release_features(p, ["video0"], feats=np.full((1, 1700), np.inf)), "not finite"),
    "one id twice": (lambda p: made.release_features(p, ["video0", "video0"]), "'video0' occurs twice"),
    "more ids": (lambda p: made.release_features(p, ["video0", "video1"], rows=1), "2 video_ids for 1 rows"),
    "no ids": (lambda p: made.release_features(p, None, rows=2), "no 'video_ids'"),
    "other ids": (lambda p: made.release_features(p, ["x", "y"]), "2 of 2 videos have no features"),
    "one missing": (lambda p: made.release_features(p, ["video0"]), "1 of 2 videos have no features"),
    "shape": (_huge, "the file stores"),
    "link": (_linked, "link"),
    "our width": (lambda p: write_features(p, ["video0"], {"x": np.ones((1, 2))}), "1 of 2 videos have no features"),
}


@pytest.mark.parametrize("case", FEATURES)
def test_features(case: str, tmp_path: Path) -> None:
    damage, message = FEATURES[case]
    source = made.write_json(tmp_path / "in/v.json", made.msrvtt(GOOD))
    path = tmp_path / "in/f.h5"
    made.release_features(path, list(GOOD))
    damage(path)
    refused("msrvtt", source, message, features=(path,))


def test_feature_files_that_disagree(tmp_path: Path) -> None:
    source = made.write_json(tmp_path / "in/v.json", made.msrvtt(GOOD))
    first, second = tmp_path / "in/a.h5", tmp_path / "in/b.h5"
    made.release_features(first, ["video0", "video1"])
    made.release_features(second, ["video1"])
    refused("msrvtt", source, "'video1' are in two files", features=(first, second))
    write_features(second, ["video9"], {"keyframe": np.ones((1, 3))})
    refused("msrvtt", source, "the streams differ", features=(first, second))


def test_places(tmp_path: Path) -> None:
    (tmp_path / "in/empty").mkdir(parents=True)
    source = made.write_json(tmp_path / "in/v.json", made.msrvtt(GOOD))
    refused("msrvtt", tmp_path / "in/none.json", "no such file or folder")
    refused("msrvtt", tmp_path / "in/empty", "no .json file was found")
    refused("msrvtt", source, "no such folder of videos", videos=tmp_path / "in/none")
    refused("msrvtt", source, "no such file", splits=tmp_path / "in/none.json")
    refused("msrvtt", Path("/dev/null"), "no such file or folder|not an ordinary file")
    for name, format_name in (("other.json", "msrvtt"), ("other.json", "coco")):
        made.write_json(tmp_path / "in/sub" / name, {"x": 1})
        refused(format_name, tmp_path / "in/sub", "no MSR-VTT annotations|no COCO captions")
    made.write_json(tmp_path / "in/twice/a.json", made.msrvtt(GOOD))
    made.write_json(tmp_path / "in/twice/b.json", made.msrvtt(GOOD))
    refused("msrvtt", tmp_path / "in/twice", "'video0' is listed twice, in .*a.json too")


def test_usage(tmp_path: Path) -> None:
    source = made.write_json(tmp_path / "v.json", made.msrvtt(GOOD))
    with pytest.raises(ConfigError, match="unknown format 'xyz'"):
        import_dataset("xyz", [source], tmp_path / "ds")
    with pytest.raises(ConfigError, match="already exists"):
        import_dataset("msrvtt", [source], tmp_path)
    with pytest.raises(ConfigError, match="unknown tokenizer"):
        import_dataset("msrvtt", [source], tmp_path / "ds", ImportOptions(tokenizer="x"))


def refused(format_name: str, source: Path, message: str, **options: Any) -> None:
    """Asserts a refusal of exit code 4 that says where and what to do, and leaves nothing behind."""
    out = source.parent / "out/ds"
    with pytest.raises(DataError, match=message) as refusal:
        import_dataset(format_name, [source], out, ImportOptions(**options))
    assert refusal.value.exit_code == 4
    assert refusal.value.remedy
    assert refusal.value.where
    assert not out.parent.exists()


def test_a_folder_that_has_none_of_the_videos(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/t.csv").write_text("video,caption\na,x\nb,y\n")
    refused("table", tmp_path / "in/t.csv", "none of the 2 videos has a file there", videos=tmp_path / "empty")


# === The command ===
def test_command_imports_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = made.msrvtt_folder(tmp_path / "src"), tmp_path / "ds"
    assert main(["data", "import", "msrvtt", str(source), "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["splits"]["train"] == {"videos": 3, "captions": 6, "features": 3}
    assert "train" in captured.err
    assert main(["data", "verify", str(out)]) == 0
    assert "sound" in capsys.readouterr().err
    with (out / "captions.jsonl").open("a") as stream:
        stream.write("{}\n")
    assert main(["data", "verify", str(out), "--json"]) == 4
    captured = capsys.readouterr()
    assert not json.loads(captured.out)["sound"]
    assert "'id' is missing" in captured.err


def test_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["data", "import", "msrvtt", str(tmp_path / "none.json"), "--out", str(out)]) == 4
    assert "what to do: check the path" in capsys.readouterr().err
    assert main(["data", "import", "msrvt", "x", "--out", str(out)]) == 2
    assert "did you mean 'msrvtt'" in capsys.readouterr().err
    assert main(["data", "verify", str(tmp_path / "none")]) == 4
    source = made.write_json(tmp_path / "v.json", made.msrvtt({"a": ["x", ""]}))
    assert main(["data", "import", "msrvtt", str(source), "--out", str(out)]) == 4
    assert not out.exists()
    assert main(["data", "import", "msrvtt", str(source), "--out", str(out), "--drop-empty"]) == 0
    assert "1 empty captions: dropped" in capsys.readouterr().err
