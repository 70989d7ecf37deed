"""ActivityNet Captions: every event a record, mended times, two annotators of one video."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.importers import ImportOptions, import_dataset
from glrg_tf.errors import AnnotationError
from tests.data import made


def video(duration: float, *events: tuple[float, float, str]) -> dict[str, Any]:
    return {
        "duration": duration,
        "timestamps": [[start, end] for start, end, _ in events],
        "sentences": [text for _, _, text in events],
    }


def imported(out: pathlib.Path, sources: list[pathlib.Path], **options: Any) -> tuple[CaptionDataset, list[str]]:
    notes = import_dataset("activitynet", sources, out, ImportOptions(**options)).description["notes"]
    return CaptionDataset.load(out), notes


def test_events_of_two_annotators(tmp_path: pathlib.Path) -> None:
    train = made.write_json(
        tmp_path / "train.json", {"v_a": video(10, (0, 4.14, "A man runs."), (4.14, 10, " He stops."))}
    )
    first = made.write_json(
        tmp_path / "val_1.json", {"v_b": video(9.5, (5, 9.5, "She sings."), (0.28, 5, "She bows."))}
    )
    second = made.write_json(tmp_path / "val_2.json", {"v_b": video(9.5, (0.28, 5, "A bow."), (1, 9, "A concert."))})
    dataset, notes = imported(tmp_path / "d", [train, first, second])
    assert notes == []
    assert [(r.id, r.split, r.start, r.end, r.captions) for r in dataset.records()] == [
        ("v_a_0_4.14", "train", 0.0, 4.14, ("A man runs.",)),
        ("v_a_4.14_10", "train", 4.14, 10.0, ("He stops.",)),
        ("v_b_0.28_5", "val", 0.28, 5.0, ("She bows.", "A bow.")),
        ("v_b_1_9", "val", 1.0, 9.0, ("A concert.",)),
        ("v_b_5_9.5", "val", 5.0, 9.5, ("She sings.",)),
    ]


def test_times_are_mended_and_counted(tmp_path: pathlib.Path) -> None:
    events = (
        (8, 2, "Backwards."),
        (3, 12.01, "Past the end."),
        (4, 4, "No length."),
        (11, 12, "Outside."),
        (0, 9, "Fine."),
    )
    file = made.write_json(tmp_path / "train.json", {"v_a": video(10, *events)})
    dataset, notes = imported(tmp_path / "d", [file])
    assert [(r.start, r.end) for r in dataset.records()] == [(0, 9), (2, 8), (3, 10)]
    assert notes == [
        "2 events ended after their video: cut at its end",
        "1 events ended before they began: times exchanged",
        "2 events had no length: dropped",
    ]


def test_splits_go_by_video(tmp_path: pathlib.Path) -> None:
    videos = {f"v_{n}": video(9, (0, 3, "One."), (3, 9, "Two.")) for n in range(12)}
    file = made.write_json(tmp_path / "mine" / "captions.json", videos)
    dataset, notes = imported(tmp_path / "d", [file])
    assert dataset.splits == ("train", "val", "test")
    for name in videos:
        assert len({r.split for r in dataset.records() if r.id.startswith(f"{name}_")}) == 1
    assert notes[0].startswith("12 videos had no split")
    splits = made.write_json(tmp_path / "splits.json", {"train": ["v_1", "v_2_0_3"], "test": ["v_3"], "val": ["v_99"]})
    dataset, notes = imported(tmp_path / "e", [file], splits=splits)
    assert [(r.id, r.split) for r in dataset.records()] == [
        ("v_1_0_3", "train"),
        ("v_1_3_9", "train"),
        ("v_2_0_3", "train"),
        ("v_3_0_3", "test"),
        ("v_3_3_9", "test"),
    ]
    assert any("'v_99'" in note for note in notes)


def test_videos_are_found_with_and_without_the_prefix(tmp_path: pathlib.Path) -> None:
    file = made.write_json(tmp_path / "train.json", {f"v_{n}": video(9, (0, 3, "One.")) for n in "ab"})
    (tmp_path / "clips").mkdir()
    for name in ("v_a.mp4", "b.webm"):
        (tmp_path / "clips" / name).touch()
    dataset, _ = imported(tmp_path / "d", [file], videos=tmp_path / "clips")
    assert [pathlib.Path(r.video or "").name for r in dataset.records()] == ["v_a.mp4", "b.webm"]


def test_a_folder_is_searched(tmp_path: pathlib.Path) -> None:
    made.write_json(tmp_path / "s/train.json", {"v_a": video(9, (0, 3, "One."))})
    made.write_json(tmp_path / "s/train_ids.json", ["v_a"])
    dataset, notes = imported(tmp_path / "d", [tmp_path / "s"])
    assert len(dataset.records()) == 1
    assert [note.split(":")[0] for note in notes] == ["no ActivityNet captions, passed over"]


BAD: dict[str, Any] = {
    "a list": ["v_a"],
    "nothing": {},
    "no duration": {"v_a": {"timestamps": [[0, 1]], "sentences": ["x"]}},
    "fewer sentences": {"v_a": {"duration": 9, "timestamps": [[0, 1], [1, 2]], "sentences": ["x"]}},
    "no pair": {"v_a": {"duration": 9, "timestamps": [[0]], "sentences": ["x"]}},
    "negative": {"v_a": video(9, (-1, 3, "x"))},
    "text for a time": {"v_a": {"duration": 9, "timestamps": [["0", 1]], "sentences": ["x"]}},
    "no text": {"v_a": {"duration": 9, "timestamps": [[0, 1]], "sentences": [None]}},
    "empty caption": {"v_a": video(9, (0, 3, "  "))},
    "a number for a video": {"v_a": 3},
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_files_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    file = made.write_json(tmp_path / "train.json", BAD[name])
    with pytest.raises(AnnotationError) as refusal:
        imported(tmp_path / "d", [file])
    assert str(file) in (refusal.value.where or "")
    assert not (tmp_path / "d").exists()


def test_a_video_in_two_splits_is_refused(tmp_path: pathlib.Path) -> None:
    files = [
        made.write_json(tmp_path / f"{split}.json", {"v_a": video(9, (0, 3 + n, "One."))})
        for n, split in enumerate(("train", "val"))
    ]
    with pytest.raises(AnnotationError, match="is in 'train' and in 'val'"):
        imported(tmp_path / "d", files)


def test_real_validation_files(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files = [shared / f"data/annotations/anet_captions_val_{number}.json" for number in (1, 2)]
    dataset, notes = imported(tmp_path / "d", files)
    records = dataset.records("val")
    assert len(records) == 34_301
    assert sum(len(record.captions) for record in records) == 17_505 + 17_031
    assert notes == ["245 events ended after their video: cut at its end"]
