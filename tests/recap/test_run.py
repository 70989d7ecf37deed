"""The recursion over one video: who reads what, resuming after kills and torn files, edits, other captioners."""

from __future__ import annotations

import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys

import pytest

from glrg_tf.errors import ConfigError, DataError, VideoError
from glrg_tf.recap.log import Log
from tests.recap.made import FakeModel, numbered_video, outputs, run


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return numbered_video(tmp_path_factory.mktemp("numbered") / "film.mp4")


@pytest.fixture(scope="module")
def finished(video, tmp_path_factory):
    """A finished run, not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run(FakeModel(), video, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "out")


def test_three_levels(video, tmp_path):
    model = FakeModel()
    report = run(model, video, tmp_path)
    recap = report.recap
    assert [told.text for told in recap.clips[:2]] == ["saw 2 7", "saw 12 17"]
    assert recap.segments[1].text == "5 rows about 74.5: saw 52 57 | saw 62 67 | saw 72 77 | saw 82 87 | saw 92 97"
    assert recap.summary is not None and recap.summary.text.startswith("20 rows about")
    assert recap.summary.text.count("rows about") == 5  # its own, and those of four segments
    assert model.asked[:4] == ["encode 8", "caption 8", "encode 8", "caption 8"] and report.seen == 20
    value = json.loads((tmp_path / "recap.json").read_text())
    assert value["clips"][19] == {
        "index": 19,
        "start": 19.0,
        "end": 20.1,
        "text": "saw 192 198",
        "source": "captioner",
        "check": value["clips"][19]["check"],
        "segment": 3,
    }
    assert value["segments"][3]["clips"] == [15, 20] and value["notes"] == []
    assert value["video"]["name"] == "film.mp4" and value["video"]["frames"] == 201


def test_a_second_run_asks_nothing_and_writes_the_same(video, finished, out):
    model = FakeModel()
    report = run(model, video, out)
    assert model.asked == [] and report.seen == 0 and set(report.told.values()) == {0}
    assert outputs(out) == outputs(finished)


def test_clips_only_gives_chapters(video, tmp_path):
    report = run(FakeModel(("clip",)), video, tmp_path)
    assert report.recap.summary is None
    assert [told.source for told in report.recap.segments] == ["clips"] * 4
    assert report.recap.segments[2].text == "saw 102 107"  # all differ: the first
    assert "clips only" in report.recap.notes[0]


@pytest.mark.parametrize("call", [1, 2, 4, 5, 7, 9, 11])
def test_a_killed_run_goes_on_to_the_same_bytes(video, finished, tmp_path, call):
    command = [sys.executable, "-m", "tests.recap.made", str(video), str(tmp_path / "out"), str(call)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "recap.json").exists()
    model = FakeModel()
    report = run(model, video, tmp_path / "out")
    assert report.seen == 20 - 8 * min(2, (call - 1) // 2) if call < 7 else report.seen == 0
    assert outputs(tmp_path / "out") == outputs(finished)


def test_torn_journals_are_mended(video, finished, tmp_path):
    """Whatever a crash leaves of the files, of each a part of its own, the run ends in the same bytes."""
    chance = random.Random(3)
    for number in range(25):
        out = shutil.copytree(finished, tmp_path / str(number))
        for file in (out / "journal").iterdir():
            if file.name in ("clips.jsonl", "rows.f32", "thumbs.bin", "texts.jsonl") and chance.random() < 0.7:
                data = file.read_bytes()[: chance.randrange(file.stat().st_size)]
                file.write_bytes(data + chance.choice((b"", b"\0" * 30, b"{\n", b'{"check": "0"}\n')))
        for name in ("recap.json", "recap.md"):
            (out / name).unlink()
        run(FakeModel(), video, out)
        assert outputs(out) == outputs(finished), number


def test_an_edited_clip_tells_only_its_segment_and_the_summary_anew(video, finished, out):
    value = json.loads((out / "recap.json").read_text())
    value["clips"][7]["text"] = "a dog  barks"
    (out / "recap.json").write_text(json.dumps(value))
    model = FakeModel()
    report = run(model, video, out)
    assert model.asked == ["describe segment", "describe video"] and report.edits == 1
    clip, recap = report.recap.clips[7], report.recap
    assert (clip.text, clip.source) == ("a dog barks", "user")
    assert "a dog barks" in recap.segments[1].text and "a dog barks" in recap.summary.text
    assert recap.segments[0].text == json.loads((finished / "recap.json").read_text())["segments"][0]["text"]
    again = FakeModel()
    assert run(again, video, out).recap.clips[7].text == "a dog barks" and again.asked == []
    value = json.loads((out / "recap.json").read_text())
    value["clips"][7]["text"] = None  # takes the correction back
    (out / "recap.json").write_text(json.dumps(value))
    assert run(FakeModel(), video, out).edits == 0
    assert outputs(out) == outputs(finished)


def test_all_edits_are_forgotten(video, finished, out):
    value = json.loads((out / "recap.json").read_text())
    value["clips"][7]["text"], value["summary"]["text"] = "a dog barks", "all of it"
    (out / "recap.json").write_text(json.dumps(value))
    assert run(FakeModel(), video, out).edits == 2
    run(FakeModel(), video, out, forget_edits=True)
    assert outputs(out) == outputs(finished)


def test_markdown_is_edited_like_json(video, out):
    page = (out / "recap.md").read_text()
    assert "- 0:00:03 saw 32 37 <!--clip 3 " in page
    page = page.replace("saw 32 37 <", "5 < 6 & *more* <").replace("- 0:00:05 saw 52 57", "- 0:00:05 ")
    (out / "recap.md").write_text(page)
    report = run(FakeModel(), video, out)
    assert report.edits == 2
    assert [report.recap.clips[i].text for i in (3, 5)] == ["5 < 6 & *more*", ""]
    assert "5 < 6 & *more*" in report.recap.segments[0].text
    assert report.recap.segments[1].text.startswith("5 rows about 74.5: saw 62 67 |")  # what is empty is not told
    again = run(FakeModel(), video, out)
    assert again.edits == 2 and set(again.told.values()) == {0}


def test_an_edited_description_stands_and_reaches_the_summary(video, out, tmp_path):
    edits = tmp_path / "edits.json"
    edits.write_text(json.dumps([{"level": "segment", "index": 2, "text": "lunch"}, {"index": 11, "text": "soup"}]))
    model = FakeModel()
    report = run(model, video, out, edits=edits)
    assert report.recap.segments[2].text == "lunch" and report.recap.clips[11].text == "soup"
    assert model.asked == ["describe video"] and "lunch" in report.recap.summary.text
    edits.write_text(json.dumps([{"level": "segment", "index": 2, "text": None}]))
    report = run(FakeModel(), video, out, edits=edits)
    assert "soup" in report.recap.segments[2].text and report.edits == 1


def test_edits_that_cannot_be(video, out, tmp_path):
    edits = tmp_path / "edits.json"
    for value, message in (
        ([{"index": 20, "text": "a"}], "there is no clip 20"),
        ([{"level": "scene", "index": 1, "text": "a"}], "an edit is"),
        ([{"index": 1}], "'text' is missing"),
        ([{"index": 1, "text": 5}], "'text' is missing"),
        ({"clips": []}, "neither a list"),
        ([3], "'text' is missing"),
        ([{"index": 1, "text": "\ud83d"}], "half a surrogate pair"),
        ({"format": "glrg-recap-texts", "clips": 5}, "'clips' is int"),
        ({"format": "glrg-recap-texts", "segments": {"index": 1}}, "'segments' is dict"),
    ):
        edits.write_text(json.dumps(value))
        with pytest.raises((ConfigError, DataError), match=message):
            run(FakeModel(), video, out, edits=edits)
    with pytest.raises(DataError, match="no such file"):
        run(FakeModel(), video, out, edits=tmp_path / "none.json")
    value = json.loads((out / "recap.json").read_text())
    value["clips"][3]["text"] = "one"
    (out / "recap.json").write_text(json.dumps(value))
    edits.write_text(json.dumps([{"index": 3, "text": "two"}]))
    with pytest.raises(ConfigError, match="edited in .*recap.json and differently in .*edits.json"):
        run(FakeModel(), video, out, edits=edits)
    (out / "recap.json").write_text("{broken")
    with pytest.raises(DataError, match="not valid JSON"):
        run(FakeModel(), video, out)
    assert (out / "recap.json").read_text() == "{broken"


def test_another_captioner_or_video_is_refused_or_begins_anew(video, finished, out, tmp_path):
    with pytest.raises(ConfigError, match="another captioner") as refusal:
        run(FakeModel(name="other"), video, out)
    assert "--fresh" in refusal.value.remedy
    longer = numbered_video(tmp_path / "b.mp4", 220)
    with pytest.raises(ConfigError, match="another video"):
        run(FakeModel(), longer, out)
    with pytest.raises(ConfigError, match="another settings"):
        run(FakeModel(), video, out, thumbnails=False)
    assert outputs(out) == outputs(finished)
    assert run(FakeModel(name="other"), video, out, fresh=True).seen == 20
    with pytest.raises(VideoError, match="no such file"):
        run(FakeModel(), tmp_path / "none.mp4", tmp_path / "new")


def test_fresh_never_loses_edits_unasked(video, finished, out):
    value = json.loads((out / "recap.json").read_text())
    value["segments"][0]["text"] = "breakfast"
    (out / "recap.json").write_text(json.dumps(value))
    for _ in range(2):  # first in recap.json alone, then in the journal too
        with pytest.raises(ConfigError, match="edits by hand"):
            run(FakeModel(), video, out, fresh=True)
        assert run(FakeModel(), video, out).recap.segments[0].text == "breakfast"
    run(FakeModel(), video, out, fresh=True, forget_edits=True)
    assert outputs(out) == outputs(finished)


def test_a_clearing_that_was_killed_leaves_no_texts_to_another_captioner(video, out, monkeypatch):
    remove = pathlib.Path.unlink

    def killed(path):
        if path.name == "texts.jsonl":
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pathlib.Path, "unlink", killed)
        run(FakeModel(name="other"), video, out, fresh=True)
    with pytest.raises(ConfigError, match="another captioner"):
        run(FakeModel(name="other"), video, out)


def test_edits_outlive_the_journal(video, out, tmp_path):
    edits = tmp_path / "e.json"
    edits.write_text(json.dumps([{"index": 4, "text": "mine"}]))
    run(FakeModel(), video, out, edits=edits)
    (out / "journal" / "edits.jsonl").unlink()
    assert run(FakeModel(), video, out).recap.clips[4].text == "mine"
    shutil.rmtree(out / "journal")
    report = run(FakeModel(), video, out)
    assert report.recap.clips[4].text == "mine" and report.seen == 20


def test_damaged_edits_are_refused_not_dropped(video, out, tmp_path):
    edits = tmp_path / "e.json"
    for index in range(3):
        edits.write_text(json.dumps([{"index": index, "text": "x"}]))
        run(FakeModel(), video, out, edits=edits)
    log = out / "journal" / "edits.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines)[:-4])  # torn: the edit of the last run is lost
    assert run(FakeModel(), video, out).edits == 2
    log.write_bytes(lines[0].replace(b'"x"', b'"y"') + lines[1])
    with pytest.raises(DataError, match="journal is damaged"):
        run(FakeModel(), video, out)


def test_two_at_once_are_refused(video, out):
    from glrg_tf.io.lock import only_one

    with only_one(out / "journal"), pytest.raises(ConfigError, match="in use"):
        run(FakeModel(), video, out)


def test_logs_keep_whole_lines_only(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.add([{"a": 1}, {"b": "é"}])
    log.close()
    data = (tmp_path / "log.jsonl").read_bytes()
    for cut in range(len(data) + 1):
        (tmp_path / "log.jsonl").write_bytes(data[:cut])
        torn = Log(tmp_path / "log.jsonl")
        assert torn.rows == [{"a": 1}, {"b": "é"}][: data[:cut].count(b"\n")]
        torn.add([{"c": 2}])
        torn.close()
        assert Log(tmp_path / "log.jsonl").rows[-1] == {"c": 2}
