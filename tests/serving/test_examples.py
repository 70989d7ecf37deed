"""The JavaScript example, run as a user runs it: captions from features with ONNX Runtime for Node.js."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small captioner as ONNX, features, and the two best captions of each video."""
    if not shutil.which("node") or not (EXAMPLES / "onnx_javascript" / "node_modules" / "onnxruntime-node").is_dir():
        pytest.skip("needs Node.js, and `npm install` in examples/onnx_javascript")
    from export.onnx_model import write_onnx
    from export.signatures import CaptionModule
    from tests.captioner.conftest import build

    folder, captioner = tmp_path_factory.mktemp("onnx"), build()
    write_onnx(CaptionModule(captioner, word_table=False), folder / "captioner.onnx")
    captioner.vocabulary.save(folder / "vocabulary.json")
    features = np.random.default_rng(4).normal(size=(6, 9)).astype(np.float32)
    (folder / "features.json").write_text(json.dumps(features.tolist()))
    found = captioner.generate(features, num_captions=2)
    lines = [f"{video}\t{c.score:.3f}\t{c.text}" for video, row in enumerate(found) for c in row]
    return folder, lines


def texts(lines: list[str]) -> list[tuple[str, str]]:
    return [(line.split("\t")[0], line.split("\t")[2]) for line in lines]


def test_the_javascript_example(exported):
    folder, lines = exported
    script = EXAMPLES / "onnx_javascript" / "caption.mjs"
    command = ["node", str(script), "captioner.onnx", "features.json", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert texts(ran.stdout.splitlines()) == texts(lines)


def test_the_example_is_short():
    assert len((EXAMPLES / "onnx_javascript" / "caption.mjs").read_text("utf-8").splitlines()) < 60
