"""`glrg demo`: its commands in order, what it says of refusals, and which held-out clips it shows.

The commands themselves are tested where they live; a whole demo takes minutes.
"""

from __future__ import annotations

import io
import json

from glrg_cli import demo, main
from glrg_cli.common import Console
from glrg_tf.data.world.truth import load_truth


def test_an_existing_folder_is_refused(tmp_path, capsys):
    assert main.main(["demo", "--out", str(tmp_path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_commands_in_order(tmp_path, capsys, monkeypatch):
    real, lines = main.run_command, []
    phase = {"scores": {metric: 0.5 for metric in ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")}}

    def run_command(name, words, console):
        lines.append([name, *words])
        if name in ("world", "data"):
            return real(name, words, console)
        documents = {"train": {"final": {"phases": dict.fromkeys(("xe", "dxe", "dr"), phase)}}}
        found = sorted((tmp_path / "d" / "held_out").glob("*.mp4"))
        documents["caption"] = [{"id": str(path), "captions": [{"text": "a red ball"}]} for path in found]
        console.result(documents.get(name, {}))
        return 0

    monkeypatch.setattr(main, "run_command", run_command)
    assert real("demo", ["--out", str(tmp_path / "d"), "--clips", "20", "--seed", "3"], Console()) == 0
    asked = lines
    names = ["world", "data", *["train-encoder"] * 4, "extract", "train", "export", "caption", "report"]
    assert [line[0] for line in asked][: len(names)] == names
    assert all(line[-1] == "--json" for line in asked)
    parsers = {line[0]: main.build_parser(line[0]) for line in asked}
    for line in asked:
        parsers[line[0]].parse_strictly(line[1:])  # every option exists
    said = capsys.readouterr().err
    assert "$ glrg train-encoder short-range" in said and "a red ball" in said and "Held-out scores" in said
    test = {clip.id for clip in load_truth(tmp_path / "d" / "world") if clip.split == "test"}
    shown = {path.stem for path in (tmp_path / "d" / "held_out").iterdir()}
    assert shown and shown <= test
    truths = [clip.caption for clip in load_truth(tmp_path / "d" / "world") if clip.id in shown]
    assert all(truth in said for truth in truths)


def test_long_tables_are_cut():
    errors = io.StringIO()
    console = demo._BriefConsole(json_output=True, output=io.StringIO(), errors=errors)
    console.table("t", ("a", "b"), [(number, 1) for number in range(30)])
    assert errors.getvalue().count("\n") < 12 and "…" in errors.getvalue()
    console.result({"a": 1})
    assert json.loads(console._output.getvalue()) == {"a": 1}
