"""The examples, run as a user runs them: captions from features with ONNX Runtime, in Python and in JavaScript."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small captioner as ONNX, features, and the two best captions of each video."""
    from export.onnx_model import write_onnx
    from export.signatures import CaptionModule
    from tests.captioner.conftest import build

    folder, captioner = tmp_path_factory.mktemp("onnx"), build()
    write_onnx(CaptionModule(captioner, word_table=False), folder / "captioner.onnx")
    captioner.vocabulary.save(folder / "vocabulary.json")
    features = np.random.default_rng(4).normal(size=(6, 9)).astype(np.float32)
    np.save(folder / "features.npy", features)
    (folder / "features.json").write_text(json.dumps(features.tolist()))
    found = captioner.generate(features, num_captions=2)
    lines = [f"{video}\t{c.score:.3f}\t{c.text}" for video, row in enumerate(found) for c in row]
    return folder, lines


def texts(lines: list[str]) -> list[tuple[str, str]]:
    return [(line.split("\t")[0], line.split("\t")[2]) for line in lines]


@pytest.mark.parametrize("features", ["features.npy", "features.json"])
def test_the_python_example(exported, features):
    folder, lines = exported
    command = [sys.executable, str(EXAMPLES / "onnx_python" / "caption.py"), "captioner.onnx", features, "--n", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert texts(ran.stdout.splitlines()) == texts(lines)


def test_the_javascript_example(exported):
    folder, lines = exported
    script = EXAMPLES / "onnx_javascript" / "caption.mjs"
    if not shutil.which("node") or not (script.parent / "node_modules" / "onnxruntime-node").is_dir():
        pytest.skip("needs Node.js, and `npm install` in examples/onnx_javascript")
    command = ["node", str(script), "captioner.onnx", "features.json", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert texts(ran.stdout.splitlines()) == texts(lines)


def test_examples_are_short_and_stand_alone():
    for file in (EXAMPLES / "onnx_python" / "caption.py", EXAMPLES / "onnx_javascript" / "caption.mjs"):
        text = file.read_text("utf-8")
        assert len(text.splitlines()) < 60
        assert "import tensorflow" not in text and "from glrg_tf" not in text
