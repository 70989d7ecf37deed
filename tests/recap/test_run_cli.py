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
        ["recap.html", "recap.json", "recap.md", "chapters.vtt", "chapters.srt", "clips.vtt", "clips.srt"]
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
        (["world-nano", "{video}", "--edits", "{text}", "--forget-edits"], 2, "would be forgotten"),
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


def test_three_levels_of_a_trained_captioner(video, tmp_path, capsys):
    from glrg_cli.encoders import open_encoder
    from glrg_tf.recap.captioner import RecapCaptioner
    from glrg_tf.recap.extraction import with_positions
    from tests.recap.made_recap import HIERARCHY
    from tests.recap.test_captioner import TOKENS, speaking

    encoder = with_positions(open_encoder("world-nano"), 1)
    width = encoder.config.width
    network = speaking(dense_width=width, row_width=width)
    levels = dict.fromkeys(("clip", "segment", "video"), network)
    RecapCaptioner(levels, TOKENS, HIERARCHY, encoder=encoder).save(tmp_path / "recap")
    words = ["recap", "run", str(tmp_path / "recap"), str(video), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["told"] == {"clip": 6, "segment": 2, "video": 1} and result["notes"] == []
    value = json.loads((tmp_path / "out" / "recap.json").read_text())
    assert value["summary"]["text"] and all(entry["text"] for entry in value["segments"])
    page = tmp_path / "out" / "recap.md"
    page.write_text(page.read_text().replace("- 0:00:20 ", "- 0:00:20 in the snow "))
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["told"]["clip"], result["told"]["segment"]) == (0, 1)
    assert main([*words, "--beam", "3"]) == 2
    assert "is for plain captioners" in capsys.readouterr().err
