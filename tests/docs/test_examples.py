"""The examples and the notebook do what they say: run as a user would, on small data."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.docs import desk, pages, runner

EXAMPLES = pages.ROOT / "examples"
NOTEBOOK = pages.ROOT / "notebooks" / "quickstart.ipynb"
EVERYTHING = os.environ.get("GLRG_DOCS") == "all"
slow = pytest.mark.skipif(not EVERYTHING, reason="half a minute: `make test-docs` runs it (GLRG_DOCS=all)")


def start(folder: pathlib.Path, *words: str) -> str:
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(pages.ROOT)}
    ran = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture
def folder(prepared, tmp_path):
    desk.copy(prepared, tmp_path / "desk", {})
    return tmp_path / "desk"


def test_a_stream_of_ones_own(folder):
    said = start(folder, sys.executable, str(EXAMPLES / "own_stream.py"), "data/mine")
    assert "keyframe (25), motion (16)" in said
    assert json.loads((folder / "data/mine/dataset.json").read_text("utf-8"))["streams"]["motion"] == 16


@slow
def test_keras_style(folder):
    said = start(folder, sys.executable, str(EXAMPLES / "keras_style.py"), "clip.mp4", "data/mine")
    before, after = re.search(r"fine-tuned: (.+)\n", said)[1], re.search(r"saved and loaded: (.+)\n", said)[1]
    assert before == after


@slow
def test_own_csv(folder):
    (folder / "captions.json").unlink(missing_ok=True)
    start(folder, "sh", str(EXAMPLES / "own_csv.sh"), "clips", "captions.csv", "work", "--epochs", "1")
    captions = json.loads((folder / "work/captions.json").read_text("utf-8"))
    assert len(captions) == desk.CLIPS and all(entry["captions"][0]["text"] for entry in captions)


def test_examples_are_short():
    for name in ("own_csv.sh", "keras_style.py", "own_stream.py"):
        assert len((EXAMPLES / name).read_text("utf-8").splitlines()) <= 60, name


# === The notebook ===
def cells() -> list[str]:
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def as_program(cell: str) -> str:
    """A cell with its `!glrg` lines as calls."""
    return re.sub(r"^!(glrg .*)$", lambda found: f"_glrg(f'''{found[1]}''')", cell, flags=re.MULTILINE)


def test_the_notebook_is_python_and_tells_what_it_gave():
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell in cells():
        compile(as_program(cell), "cell", "exec")
    outputs = [cell["outputs"] for cell in document["cells"] if cell["cell_type"] == "code"]
    assert any(outputs) and "Error" not in json.dumps([o for found in outputs for o in found if "ename" in o])


@slow
def test_the_cells_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def glrg(line: str) -> None:
        said = runner.run_glrg(pages.Command("notebook", 0, line))
        assert not said, said

    names = {"__name__": "notebook", "_glrg": glrg}
    for number, cell in enumerate(cells()):
        exec(compile(as_program(cell), f"cell {number}", "exec"), names)
    assert names["caption"].text
