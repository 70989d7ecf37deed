"""The caption dataset on disk, and `verify`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from glrg_tf.data.dataset import CaptionDataset, VideoRecord, write_dataset, write_description
from glrg_tf.data.feature_layout import FeatureTable
from glrg_tf.data.verify import verify
from glrg_tf.errors import AnnotationError, ConfigError, DataError, FeatureError
from glrg_tf.io import atomic
from glrg_tf.text.vocabulary import Vocabulary

RECORDS = [
    VideoRecord("b", "val", ("h\u00e9llo \u72ac", "x"), {"CIDEr": (0.1, 2.0)}, category="music"),
    VideoRecord("a", "train", ("a man",), video="/clips/a.mp4", start=1.5, end=3.0, category=3),
    VideoRecord("c", "extra", ("A Dog.",), levels={"segments": [[0, 1]]}),
]
FEATURES = FeatureTable(["a", "b"], {"x": np.ones((2, 3)), "y": [np.ones((2, 4)), np.ones((1, 4))]}, {"producer": "t"})


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "ds"
    vocabulary = Vocabulary(["<end>", "<start>", "<unk>", "a"])
    write_dataset(root, RECORDS, name="made", source=["here"], features=FEATURES, vocabulary=vocabulary, notes=["n"])
    return root


def test_round_trip(folder: pathlib.Path) -> None:
    dataset = CaptionDataset.load(folder)
    assert (dataset.name, dataset.tokenizer, dataset.folder) == ("made", "release", folder)
    assert dataset.splits == ("train", "val", "extra")
    assert dataset.records() == RECORDS
    assert dataset.records("val") == RECORDS[:1]
    assert dataset.features is not None
    assert dataset.features.read(["b"]).tolist() == [[1.0] * 7]
    assert dataset.features is dataset.features
    assert dataset.release_vocabulary is not None
    assert len(dataset.release_vocabulary) == 4


def test_without_features_and_vocabulary(tmp_path: pathlib.Path) -> None:
    write_dataset(tmp_path / "ds", RECORDS, name="made", source=[], tokenizer="unicode")
    dataset = CaptionDataset.load(tmp_path / "ds")
    assert (dataset.tokenizer, dataset.features, dataset.release_vocabulary) == ("unicode", None, None)


def test_the_files_are_as_the_contract_says(folder: pathlib.Path) -> None:
    rows = [json.loads(line) for line in (folder / "captions.jsonl").read_text("utf-8").splitlines()]
    assert rows[1] == {
        "id": "a",
        "split": "train",
        "captions": ["a man"],
        "video": "/clips/a.mp4",
        "start": 1.5,
        "end": 3.0,
        "category": 3,
    }
    description = json.loads((folder / "dataset.json").read_text("utf-8"))
    assert description["splits"]["val"] == {"videos": 1, "captions": 2, "features": 1}
    assert description["streams"] == {"x": 3, "y": 4}
    assert set(description["files"]) == {"captions.jsonl", "features.h5", "release_vocabulary.json"}


def test_an_unknown_split_names_the_nearest(folder: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="no split 'trian'") as refusal:
        CaptionDataset.load(folder).records("trian")
    assert "did you mean 'train'" in str(refusal.value)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "there are no videos"),
        ([RECORDS[0], RECORDS[0]], "'b' occurs twice"),
        ([VideoRecord("a", "train", ())], "has no captions"),
        ([VideoRecord("a", "train", ("x", " \t"))], "caption 2 of video 'a' is empty"),
        ([VideoRecord(" ", "train", ("x",))], "is blank"),
        ([VideoRecord("a\n", "train", ("x",))], "not printable"),
        ([VideoRecord("a", "", ("x",))], "has the split ''"),
        ([VideoRecord("a", "../x", ("x",))], "has the split"),
        ([VideoRecord("a", "train", ("\ud800",))], "surrogate"),
        ([VideoRecord("a", "train", ("x",), {"CIDEr": (1.0, 2.0)})], "2 CIDEr scores for 1 captions"),
        ([VideoRecord("a", "train", ("x",), {"CIDEr": (float("nan"),)})], "not finite"),
        ([VideoRecord("a", "train", ("x",), start=2.0, end=1.0)], "starts at 2.0 s"),
    ],
)
def test_unsound_records_are_not_written(records: list[VideoRecord], message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=message):
        write_dataset(tmp_path / "ds", records, name="made", source=[])
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    bad = FeatureTable(["a"], {"x": np.array([[np.inf]])})
    for features, error in ((bad, FeatureError), (FeatureTable(["z"], {"x": np.ones((1, 1))}), FeatureError)):
        with pytest.raises(error):
            write_dataset(tmp_path / "new", RECORDS, name="made", source=[], features=features)
    with pytest.raises(ConfigError, match="already exists"):
        write_dataset(folder, RECORDS, name="made", source=[])
    with pytest.raises(ConfigError, match="unknown tokenizer"):
        write_dataset(tmp_path / "new", RECORDS, name="made", source=[], tokenizer="ptb")
    assert sorted(tmp_path.rglob("*")) == before


def test_no_dataset_folder(tmp_path: pathlib.Path) -> None:
    for check in (CaptionDataset.load, verify):
        for path, message in ((tmp_path / "none", "no such dataset folder"), (tmp_path, "not a dataset folder")):
            with pytest.raises(DataError, match=message):
                check(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"name": 3}',
        "{" * 9,
        '{"format": "other", "version": 1, "name": "", "tokenizer": "", "splits": {}, "files": {}}',
    ],
)
def test_damaged_description(text: str, folder: pathlib.Path) -> None:
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DataError):
        CaptionDataset.load(folder)
    with pytest.raises(DataError):
        verify(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"id": "z", "split": "train"}', "'captions' is missing"),
        ('{"id": "z", "split": "train", "captions": "x"}', "'captions' has a wrong type"),
        ('{"id": 3, "split": "train", "captions": ["x"]}', "'id' has a wrong type"),
        ('{"id": "z", "split": "train", "captions": ["x"], "scores": {"CIDEr": 1}}', "'scores' has a wrong type"),
        ('{"id": "z", "split": "train", "captions": ["x"], "start": NaN}', "not valid JSON"),
        ('{"id": "z", "split": "train", "captions": ["x"], "startt": 1}', "unknown key 'startt'"),
        ('{"id": "a", "split": "train", "captions": ["x"]}', "'a' occurs twice"),
        ('{"id": "z", "split": "train", "captions": [""]}', "caption 1 of video 'z' is empty"),
    ],
)
def test_damaged_captions(line: str, message: str, folder: pathlib.Path) -> None:
    with (folder / "captions.jsonl").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match="copied|copy"):  # the size tells already
        CaptionDataset.load(folder)
    description = json.loads((folder / "dataset.json").read_text())
    file = folder / "captions.jsonl"
    description["files"]["captions.jsonl"] = {"bytes": file.stat().st_size, "sha256": atomic.sha256_file(file)}
    write_description(folder, description)
    with pytest.raises(
        AnnotationError if "occurs" not in message and "empty" not in message else DataError, match=message
    ):
        CaptionDataset.load(folder)
    assert any(message in problem for problem in verify(folder).problems)


# === verify ===
def test_a_sound_dataset_has_warnings_only(folder: pathlib.Path) -> None:
    report = verify(folder)
    assert report.sound
    assert (report.name, report.streams) == ("made", {"x": 3, "y": 4})
    assert report.splits["extra"] == {"videos": 1, "captions": 1, "features": 0}
    assert report.warnings == ["1 videos have no features (c)", "1 video files are not where the dataset says (a)"]


def _features(change: Callable[[h5py.File], object]) -> Callable[[pathlib.Path], None]:
    def damage(folder: pathlib.Path) -> None:
        with h5py.File(folder / "features.h5", "a") as handle:
            change(handle)
            del handle.attrs["content_sha256"]  # what is left is for `verify` alone to find

    return damage


DAMAGE: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "captions gone": (lambda f: (f / "captions.jsonl").unlink(), "captions.jsonl is missing"),
    "features gone": (lambda f: (f / "features.h5").unlink(), "features.h5 is missing"),
    "features cut": (
        lambda f: (f / "features.h5").write_bytes((f / "features.h5").read_bytes()[:999]),
        "not a whole HDF5",
    ),
    "not finite": (_features(lambda h: h["streams/x/values"].__setitem__((0, 0), np.nan)), "video 'a' are not finite"),
    "altered": (_features(lambda h: h["streams/x/values"].__setitem__((0, 0), 2.0)), "differs from its sha256"),
    "stream gone": (_features(lambda h: h.__delitem__("streams/y")), "the streams are {'x': 3}"),
    "other ids": (_features(lambda h: h["ids"].__setitem__(0, b"z")), "the files hold"),
    "vocabulary": (lambda f: (f / "release_vocabulary.json").write_text("[]"), "no list 'words'"),
    "unlisted": (lambda f: _describe(f, lambda d: d["files"].pop("features.h5")), "features.h5 is not listed"),
    "outside": (lambda f: _describe(f, lambda d: d["files"].update({"../x": {}})), "not in its folder"),
    "counts": (lambda f: _describe(f, lambda d: d["splits"]["val"].update(videos=9)), "counts"),
    "empty": (lambda f: (f / "captions.jsonl").write_text(""), "there are no videos"),
}


def _describe(folder: pathlib.Path, change: Callable[[dict], object]) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    del description["description_sha256"]  # what is left is for other checks to find
    change(description)
    (folder / "dataset.json").write_text(json.dumps(description))


@pytest.mark.parametrize("case", DAMAGE)
def test_verify_lists_what_is_wrong(case: str, folder: pathlib.Path) -> None:
    damage, message = DAMAGE[case]
    damage(folder)
    report = verify(folder)
    assert not report.sound
    assert any(message in problem for problem in report.problems), report.problems
