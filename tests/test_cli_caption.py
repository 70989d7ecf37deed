"""`glrg caption` on feature files of both layouts, with good, bad and mixed inputs."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from glrg_cli.main import main

STREAMS = {"long_range": 300, "short_range": 400, "keyframe": 1000}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """An untrained captioner, its features in our layout and in the release's, and the values."""
    import keras

    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.data.feature_store import write_features
    from glrg_tf.text.vocabulary import Vocabulary

    root = tmp_path_factory.mktemp("caption")
    keras.utils.set_random_seed(3)
    vocabulary = Vocabulary(("<end>", "<start>", "<unk>", "a", "man", "cat", "runs", "sits"))
    config = CaptionerConfig(vocabulary_size=8, pool_size=16, embedding_size=16, hidden_size=16)
    VideoCaptioner(CaptionerModel(config), vocabulary).save_to_preset(root / "captioner")
    values = np.random.default_rng(0).normal(size=(5, 1700)).astype(np.float32)
    ids = [f"video{i}" for i in range(5)]
    columns = {"long_range": values[:, :300], "short_range": values[:, 300:700], "keyframe": values[:, 700:]}
    extra = {"extra": np.zeros((5, 3), np.float32)}
    write_features(root / "features.h5", ids, {**extra, **columns}, {})
    with h5py.File(root / "release.h5", "w") as file:
        file["feats"] = values
        file["video_ids"] = np.array(ids, dtype=h5py.string_dtype())
    return root, values


def captions(capsys, *words: str, expect: int = 0) -> list[dict]:
    code = main(["caption", *map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return json.loads(captured.out)


def test_both_layouts_give_the_captions_of_the_library(material, capsys):
    from glrg_tf.captioner.captioner import VideoCaptioner

    root, values = material
    ours = captions(capsys, root / "captioner", root / "features.h5", "--n", "3")
    release = captions(capsys, root / "captioner", root / "release.h5", "--n", "3")
    assert [row["id"] for row in ours] == [f"video{i}" for i in range(5)]
    assert ours == release
    expected = VideoCaptioner.from_preset(root / "captioner").generate(values, num_captions=3)
    assert [[c["text"] for c in row["captions"]] for row in ours] == [[c.text for c in row] for row in expected]
    scores = [c["score"] for c in ours[0]["captions"]]
    assert scores == sorted(scores, reverse=True)
    assert all(isinstance(token, int) for token in ours[0]["captions"][0]["token_ids"])


def test_more_captions_than_the_default_beam_widen_it(material, capsys):
    root, _ = material
    rows = captions(capsys, root / "captioner", root / "features.h5", "--n", "7")
    assert all(len(row["captions"]) == 7 for row in rows)
    assert main(["caption", str(root / "captioner"), str(root / "features.h5"), "--n", "3", "--beam", "2"]) == 2


def test_people_see_a_table_on_standard_error(material, capsys):
    root, _ = material
    assert main(["caption", str(root / "captioner"), str(root / "features.h5"), "--beam", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "video4" in captured.err


def test_some_inputs_failing_is_exit_3_and_the_rest_is_captioned(material, capsys, tmp_path):
    root, _ = material
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    rows = captions(capsys, root / "captioner", tmp_path / "cut.h5", root / "features.h5", expect=3)
    assert [bool(row["captions"]) for row in rows] == [False] + 5 * [True], "in the order of the inputs"
    assert rows[0]["id"] == str(tmp_path / "cut.h5")
    assert "HDF5" in rows[0]["error"]


def test_a_captioner_without_encoder_says_how_to_give_it_one(material, capsys, tmp_path):
    root, _ = material
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0 ftypisom")
    assert main(["caption", str(root / "captioner"), str(tmp_path / "clip.mp4")]) == 2
    assert "--encoder" in capsys.readouterr().err


def test_one_bad_video_does_not_stop_the_others(material, capsys, tmp_path):
    from glrg_tf.data.feature_store import write_features

    root, values = material
    bounds = {"long_range": (0, 300), "short_range": (300, 700), "keyframe": (700, 1700)}
    path = tmp_path / "features.h5"
    write_features(path, list("abcde"), {k: values[:, i:j] for k, (i, j) in bounds.items()}, {})
    with h5py.File(path, "r+") as file:
        file["streams/keyframe/values"][2, 7] = np.nan
        del file.attrs["content_sha256"]  # as a file of others, without checksums
    rows = captions(capsys, root / "captioner", path, expect=3)
    assert [row["id"] for row in rows if row["captions"]] == ["a", "b", "d", "e"]
    assert [row["id"] for row in rows if not row["captions"]] == ["c"]


def test_all_inputs_failing_is_exit_4_before_the_captioner_is_even_loaded(capsys, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "folder").mkdir()
    bad = [tmp_path / name for name in ("empty.mp4", "text.h5", "folder", "missing.h5")]
    rows = captions(capsys, "no-such-captioner", *bad, expect=4)
    assert [row["id"] for row in rows] == list(map(str, bad))


def test_a_folder_is_no_output_and_that_is_told_first(capsys, tmp_path):
    for words in (["caption", "none", "none.mp4"], ["extract", "none", "--encoder", "none"]):
        assert main([*words, "--out", str(tmp_path)]) == 2
        assert "a folder, not a file" in capsys.readouterr().err


def test_features_of_another_captioner_are_refused(material, capsys, tmp_path):
    from glrg_tf.data.feature_store import write_features

    root, _ = material
    write_features(tmp_path / "f.h5", ["a"], {"keyframe": np.zeros((1, 1000), np.float32)}, {})
    assert main(["caption", str(root / "captioner"), str(tmp_path / "f.h5")]) == 4
    assert "long_range" in capsys.readouterr().err


def test_a_dataset_is_no_captioner_and_a_misspelt_folder_has_a_neighbour(material, capsys, tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "mine").mkdir()
    for name, said in ((tmp_path, "this is a dataset"), (tmp_path / "mien", f"did you mean '{tmp_path / 'mine'}'?")):
        assert main(["caption", str(name), str(material[0] / "features.h5")]) == 5
        assert said in capsys.readouterr().err


def test_a_wrong_captioner_is_exit_5(material, capsys, tmp_path):
    root, _ = material
    assert main(["caption", str(tmp_path / "nothing"), str(root / "features.h5")]) == 5
    assert "what to do" in capsys.readouterr().err
