"""Every foreign format becomes the same dataset, and what was dropped is said."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import h5py
import numpy as np
import pytest

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.feature_store import read_feature_file, write_features
from glrg_tf.data.importers import FORMATS, ImportOptions, import_dataset
from glrg_tf.data.importers.msvd import clean
from glrg_tf.data.verify import verify
from tests.data import made


def imported(format_name: str, sources: list[pathlib.Path], **options: Any) -> tuple[CaptionDataset, list[str]]:
    out = sources[0].parent / "imported"
    description = import_dataset(format_name, sources, out, ImportOptions(**options)).description
    report = verify(out)
    assert report.problems == []
    assert report.splits == description["splits"]
    return CaptionDataset.load(out), description["notes"]


# === MSR-VTT ===
def test_msrvtt_folder_with_features_beside(tmp_path: pathlib.Path) -> None:
    dataset, notes = imported("msrvtt", [made.msrvtt_folder(tmp_path / "src")])
    assert (dataset.name, dataset.splits, notes) == ("msrvtt", ("train", "val"), [])
    assert [record.id for record in dataset.records()] == ["video0", "video1", "video2", "video7", "video8"]
    record = dataset.records("val")[0]
    assert record.captions == ("a man does thing 7", "A Man, again!")  # raw text
    assert (record.category, record.start, record.end) == (3, None, None)
    assert dataset.features is not None
    assert dataset.features.streams == {"long_range": 300, "short_range": 400, "keyframe": 1000}
    ids, feats, _ = read_feature_file(tmp_path / "src/val/gl_feats.h5")
    np.testing.assert_array_equal(dataset.features.read(ids), feats)


def test_msrvtt_split_files_single_file_and_others_in_the_folder(tmp_path: pathlib.Path) -> None:
    a = made.write_json(tmp_path / "s/train_val_videodatainfo.json", made.msrvtt({"video0": ["x"]}))
    b = made.write_json(tmp_path / "s/test_videodatainfo.json", made.msrvtt({"video1": ["y"], "video2": []}, "test"))
    dataset, notes = imported("msrvtt", [a, b])
    assert dataset.splits == ("train", "test")
    assert notes == ["1 videos without captions: dropped ('video2')"]
    made.write_json(tmp_path / "s/category.json", ["music"])
    with h5py.File(tmp_path / "s/labels.h5", "w") as handle:
        handle["labels"] = [1]
    description = import_dataset("msrvtt", [tmp_path / "s"], tmp_path / "second").description
    assert description["splits"]["test"]["videos"] == 1
    assert [note.split(":")[0] for note in description["notes"] if "passed over" in note] == [
        "no MSR-VTT annotations, passed over",
        "no features, passed over",
    ]


# === MSVD ===
def test_msvd_corpus_with_mapping(tmp_path: pathlib.Path) -> None:
    source = made.msvd_corpus(tmp_path / "src")
    for name in ("aaaaaaaaaaa_1_5.avi", "vid1201.mp4"):
        (tmp_path / name).touch()
    dataset, notes = imported("msvd", [source / "corpus.csv", source / "youtube_mapping.txt"], videos=tmp_path)
    assert [(r.id, r.split, r.captions) for r in dataset.records()] == [
        ("vid1", "train", ("A man plays", "a nave man,plays")),
        ("vid1201", "val", ("a dog runs",)),
        ("vid1301", "test", ("a cat sleeps",)),
    ]
    assert [pathlib.Path(r.video).name if r.video else None for r in dataset.records()] == [
        "aaaaaaaaaaa_1_5.avi",
        "vid1201.mp4",
        None,
    ]
    assert notes == [
        "1 descriptions in other languages than English: dropped",
        "1 descriptions without text: dropped",
        "1 descriptions of which nothing is left before the first full stop: dropped",
        "1 descriptions of videos that the mapping does not list: dropped",
        "1 videos of the mapping have no captions: dropped ('vid2')",
        f"1 videos have no file in {tmp_path} ('vid1301')",
    ]


def test_msvd_folder_and_list(tmp_path: pathlib.Path) -> None:
    dataset, _ = imported("msvd", [made.msvd_corpus(tmp_path / "src")])
    assert len(dataset.records()) == 3
    (tmp_path / "list.txt").write_text("# comment\nvid1300 a dog.\nvid1 a man\nvid1300 a big dog\nvid1971 beyond\n")
    description = import_dataset("msvd", [tmp_path / "list.txt"], tmp_path / "second").description
    assert {name: counts["captions"] for name, counts in description["splits"].items()} == {"train": 1, "val": 2}
    assert "beyond vid1970" in description["notes"][0]
    (tmp_path / "names.txt").write_text("aaaaaaaaaaa_1_5 a man\n")
    mapping = tmp_path / "src/youtube_mapping.txt"
    description = import_dataset("msvd", [tmp_path / "names.txt", mapping], tmp_path / "third").description
    assert description["splits"]["train"]["videos"] == 1


def test_msvd_cleaning() -> None:
    assert clean("A caf\u00e9.\r\nMore. Text") == "A caf"
    assert clean("two\r\nlines") == "twolines"


def test_msvd_real_mapping_gives_the_official_splits(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mapping = shared / "data/annotations/msvd_youtube_mapping.txt"
    names = [line.split()[0] for line in mapping.read_text().splitlines()]
    (tmp_path / "list.txt").write_text("".join(f"{name} a caption\n" for name in names))
    dataset, _ = imported("msvd", [tmp_path / "list.txt", mapping])
    assert {split: len(dataset.records(split)) for split in dataset.splits} == {"train": 1200, "val": 100, "test": 670}


# === COCO ===
def test_coco_split_by_file_name_own_split_or_hash(tmp_path: pathlib.Path) -> None:
    train = made.write_json(tmp_path / "captions_train2014.json", made.coco({1: ["a", "b"], 2: ["c"]}))
    val = made.write_json(tmp_path / "mine_validation.json", made.coco({"x": ["d"]}))
    own = made.write_json(tmp_path / "dev/all.json", made.coco({7: ["e"]}, split="test", file_name="seven.mp4"))
    (tmp_path / "seven.mp4").touch()
    dataset, notes = imported("coco", [train, val, own], name="mine", videos=tmp_path)
    assert [(r.id, r.split) for r in dataset.records()] == [("1", "train"), ("2", "train"), ("x", "val"), ("7", "test")]
    assert str(dataset.records("test")[0].video).endswith("seven.mp4")
    assert (dataset.name, len(notes)) == ("mine", 1)
    plain = made.write_json(tmp_path / "plain/captions.json", made.coco({n: ["a"] for n in range(50)}))
    description = import_dataset("coco", [plain], tmp_path / "second").description
    assert set(description["splits"]) == {"train", "val", "test"}
    assert "50 videos had no split: split by the hash of their id" in description["notes"][0]


def test_coco_published_references(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source = shared / "data/annotations/msvd_test_cocofmt.json"
    description = import_dataset("coco", [source], tmp_path / "ds", ImportOptions(drop_empty=True)).description
    assert description["splits"] == {"test": {"videos": 668, "captions": 27689, "features": 0}}
    assert description["notes"] == ["1 empty captions: dropped"]


# === Tables ===
def test_table_csv_with_paths_and_quotes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/dog.mp4").touch()
    rows = ["\ufeffvideo,caption,split,mood", 'clips/dog.mp4,"a dog, running",training,x']
    text = "\n".join([*rows, "cat,a cat,validation,", "clips/dog.mp4,again,training,", ""])
    (tmp_path / "mine.csv").write_text(text, "utf-8")
    dataset, notes = imported("table", [tmp_path / "mine.csv"])
    assert [(r.id, r.split, r.captions) for r in dataset.records()] == [
        ("dog", "train", ("a dog, running", "again")),
        ("cat", "val", ("a cat",)),
    ]
    assert dataset.records("train")[0].video == str((tmp_path / "clips/dog.mp4").resolve())
    assert (dataset.name, notes) == ("mine", ["the column 'mood' is ignored"])


def test_table_tsv_jsonl_and_equal_file_names(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.tsv").write_text("video\tcaption\tstart\tend\na/1.mp4\tx\t0.5\t2\nb/1.mp4\ty\t\t\n")
    rows = [
        {"video": 7, "captions": ["one", "two"], "split": "test"},
        {"video": "u", "caption": "\u72ac", "split": "test"},
    ]
    (tmp_path / "u.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    dataset, notes = imported("table", [tmp_path / "t.tsv", tmp_path / "u.jsonl"], tokenizer="unicode")
    records = {record.id: record for record in dataset.records()}
    assert set(records) == {"a/1", "b/1", "7", "u"}
    assert (records["a/1"].start, records["a/1"].end, records["b/1"].start) == (0.5, 2.0, None)
    assert records["7"].captions == ("one", "two")
    assert dataset.tokenizer == "unicode"
    assert any("2 video files were not found" in note for note in notes)


def test_a_language_the_tokenizer_drops(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.csv").write_text("video,caption\na,a dog\nb,\u72ac\nc,x\n", "utf-8")
    _, notes = imported("table", [tmp_path / "t.csv"])
    assert any("1 of 3 captions have no word for the tokenizer 'release'" in note for note in notes)


# === Features ===
def test_features_named_missing_and_surplus(tmp_path: pathlib.Path) -> None:
    source = made.write_json(tmp_path / "v.json", made.msrvtt({"video0": ["x"], "video1": ["y"]}))
    pieces = [np.full((n, 2), n, np.float32) for n in (1, 2)]
    write_features(
        tmp_path / "f.h5", ["video9", "video1"], {"keyframe": pieces, "mine": np.ones((2, 3))}, {"producer": "p"}
    )
    dataset, notes = imported("msrvtt", [source], features=(tmp_path / "f.h5",), drop_missing=True)
    assert [record.id for record in dataset.records()] == ["video1"]
    assert dataset.features is not None
    assert dataset.features.positions("video1", "keyframe").tolist() == [[2, 2], [2, 2]]
    assert dataset.features.attributes["producer"] == "p"
    assert notes == [
        "1 videos without features: dropped ('video0')",
        "1 rows of features without captions: dropped ('video9')",
    ]


def test_release_features_without_ids_are_placed_by_their_name(tmp_path: pathlib.Path) -> None:
    captions = {"video6513": ["x"], "video6514": ["y"]}
    source = made.write_json(tmp_path / "v.json", made.msrvtt(captions, "validate"))
    feats = made.release_features(tmp_path / "msrvtt_val_gl_feats.h5", None, rows=2)
    dataset, _ = imported("msrvtt", [source], features=(tmp_path / "msrvtt_val_gl_feats.h5",))
    assert dataset.features is not None
    np.testing.assert_array_equal(dataset.features.read(["video6514"])[0], feats[1])


# === The commands of the contract, on real data ===
def test_real_msrvtt(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    description = import_dataset("msrvtt", [shared / "data/msrvtt"], tmp_path / "ds").description
    assert description["splits"] == {
        "train": {"videos": 347, "captions": 6940, "features": 347},
        "val": {"videos": 50, "captions": 1000, "features": 50},
    }
    assert verify(tmp_path / "ds").sound
    features = CaptionDataset.load(tmp_path / "ds").features
    assert features is not None
    ids, feats, _ = read_feature_file(shared / "data/msrvtt/train/gl_feats.h5")
    np.testing.assert_array_equal(features.read(ids), feats)


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_listed_format_has_a_reader(format_name: str) -> None:
    import importlib

    assert callable(importlib.import_module(f"glrg_tf.data.importers.{format_name.replace('-', '_')}").read)
