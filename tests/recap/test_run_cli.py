"""`glrg recap run` with a plain captioner, as a user would type it."""

from __future__ import annotations

import json

import pytest

from glrg_cli.main import main
from glrg_tf.data.world.story_video import make_stories


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    made = make_stories(tmp_path_factory.mktemp("story") / "s", 1, 24.0, 12.0, frame_rate=4)
    return made / "videos" / "story0000.mp4"


def test_a_plain_captioner_tells_clips_and_chapters(video, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["recap", "run", "world-nano", str(video), "--out", str(out), "--segment-seconds", "12", "--beam", "1"]
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["clips"], result["segments"], result["summary"], result["told"]["clip"]) == (6, 2, None, 6)
    assert "tells clips only" in printed.err and "0:00:12" in printed.err
    assert sorted(file.name for file in out.iterdir() if file.is_file()) == sorted(
        ["recap.html", "recap.json", "recap.md", "chapters.vtt", "clips.vtt", "clips.srt"]
    )
    value = json.loads((out / "recap.json").read_text())
    assert all(entry["text"] for entry in value["clips"] + value["segments"])
    assert [entry["source"] for entry in value["segments"]] == ["clips", "clips"]
    before = {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}
    value["clips"][2]["text"] = "my own words"
    (out / "recap.json").write_text(json.dumps(value))
    assert main([*words, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["told"]["clip"] == 0 and again["edits"] == 1
    assert "my own words" in (out / "clips.srt").read_text() and "by hand" in (out / "recap.html").read_text()
    assert main([*words, "--forget-edits", "--quiet"]) == 0
    assert {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()} == before
    capsys.readouterr()
    assert main([*words[:-4], "--segment-seconds", "24"]) == 2
    assert "another captioner and another settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["world-nano", "none.mp4"], 4, "no such file"),
        (["nonsense", "{video}"], 5, "nonsense"),
        (["world-nano", "{text}"], 4, "not a video"),
        (["world-nano", "{video}", "--max-hours", "0.001"], 4, "lasts 24 s, more than"),
        (["world-nano", "{video}", "--segment-seconds", "1"], 2, "a segment lasts at least as long"),
        (["world-nano", "{video}", "--clip-seconds", "x"], 2, "not a number"),
        (["world-nano", "{video}", "--edits", "none.json"], 4, "no such file"),
    ],
)
def test_refusals(video, tmp_path, capsys, words, code, message):
    text = tmp_path / "text.mp4"
    text.write_text("this is no video at all")
    filled = [word.format(video=video, text=text) for word in words]
    assert main(["recap", "run", *filled, "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert message in error and "what to do" in error
    assert not list((tmp_path / "out").glob("recap.*"))
