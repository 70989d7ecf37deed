"""Videos on the command line: `glrg extract`, `glrg train --encoder`, `glrg caption` and `glrg report clips`."""

from __future__ import annotations

import json
import pathlib
import re
import sys

import h5py
import numpy as np
import pytest

from glrg_cli.main import main

sys.path.append(str(pathlib.Path(__file__).parent / "encoders"))
from made_videos import write_clips

LABELS = tuple(f"thing{number}" for number in range(12))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    """Clips (one of them broken), an encoder of one stream, and an untrained captioner that carries it."""
    import keras

    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.presets import EncoderConfig, nano_spec
    from glrg_tf.text.vocabulary import Vocabulary
    from glrg_tf.video.sampling import FramePlan

    folder = tmp_path_factory.mktemp("videos")
    write_clips(folder / "clips", 3)
    write_clips(folder / "more", 1)[0].rename(folder / "more.mp4")
    (folder / "clips" / "clip01a.mp4").write_text("no video")
    bundle = EncoderBundle.from_config(EncoderConfig(FramePlan(positions=2), (nano_spec("keyframe", LABELS),)))
    bundle.save(folder / "encoder")
    EncoderBundle.from_config(EncoderConfig(FramePlan(), (nano_spec("keyframe", width=5),))).save(folder / "narrow")
    keras.utils.set_random_seed(3)
    vocabulary = Vocabulary(("<end>", "<start>", "<unk>", "a", "man", "cat", "runs", "<sits>"))
    config = CaptionerConfig(8, bundle.widths, pool_size=8, embedding_size=8, hidden_size=8)
    VideoCaptioner(CaptionerModel(config), vocabulary, encoders=bundle).save_to_preset(folder / "captioner")
    VideoCaptioner(CaptionerModel(config), vocabulary).save_to_preset(folder / "blind")
    return folder


def run(capsys, *words: object, expect: int = 0):
    code = main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return json.loads(captured.out)


# === extract ===
def test_extract_writes_features_and_lists_bad_files(root, capsys, tmp_path):
    out = tmp_path / "features.h5"
    report = run(capsys, "extract", root / "clips", "--out", out, "--encoder", root / "captioner", expect=3)
    assert (report["videos"], report["extracted"], report["reused"]) == (4, 3, 0)
    assert [row["id"] for row in report["failed"]] == ["clip01a"]
    with h5py.File(out) as handle:
        assert [name.decode() for name in handle["ids"]] == ["clip00", "clip01", "clip02"]
        assert handle["streams/keyframe/values"].shape == (3, 12)
    assert json.loads((tmp_path / "features.errors.jsonl").read_text())["id"] == "clip01a"
    report = run(capsys, "extract", root / "clips", "--out", out, "--encoder", root / "encoder", expect=3)
    assert (report["extracted"], report["reused"]) == (0, 3)


def test_extract_refuses_what_it_cannot_do(root, capsys, tmp_path):
    bad = root / "clips" / "clip01a.mp4"
    run(capsys, "extract", bad, "--out", tmp_path / "f.h5", "--encoder", root / "encoder", expect=4)
    assert not (tmp_path / "f.h5").exists()
    assert main(["extract", str(tmp_path / "nowhere"), "--out", str(tmp_path / "f.h5")]) == 4
    assert main(["extract", str(bad), "--out", str(tmp_path)]) == 2
    assert main(["extract", str(bad), "--out", str(tmp_path / "f.h5"), "--encoder", str(root / "blind")]) == 5
    assert "carries no encoder" in capsys.readouterr().err


# === the whole way: videos and captions become a captioner of videos ===
@pytest.fixture(scope="module")
def dataset(root) -> pathlib.Path:
    """A dataset of the clips, with their features in it."""
    rows = [
        {"video": f"clips/clip{number:02d}.mp4", "caption": f"a {word} runs", "split": split}
        for number, split in ((0, "train"), (1, "train"), (2, "train"))  # nothing to judge on: that would take Java
        for word in ("man", "cat", "man", "cat")
    ]
    (root / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = root / "dataset"
    assert main(["data", "import", "table", str(root / "captions.jsonl"), "--out", str(folder)]) == 0
    features = str(folder / "features.h5")
    assert main(["extract", str(folder), "--out", features, "--encoder", str(root / "encoder"), "--quiet"]) == 0
    return folder


def test_features_extracted_into_a_dataset_belong_to_it(dataset, capsys):
    assert main(["data", "verify", str(dataset)]) == 0
    description = json.loads((dataset / "dataset.json").read_text())
    assert description["streams"] == {"keyframe": 12}
    assert description["splits"]["train"] == {"videos": 3, "captions": 12, "features": 3}


@pytest.fixture(scope="module")
def trained(root, dataset) -> pathlib.Path:
    """A run of two epochs that carries the encoder; the streams are those of the dataset."""
    words = ["--recipe", "xe", "--epochs", "1", "--set", "min_count=1", "--quiet"]
    words += [text for key in ("pool_size", "embedding_size", "hidden_size") for text in ("--set", f"model.{key}=8")]
    command = ["train", "--data", dataset, "--out", root / "run", "--encoder", root / "encoder", *words]
    assert main(list(map(str, command))) == 0
    return root / "run"


def test_a_run_captions_videos_by_the_encoder_it_was_trained_with(root, trained, capsys, tmp_path):
    from glrg_tf.captioner.captioner import VideoCaptioner

    (row,) = run(capsys, "caption", trained, root / "more.mp4")
    captioner = VideoCaptioner.from_preset(trained)
    assert captioner.generate([root / "more.mp4"])[0][0].text == row["captions"][0]["text"]
    captioner.save_to_preset(tmp_path / "moved")
    (again,) = run(capsys, "caption", tmp_path / "moved", root / "more.mp4")
    assert again == row
    checkpoint = (trained / "best").read_text().strip()
    assert run(capsys, "caption", trained / checkpoint, root / "more.mp4") == [row]


def test_an_encoder_that_did_not_make_the_features_is_refused(root, dataset, capsys, tmp_path):
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.presets import EncoderConfig

    bundle = EncoderBundle.load(root / "encoder")
    EncoderBundle.from_config(EncoderConfig(bundle.plan, bundle.config.streams), seed=9).save(tmp_path / "other")
    words = ["train", "--data", dataset, "--out", tmp_path / "run", "--dry-run", "--encoder"]
    assert main(list(map(str, [*words, tmp_path / "other"]))) == 2
    assert "another encoder" in capsys.readouterr().err
    assert main(list(map(str, [*words, root / "narrow"]))) == 2
    assert "reads stream 'keyframe' of width 12" in capsys.readouterr().err
    assert main(list(map(str, [*words, root / "encoder"]))) == 0
    assert main(list(map(str, [*words[:-1], "--streams", "keyfram"]))) == 2
    assert "did you mean 'keyframe'" in capsys.readouterr().err


def test_verify_lists_videos_that_cannot_be_read(root, capsys):
    rows = [{"video": f"clips/{name}.mp4", "caption": "a cat", "split": "train"} for name in ("clip00", "clip01a")]
    (root / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "import", "table", str(root / "some.jsonl"), "--out", str(root / "some")]) == 0
    capsys.readouterr()
    report = run(capsys, "data", "verify", root / "some")
    assert [row["id"] for row in report["undecodable"]] == ["clip01a"]
    assert "not a video" in report["undecodable"][0]["error"]
    assert run(capsys, "data", "verify", root / "some", "--skip-videos")["undecodable"] == []


# === caption ===
def test_mixed_inputs_keep_their_order_and_bad_ones_their_place(root, dataset, capsys):
    rows = run(
        capsys, "caption", root / "captioner", root / "clips", root / "dataset", root / "more.mp4", "--n", 2, expect=3
    )
    clips = [str(root / "clips" / f"clip{name}.mp4") for name in ("00", "01", "01a", "02")]
    assert [row["id"] for row in rows] == [*clips, "clip00", "clip01", "clip02", str(root / "more.mp4")]
    assert [len(row["captions"]) for row in rows] == [2, 2, 0, 2, 2, 2, 2, 2]
    assert "not a video" in rows[2]["error"]
    assert rows[0]["frames"] == {"expected": 12, "decoded": 12, "used": 2}
    texts = [[caption["text"] for caption in row["captions"]] for row in rows]
    assert texts[0] == texts[4] and texts[3] == texts[6]  # as from the features that were extracted


def test_captions_are_printed_as_they_come_with_their_vocabularies(root, capsys):
    code = main(["caption", str(root / "captioner"), str(root / "more.mp4"), "--show-vocabularies"])
    captured = capsys.readouterr()
    assert code == 0 and captured.out == ""
    assert captured.err.index("more.mp4") < captured.err.index("keyframe") and "█" in captured.err
    (row,) = run(capsys, "caption", root / "captioner", root / "more.mp4", "--show-vocabularies")
    words = row["vocabularies"]["keyframe"]
    assert len(words) == 5 and {word["word"] for word in words} <= set(LABELS)


def test_videos_need_an_encoder_which_may_be_named(root, capsys, tmp_path):
    assert main(["caption", str(root / "blind"), str(root / "more.mp4")]) == 2
    assert "--encoder" in capsys.readouterr().err
    rows = run(capsys, "caption", root / "blind", root / "more.mp4", "--encoder", root / "encoder")
    assert rows[0]["captions"]
    assert main(["caption", str(root / "blind"), str(root / "more.mp4"), "--encoder", str(root / "narrow")]) == 2
    bad = root / "clips" / "clip01a.mp4"
    run(capsys, "caption", root / "captioner", bad, bad, expect=4)
    (tmp_path / "empty").mkdir()
    run(capsys, "caption", "no-such-captioner", tmp_path / "empty", expect=4)


def test_the_python_surface_takes_videos_or_features(root):
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.errors import ConfigError, VideoError

    captioner = VideoCaptioner.from_preset(root / "captioner")
    features = captioner.encode_videos(root / "more.mp4")
    assert features.shape == (1, 12) and features.dtype == np.float32
    assert captioner.generate([str(root / "more.mp4")])[0] == captioner.generate(features)[0]
    with pytest.raises(VideoError):
        captioner.generate(str(root / "clips" / "clip01a.mp4"))
    with pytest.raises(ConfigError, match="no encoder"):
        VideoCaptioner.from_preset(root / "blind").generate(str(root / "more.mp4"))


# === report clips ===
def test_the_page_shows_captions_people_and_failures(root, capsys, tmp_path):
    people = [
        {"file": "clip00.mp4", "caption": "A man & a <cat>.", "human_references": ["two", "three", "four", "five"]},
        {"file": "clip01a.mp4", "caption": "nobody saw it"},
    ]
    (tmp_path / "people.json").write_text(json.dumps(people))
    words = ("report", "clips", root / "captioner", root / "clips", "--references", tmp_path / "people.json")
    report = run(capsys, *words, "--out", tmp_path / "page.html", "--note", "A test.", expect=3)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert (report["videos"], report["captioned"]) == (4, 3) and "CIDEr" in report["scores"]
    assert page.count("<article") == 4 and page.count("data:image/jpeg;base64,") == 12
    assert "A man &amp; a &lt;cat&gt;." in page and "1 more" in page and "nobody saw it" in page
    assert "not a video" in page and "h264" in page and "48×32" in page and "A test." in page
    assert not re.search(r"<script|<link|https?://|@import", page)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("coco.json", {"images": [{"id": 7, "file_name": "x/clip00.mp4"}], "annotations": [{"image_id": 7}]}),
        ("captions.jsonl", {"id": "clip00", "split": "val", "captions": ["seen"]}),
        ("list.json", [{"video": "clips/clip00.mp4", "captions": ["seen"]}]),
    ],
)
def test_references_of_every_form_are_found_by_name(tmp_path, name, content):
    from glrg_cli.report_references import read_references, references_of
    from glrg_tf.encoders.extract_items import VideoItem

    if "annotations" in content:
        content["annotations"][0]["caption"] = "seen"
    (tmp_path / name).write_text(json.dumps(content))
    found = read_references(tmp_path / name)
    assert references_of(VideoItem("clip00", pathlib.Path("elsewhere/clip00.mp4")), found) == ["seen"]


@pytest.mark.parametrize("content", ["7", "[1]", '[{"caption": "x"}]', '[{"file": "a", "caption": 5}]', "{}"])
def test_malformed_references_are_refused(tmp_path, content):
    from glrg_cli.report_references import read_references
    from glrg_tf.errors import AnnotationError

    (tmp_path / "r.json").write_text(content)
    with pytest.raises(AnnotationError):
        read_references(tmp_path / "r.json")
