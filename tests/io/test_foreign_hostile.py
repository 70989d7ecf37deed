"""Hostile pickles and torch files: refused with the right exit code, without acting, quickly and in little memory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.convert.made_checkpoint import checkpoint, checkpoint_tensors, vocabulary
from tests.io import gadgets

MAX_SECONDS = 1.0
MAX_MEGABYTES = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def outcome(folder, repository) -> dict:
    """Every gadget as .pkl, as legacy .pth and as zip .pth, read by one process of its own."""
    marker = folder / "marker"
    for name, pickle in gadgets.pickles(marker).items():
        (folder / f"{name}.pkl").write_bytes(pickle)
        (folder / f"{name}.bare.pth").write_bytes(pickle)
        (folder / f"{name}.legacy.pth").write_bytes(gadgets.in_legacy_file(pickle))
        (folder / f"{name}.zip.pth").write_bytes(gadgets.in_zip_file(pickle))
    for name, content in gadgets.torch_files(folder, checkpoint(checkpoint_tensors())).items():
        (folder / f"{name}.pth").write_bytes(content)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(20)), "utf-8")
    before = set(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "tests.io.hostile_batch", str(folder)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout), "new": sorted(path.name for path in set(folder.iterdir()) - before)}


def test_there_are_many(outcome):
    assert len(outcome["rows"]) > 300


def test_refused_with_the_right_code(outcome):
    """Checkpoints exit 5, data exits 4; never 1, which would be a failure of ours."""
    wrong = [
        (row["name"], row["code"], row["message"][:120])
        for row in outcome["rows"]
        if row["code"] != (5 if row["name"].endswith(".pth") else 4)
    ]
    assert not wrong


def test_nothing_happened(outcome):
    assert outcome["new"] == []
    assert not outcome["tensorflow"]


def test_quick(outcome):
    assert not [(row["name"], row["seconds"]) for row in outcome["rows"] if row["seconds"] > MAX_SECONDS]


def test_small(outcome):
    """The peak of the whole process, interpreter and libraries included."""
    assert outcome["rows"][-1]["peak"] < MAX_MEGABYTES, [(r["name"], r["peak"]) for r in outcome["rows"]]


def test_messages_say_what_where_and_what_to_do(outcome):
    for row in outcome["rows"]:
        assert "refused" in row["message"] or "holds no 'model'" in row["message"] or "empty" in row["message"], row
        assert row["name"] in row["message"], row
        assert "what to do: " in row["message"], row


def test_good_files_pass_the_same_way(folder):
    """The gadgets' carriers are sound: with an innocent pickle they are read."""
    from glrg_tf.io.foreign_torch import read_torch

    for wrap in (gadgets.in_legacy_file, gadgets.in_zip_file):
        path = folder / "innocent"
        path.write_bytes(wrap(b"\x80\x02}X\x01\x00\x00\x00aK\x01s."))
        assert read_torch(path) == {"a": 1}
