"""`glrg data download`: what is listed comes, is checked, recorded, and held to its record."""

from __future__ import annotations

import json
import os

import pytest

from glrg_cli.main import main
from glrg_tf.data import download
from glrg_tf.errors import ConfigError, DataError
from tests.zoo.made_release import write_release

PATTERN = "data/*msrvtt_val*"


@pytest.fixture
def mirror(tmp_path):
    write_release(tmp_path / "mirror")
    return tmp_path / "mirror"


def _download(mirror, out, *patterns):
    files = download.select(download.release_manifest().files, patterns or (PATTERN,))
    return {outcome.path: outcome for outcome in download.download(files, out, mirror.as_uri())}


FEATURES = "data/feature/msrvtt_val_gl_feats.h5"


def test_the_manifest_is_sound():
    manifest = download.release_manifest()
    paths = [file.path for file in manifest.files]
    assert manifest.source.startswith("https://github.com/ylqi/GL-RG/") and len(paths) == len(set(paths)) == 60
    features = {file.path: file.expected_bytes for file in manifest.files if file.path.startswith("data/feature")}
    assert len(features) == 6 and features["data/feature/msvd_test_gl_feats.h5"][0] == 670 * (1700 * 4 + 8)
    assert sum(path.startswith("model/") for path in paths) == 6


def test_comes_once_and_is_recorded(mirror, tmp_path):
    first = _download(mirror, tmp_path / "out")[FEATURES]
    assert first.state == "downloaded" and "trusted on first download" in first.notes
    assert any("published file" in note for note in first.notes)  # this mirror's is smaller
    record = json.loads((tmp_path / "out/downloads.json").read_text("utf-8"))["files"][FEATURES]
    assert (record["sha256"], record["bytes"]) == (first.sha256, first.bytes)
    again = _download(mirror, tmp_path / "out")[FEATURES]
    assert (again.state, again.sha256) == ("present", first.sha256)
    assert (tmp_path / "out" / FEATURES).read_bytes() == (mirror / FEATURES).read_bytes()


def test_what_the_mirror_lacks(mirror, tmp_path):
    outcomes = _download(mirror, tmp_path / "out")
    labels = outcomes["data/metadata/msrvtt_val_sequencelabel.h5"]
    assert (labels.state, labels.required) == ("missing", True)
    assert outcomes["data/metadata/msrvtt_val_ciderdf.pkl"].required is False


def test_a_changed_file_is_told(mirror, tmp_path):
    _download(mirror, tmp_path / "out")
    target = tmp_path / "out" / FEATURES
    target.write_bytes(target.read_bytes()[:-1] + b"x")
    changed = _download(mirror, tmp_path / "out")[FEATURES]
    assert changed.state == "failed" and "first download" in changed.notes[0]
    target.unlink()
    (mirror / FEATURES).write_bytes((mirror / FEATURES).read_bytes() + b"x")
    assert _download(mirror, tmp_path / "out")[FEATURES].state == "failed"
    assert not target.exists() and not list(target.parent.glob("*.part*"))


def test_known_hashes_are_enforced(mirror, tmp_path):
    file = download.ReleaseFile(FEATURES, sha256="0" * 64)
    [outcome] = download.download([file], tmp_path / "out", mirror.as_uri())
    assert outcome.state == "failed" and "the manifest" in outcome.notes[0]
    file = download.ReleaseFile(FEATURES, bytes=5)
    [outcome] = download.download([file], tmp_path / "out", mirror.as_uri())
    assert outcome.state == "failed" and not (tmp_path / "out" / FEATURES).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"<!DOCTYPE html><p>log in", "no .h5 file"), (b"version https://git-lfs.github.com/spec/v1\n", "LFS"), (b"", "")],
)
def test_pages_and_pointers_are_not_files(mirror, tmp_path, content, message):
    (mirror / FEATURES).write_bytes(content)
    outcome = _download(mirror, tmp_path / "out")[FEATURES]
    assert outcome.state == "failed" and message in outcome.notes[0]


def test_links_that_lead_out(mirror, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "out/data")
    assert {o.state for o in _download(mirror, tmp_path / "out").values()} == {"failed"}
    assert not list((tmp_path / "elsewhere").rglob("*"))


@pytest.mark.parametrize("content", ["[]", "{", '{"files": {"a": 5}}', '{"files": []}'])
def test_a_damaged_record(mirror, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/downloads.json").write_text(content, "utf-8")
    with pytest.raises(DataError):
        _download(mirror, tmp_path / "out")


def test_one_download_at_a_time(mirror, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out/.lock", "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process"):
            _download(mirror, tmp_path / "out")


def test_an_unreachable_source_is_given_up_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("glrg_tf.io.fetch.time.sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "*")
    tries = []
    monkeypatch.setattr(
        "glrg_tf.io.fetch._transfer", lambda *_: tries.append(1) or (_ for _ in ()).throw(OSError("no"))
    )
    outcomes = download.download(download.release_manifest().files, tmp_path / "out", "http://127.0.0.1:9/x")
    assert len(tries) == 4 and {outcome.state for outcome in outcomes} == {"failed"}
    assert outcomes[-1].notes[0].startswith("not tried")


def test_command_line(mirror, tmp_path, capsys):
    words = ["data", "download", "glrg-release", "--out", str(tmp_path / "out")]
    # A mirror may be partial ...
    assert main([*words, "--from", mirror.as_uri(), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert sum(file["state"] == "downloaded" for file in value["files"]) == 6
    # ... but what was asked for by name should be there.
    assert main([*words, "--from", mirror.as_uri(), "--only", "data/feature/msvd*"]) == 4
    assert main([*words, "--from", mirror.as_uri(), "--only", "data/feature/*"]) == 3
    assert main([*words, "--from", "ftp://host/x"]) == 2
    assert main([*words, "--from", mirror.as_uri(), "--only", "nothing*"]) == 2
    assert main(["data", "download", "imagenet", "--out", str(tmp_path / "out")]) == 2


def test_the_sample(shared, tmp_path):
    """Download and import of the sample, as a user with a mirror would do it."""
    sample = shared / "data/glrg_release_sample"
    assert main(["data", "download", "glrg-release", "--out", str(tmp_path / "r"), "--from", sample.as_uri()]) == 0
    assert main(["data", "import", "glrg-release", str(tmp_path / "r"), "--out", str(tmp_path / "d")]) == 0
    assert json.loads((tmp_path / "d/dataset.json").read_text("utf-8"))["splits"]["val"]["videos"] == 50
