"""Imports of texts at three levels: Ego4D-HCap, HiREST, YouCook2; what goes where, and what is refused."""

from __future__ import annotations

import json
import pathlib
import pickle
import random
from typing import Any

import numpy as np
import pytest

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.importers import ImportOptions, import_dataset
from glrg_tf.data.levels import LevelText, LevelTexts, collected
from glrg_tf.errors import AnnotationError, GlrgError
from tests.data import made

SEGMENT = {
    "vid": "v1",
    "start_sec": 0,
    "end_sec": 180,
    "captions_pred": [("v1", 0, 4, "#C C walks"), ("v1", 4, 8, "#C C sits")],
    "captions_gt": [("v1", 1.5, 1.5, "#C C opens a door")],
    "segment_description": "C was at home.",
    "sid": "v1_0",
}


def imported(out: pathlib.Path, name: str, *files: pathlib.Path, **options: Any) -> tuple[CaptionDataset, list[str]]:
    notes = import_dataset(name, list(files), out, ImportOptions(**options)).description["notes"]
    return CaptionDataset.load(out), notes


def levels_of(dataset: CaptionDataset) -> dict[str, LevelTexts]:
    return {record.id: LevelTexts.from_json(record.levels, record.id) for record in dataset.records()}


def write_pickle(path: pathlib.Path, value: Any) -> pathlib.Path:
    path.write_bytes(pickle.dumps(value))
    return path


def test_hirest(tmp_path):
    file = made.write_json(tmp_path / "all_data_train.json", made.HIREST)
    dataset, notes = imported(tmp_path / "d", "hirest", file)
    assert levels_of(dataset) == {
        "a": LevelTexts(
            clip=(LevelText(5, 20, ("boil water",)), LevelText(30, 30, ("add leaves",))),
            segment=(LevelText(5, 50, ("Make Tea",)),),
            video=(LevelText(0, 60.5, ("Make Tea",)),),
            duration=60.5,
        )
    }
    assert [(r.split, r.captions) for r in dataset.records()] == [("train", ("Make Tea",))]
    assert notes == ["1 videos that are not relevant or have no steps: left out ('b')"]


def test_youcook2_with_and_without_names(tmp_path):
    file = made.write_json(tmp_path / "yc2.json", made.YOUCOOK)
    dataset, notes = imported(tmp_path / "a", "youcook2", file)
    (record,) = dataset.records()
    assert (record.split, record.captions, record.category) == ("val", ("spread butter",), "113")
    assert "level 'video' is empty" in notes[0]
    (tmp_path / "label_foodtype.csv").write_text("101,blt\n113,grilled cheese\n")
    dataset, notes = imported(tmp_path / "b", "youcook2", file)
    assert notes == []
    assert levels_of(dataset)["x"].video == (LevelText(0, 100, ("grilled cheese",)),)
    assert next(iter(dataset.records())).captions == ("grilled cheese",)


def test_ego4d_hcap(tmp_path, monkeypatch):
    rows = tmp_path / "features" / "segments"
    rows.mkdir(parents=True)
    np.save(rows / "v1_0.npy", np.zeros((46, 4), np.float32))
    write_pickle(tmp_path / "clips_train.pkl", [("v1", 1.5, 1.5, "#C C opens a door"), ("v2", 9.0, 8.0, "#C C runs")])
    write_pickle(tmp_path / "segments_train.pkl", [SEGMENT, SEGMENT | {"segment_description": "C sat down."}])
    write_pickle(tmp_path / "segments_train_pseudo.pkl", [SEGMENT | {"segment_description": "a machine's words"}])
    timed = [("v1", 0, 180, "C was at home."), ("v1", 180, 400, "C ate.")]
    made.write_json(
        tmp_path / "videos_train.json",
        [
            made.SUMMARY | {"segment_descriptions": timed},
            made.SUMMARY | {"video_summary": "A day.", "segment_descriptions_pred": ["first.", "then."]},
            made.SUMMARY | {"vid": "v3", "segment_descriptions": "['C cooked.']", "version": "v1"},
        ],
    )
    made.write_json(tmp_path / "other.json", {"a": 1})
    monkeypatch.chdir(tmp_path.parent)
    dataset, notes = imported(tmp_path / "d", "ego4d-hcap", pathlib.Path(tmp_path.name))
    found = levels_of(dataset)
    assert found["v1"].clip == (LevelText(1.5, 1.5, ("#C C opens a door",)),)
    first, second = found["v1"].segment
    assert first.captions == ("C was at home.", "C sat down.")
    assert first.features == str((rows / "v1_0.npy").resolve())  # found from wherever the dataset is read
    assert (second.start, second.end, second.captions) == (180, 400, ("C ate.",))
    assert found["v1"].video == (LevelText(0, 400, ("C spent a day at home.", "A day.")),)
    predicted = found["v1"].predicted
    assert [text.captions for text in predicted["clip"]] == [("#C C walks",), ("#C C sits",)]
    assert [(text.start, text.captions) for text in predicted["segment"]] == [
        (0, ("a machine's words",)),
        (0, ("first.",)),
        (200, ("then.",)),
    ]
    assert found["v2"].clip == (LevelText(8, 9, ("#C C runs",)),)
    assert found["v3"].segment == (LevelText(0, 400, ("C cooked.",)),)
    assert {record.id: record.captions for record in dataset.records()} == {
        "v1": ("C spent a day at home.", "A day."),
        "v2": ("#C C runs",),
        "v3": ("C spent a day at home.",),
    }
    assert any("passed over" in note for note in notes) and any("placed evenly" in note for note in notes)
    assert any("times exchanged" in note for note in notes)


def test_one_video_in_two_splits_is_refused(tmp_path):
    train = write_pickle(tmp_path / "segments_train.pkl", [SEGMENT])
    val = made.write_json(tmp_path / "videos_val.json", [made.SUMMARY])
    with pytest.raises(AnnotationError, match="is in 'train' and in 'val'"):
        imported(tmp_path / "d", "ego4d-hcap", train, val)
    assert not (tmp_path / "d").exists()


JUNK = (b"", b"null", b"[]", b'"', b"-9", b"{", b"1e999")


def test_activitynet_paragraphs(tmp_path):
    def told(*events: tuple[float, float, str]) -> dict[str, Any]:
        return {"duration": 10, "timestamps": [e[:2] for e in events], "sentences": [e[2] for e in events]}

    first = made.write_json(tmp_path / "val_1.json", {"v_a": told((4, 12, " He stops."), (0, 4, "A man runs."))})
    second = made.write_json(tmp_path / "val_2.json", {"v_a": told((0, 4, "Running.")), "v_b": told((3, 3, "None."))})
    dataset, notes = imported(tmp_path / "d", "activitynet-paragraphs", first, second)
    whole = LevelText(0, 10, ("A man runs. He stops.", "Running."))
    events = (LevelText(0, 4, ("A man runs.", "Running.")), LevelText(4, 10, ("He stops.",)))
    assert levels_of(dataset) == {"v_a": LevelTexts(events, (), (whole,), duration=10)}
    assert next(iter(dataset.records())).split == "val"
    assert notes == [
        "1 events ended after their video: cut at its end",
        "1 events had no length: dropped",
        "1 videos without events: dropped ('v_b')",
    ]


class Gadget:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([Gadget()], "refused"),
        ([], "nothing in it"),
        ({"vid": "a"}, "expected a list"),
        ([("v", 0, 1)], "expected .video id"),
        ([("v", 0, float("nan"), "a")], "no number of seconds"),
        ([("v", 0, 10**400, "a")], "absurd size"),
        ([("v", -1, 2, "a")], "no number of seconds"),
        ([("v", 0, 1, " ")], "a text is empty"),
        ([("v", 0, 1, 7)], "a text is int"),
        ([{"vid": "v"}], "neither a clip"),
        ([SEGMENT | {"captions_gt": 3}], "not a list"),
        ([SEGMENT | {"start_sec": "0"}], "'start_sec' is str"),
        ([made.SUMMARY | {"segment_descriptions": [3]}], "expected .video id"),
    ],
)
def test_bad_records_are_refused(tmp_path, capsys, value, message):
    file = write_pickle(tmp_path / "segments_train.pkl", value)
    with pytest.raises(AnnotationError, match=message) as refusal:
        imported(tmp_path / "d", "ego4d-hcap", file)
    assert str(file) in str(refusal.value.where) and refusal.value.remedy
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["hirest", "youcook2", "ego4d-hcap", "activitynet-paragraphs"])
def test_damaged_files_end_in_an_import_or_a_refusal(tmp_path, name):
    events = {"v_a": {"duration": 10, "timestamps": [[0, 4.5], [2, 9]], "sentences": ["One.", "Two."]}}
    formats = {"hirest": made.HIREST, "youcook2": made.YOUCOOK, "ego4d-hcap": [SEGMENT, made.SUMMARY, ["v", 0, 1, "a"]]}
    data = json.dumps((formats | {"activitynet-paragraphs": events})[name]).encode()
    chance = random.Random(name)
    for number in range(120):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.randrange(len(broken))
            broken[place : place + chance.randrange(3)] = chance.choice(
                (b"", b"null", b"[]", b'"', b"-9", b"{", b"1e999")
            )
        file = tmp_path / f"all_data_train{number}.json"
        file.write_bytes(bytes(broken))
        try:
            imported(tmp_path / f"d{number}", name, file)
        except GlrgError as refusal:
            assert refusal.exit_code in (2, 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected an object"),
        ({"clips": []}, "unknown key 'clips'"),
        ({"clip": [{"start": 2, "end": 1, "captions": ["a"]}]}, "starts at 2 s and ends at 1 s"),
        ({"clip": [{"start": 0, "end": 1, "captions": []}]}, "list of texts"),
        ({"clip": [{"end": 1, "captions": ["a"]}]}, "no number of seconds"),
        ({"duration": True}, "no number of seconds"),
    ],
)
def test_levels_are_read_strictly(value, message):
    with pytest.raises(AnnotationError, match=message):
        LevelTexts.from_json(value, "here")


def test_levels_come_back_as_they_were():
    texts = LevelTexts((LevelText(0, 4, ("a", "b")),), predicted={"clip": (LevelText(0, 4, ("c",), "f.npy"),)})
    assert LevelTexts.from_json(json.loads(json.dumps(texts.to_json())), "here") == texts
    assert collected([LevelText(4, 5, ("z",)), LevelText(0, 1, ("a",)), LevelText(4, 5, ("y", "z"), "f")]) == (
        LevelText(0, 1, ("a",)),
        LevelText(4, 5, ("z", "y"), "f"),
    )


def test_published_files(tmp_path, shared):
    folder = shared / "data" / "annotations"
    files = [folder / "hirest_all_data_train.json", folder / "hirest_all_data_val.json"]
    dataset, _ = imported(tmp_path / "h", "hirest", *files)
    found = list(dataset.records())
    assert [sum(r.split == split for r in found) for split in ("train", "val")] == [550, 78]
    assert sum(len(texts.clip) for texts in levels_of(dataset).values()) > 4700
    dataset, _ = imported(tmp_path / "y", "youcook2", folder / "yc2_annotations_trainval.json")
    found = list(dataset.records())
    assert [sum(r.split == split for r in found) for split in ("train", "val")] == [1333, 457]
    assert sum(len(texts.clip) for texts in levels_of(dataset).values()) == 13828  # one step stands there twice
    files = [folder / f"anet_captions_val_{number}.json" for number in (1, 2)]
    dataset, _ = imported(tmp_path / "a", "activitynet-paragraphs", *files)
    found = levels_of(dataset)
    assert len(found) == 4917 and sum(len(texts.video[0].captions) for texts in found.values()) > 9000


def test_stories_of_the_world(tmp_path):
    """Beats, segments and the summary become the three levels; several wordings are references of one text."""

    from glrg_tf.data.world.stories import draw_story
    from glrg_tf.data.world.story_video import story_row

    splits = ("train", "test")
    rows = [story_row(draw_story(3, n, 48.0, 24.0), split, f"{split}.mp4") for n, split in enumerate(splits)]
    (tmp_path / "train.mp4").write_bytes(b"a film")
    (tmp_path / "stories.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = import_dataset("stories", [tmp_path], tmp_path / "data")
    assert report.description["splits"]["test"]["videos"] == 1
    record = CaptionDataset.load(tmp_path / "data").records("train")[0]
    levels = LevelTexts.from_json(record.levels, "")
    assert len(levels.clip) == 12 and len(levels.segment) == 2 and levels.duration == 48.0
    assert record.captions == levels.video[0].captions == tuple(rows[0]["summaries"])
    assert record.video == str(tmp_path / "train.mp4") and CaptionDataset.load(tmp_path / "data").records("test")
    (tmp_path / "stories.jsonl").write_text(json.dumps(rows[0] | {"summaries": []}) + "\n")
    with pytest.raises(AnnotationError, match="summaries"):
        import_dataset("stories", [tmp_path / "stories.jsonl"], tmp_path / "again")


def test_half_a_surrogate_pair_in_a_step_is_refused_before_anything_is_written(tmp_path):
    step = {"index": 0, "heading": "boil \ud83d", "absolute_bounds": [5, 20]}
    row = {"relevant": True, "clip": False, "v_duration": 60.5, "bounds": [0, 0], "steps": [step]}
    made.write_json(tmp_path / "all_data_train.json", {"Make Tea": {"a.mp4": row}})
    with pytest.raises(GlrgError, match="half a surrogate pair"):
        import_dataset("hirest", [tmp_path / "all_data_train.json"], tmp_path / "d", ImportOptions())
    assert not (tmp_path / "d").exists()
