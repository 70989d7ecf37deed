"""A trained Visual GloVe: embeddings, concatenations, its folder, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from glrg_tf.data.feature_layout import write_features
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import CheckpointError, ConfigError, FeatureError
from glrg_tf.io import atomic
from glrg_tf.semantic.artefact import load_glove, save_glove
from glrg_tf.semantic.embedding import VisualGlove, concatenate, strip
from glrg_tf.semantic.form import Form, unit_scale
from glrg_tf.semantic.outputs import write_folder, write_stream
from glrg_tf.semantic.stack_sources import open_stacks
from tests.semantic.conftest import CODEBOOK, GLOVE, WORDS_A_TOPIC, topics_within, write_stacks
from training.glove import train


def test_clips_of_a_topic_are_near_each_other(glove: VisualGlove, tmp_path: pathlib.Path) -> None:
    tokens = write_stacks(tmp_path / "unseen", videos=20, seed=9)
    with open_stacks([tmp_path / "unseen"]) as stacks:
        embedded = glove.embed(stacks.rows(0, len(stacks)))
    assert embedded.shape == (len(tokens), GLOVE.dimensions)
    assert topics_within(embedded + 1e-6, tokens // WORDS_A_TOPIC, 10) >= 0.95


def test_an_embedding_is_the_sum_of_both_vectors(glove: VisualGlove, stacks_folder: pathlib.Path) -> None:
    with open_stacks([stacks_folder]) as stacks:
        rows = stacks.rows(0, 50)
    words = glove.words(rows)
    np.testing.assert_array_equal(glove.embed(rows), (glove.weights.centre + glove.weights.context)[words])
    unseen = dataclasses.replace(glove, seen=np.arange(glove.codebook.words) != words[0])
    assert not unseen.embed(rows[:1]).any()  # never trained: no noise
    np.testing.assert_array_equal(glove.clips.words[:50], words)
    representative = glove.clips.representatives[words[0]]
    assert glove.clips.words[representative] == words[0]
    assert glove.clips.counts.sum() == len(glove.clips.words)


def test_results_are_the_same_for_any_number_of_workers(stacks_folder: pathlib.Path) -> None:
    config = dataclasses.replace(GLOVE, epochs=3)
    with open_stacks([stacks_folder]) as stacks:
        one, many = (train(stacks, CODEBOOK, config, seed=4, workers=workers) for workers in (1, 5))
    assert one.codebook.fingerprint == many.codebook.fingerprint
    for ours, theirs in zip(one.weights, many.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.report == many.report


def test_concatenations_add_up_and_can_be_undone() -> None:
    random = np.random.default_rng(0)
    rgb, flow, e = (random.random((4, width)).astype(np.float32) for width in (6, 6, 3))
    alone, none = concatenate(e, rgb)
    assert none is None
    np.testing.assert_array_equal(alone[:, 6:], e)
    np.testing.assert_array_equal(strip(alone, 3), rgb)
    first, second = concatenate(e, rgb, flow)
    assert second is not None
    np.testing.assert_allclose(first + second, np.concatenate([rgb + flow, e], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(strip(first, 3), rgb)
    np.testing.assert_array_equal(strip(second, 3), flow)


def test_folder_round_trip_is_exact_and_repeatable(glove: VisualGlove, glove_folder: pathlib.Path) -> None:
    again = load_glove(glove_folder)
    for ours, theirs in zip(glove.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again.vectors, glove.vectors)
    np.testing.assert_array_equal(again.clips.words, glove.clips.words)
    assert (again.config, again.codebook_config, again.source) == (glove.config, glove.codebook_config, glove.source)
    assert again.clips.ids == glove.clips.ids
    with pytest.raises(ConfigError, match="already exists"):
        save_glove(glove, glove_folder)
    save_glove(glove, glove_folder.parent / "second")
    same = [(folder / "manifest.json").read_bytes() for folder in (glove_folder, glove_folder.parent / "second")]
    assert same[0] == same[1]


def rewrite(folder: pathlib.Path, **changes: object) -> None:
    value = json.loads((folder / "glove.json").read_text())
    (folder / "glove.json").write_text(json.dumps(value | changes))
    atomic.write_manifest(folder)


def test_damaged_folders_are_refused(glove_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def copy(name: str) -> pathlib.Path:
        return pathlib.Path(shutil.copytree(glove_folder, tmp_path / name))

    altered = copy("altered")
    (altered / "vectors.npz").write_bytes((altered / "vectors.npz").read_bytes()[:-1] + b"!")
    missing = copy("missing")
    (missing / "clips.npz").unlink()
    other = copy("codebook of another training")
    rewrite(other, codebook="0" * 64)
    size, version, setting = copy("size"), copy("version"), copy("setting")
    rewrite(size, dimensions=64)
    rewrite(version, version=2)
    rewrite(setting, settings={"windows": 5})
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (altered, missing, other, size, version, setting, empty, tmp_path / "none"):
        with pytest.raises(CheckpointError):
            load_glove(folder)


def test_output_folder(glove: VisualGlove, stacks_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with open_stacks([stacks_folder]) as stacks:
        told: list[int] = []
        made = write_folder(glove, stacks, tmp_path / "out", concatenation="both", progress=told.append)
        assert sum(told) == made["clips"] == len(stacks)
        rgb, flow = stacks.rows(*stacks.span(3)), stacks.flow(3)
        write_folder(glove, stacks, tmp_path / "rgb", concatenation="rgb")
        write_folder(glove, stacks, tmp_path / "plain")
    embedded = np.load(tmp_path / "out/embeddings/v003.npy")
    np.testing.assert_array_equal(embedded, glove.embed(rgb))
    np.testing.assert_array_equal(np.load(tmp_path / "out/words/v003.npy"), glove.words(rgb))
    np.testing.assert_array_equal(
        np.load(tmp_path / "out/concatenated/v003_rgb.npy"), np.concatenate([rgb, embedded / 2], axis=1)
    )
    np.testing.assert_array_equal(
        np.load(tmp_path / "out/concatenated/v003_flow.npy"), np.concatenate([flow, embedded / 2], axis=1)
    )
    np.testing.assert_array_equal(
        np.load(tmp_path / "rgb/concatenated/v003_rgb.npy"), np.concatenate([rgb, embedded], axis=1)
    )
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["embedding.json", "embeddings", "words"]
    assert not list((tmp_path / "rgb/concatenated").glob("*_flow.npy"))


def test_missing_flow_and_other_sources_are_refused(glove: VisualGlove, tmp_path: pathlib.Path) -> None:
    write_stacks(tmp_path / "s", videos=3)
    (tmp_path / "s/v001_flow.npy").unlink()
    with open_stacks([tmp_path / "s"]) as stacks, pytest.raises(FeatureError, match="'v001' has no flow"):
        write_folder(glove, stacks, tmp_path / "out", concatenation="both")
    assert not (tmp_path / "out").exists()
    np.save(tmp_path / "x_rgb.npy", np.ones((3, 5), np.float32))
    with open_stacks([tmp_path]) as stacks, pytest.raises(FeatureError, match="5 wide, the codebook knows 24"):
        write_folder(glove, stacks, tmp_path / "out")


def test_stream_of_a_features_file(tmp_path: pathlib.Path, stacks_folder: pathlib.Path) -> None:
    with open_stacks([stacks_folder]) as stacks:
        values = [stacks.rows(*stacks.span(video)) for video in range(stacks.videos)]
        ids = list(stacks.ids)
    pooled = np.random.default_rng(0).random((len(ids), 7)).astype(np.float32)
    made_by = {"keyframe": {"backbone": "one"}}
    write_features(tmp_path / "f.h5", ids, {"keyframe": values, "long_range": pooled}, {"producer": "me"}, made_by)
    with pytest.raises(FeatureError, match="one vector a video"):
        open_stacks([tmp_path / "f.h5"])
    with open_stacks([tmp_path / "f.h5"], streams=["keyframe"]) as stacks:
        glove = train(stacks, CODEBOOK, dataclasses.replace(GLOVE, epochs=3))
        write_stream(glove, stacks, tmp_path / "g.h5")
        write_stream(glove, stacks, tmp_path / "p.h5", pooled=True)
        write_stream(glove, stacks, tmp_path / "u.h5", form=Form(unit=True))
        with pytest.raises(ConfigError, match="already exists"):
            write_stream(glove, stacks, tmp_path / "g.h5")
    with FeatureStore(tmp_path / "g.h5") as store, FeatureStore(tmp_path / "p.h5") as mean:
        assert store.streams == {"long_range": 7, "keyframe": 24, "semantic": 32}
        assert (store.attributes["producer"], store.ids) == ("me", tuple(ids))
        assert store.stream_attributes["keyframe"]["backbone"] == "one"
        assert store.stream_attributes["semantic"]["codebook"] == glove.codebook.fingerprint
        np.testing.assert_array_equal(store.positions(ids[5], "semantic"), glove.embed(values[5]))
        np.testing.assert_array_equal(store.positions(ids[5], "keyframe"), values[5])
        np.testing.assert_array_equal(store.read(ids, ["long_range"]), pooled)
        assert not mean.has_positions("semantic")
        np.testing.assert_allclose(store.read(ids, ["semantic"]), mean.read(ids, ["semantic"]), atol=1e-6)
    with FeatureStore(tmp_path / "u.h5") as store:
        unit = np.concatenate([store.positions(name, "semantic") for name in ids])
        assert np.abs(unit).sum(axis=1).mean() == pytest.approx(1.0, abs=1e-4)
        scale = unit_scale(glove.vectors[glove.clips.words])
        np.testing.assert_allclose(unit[0], glove.embed(values[0][:1])[0] * scale, rtol=1e-5)
        assert store.stream_attributes["semantic"]["scale"] == pytest.approx(scale)
    other = {"keyframe": {"backbone": "two"}}
    write_features(tmp_path / "o.h5", ids, {"keyframe": values}, None, other)
    with (
        open_stacks([tmp_path / "o.h5"], streams=["keyframe"]) as stacks,
        pytest.raises(FeatureError, match="backbone of the stream 'keyframe' is 'two'"),
    ):
        write_stream(glove, stacks, tmp_path / "n.h5")
    with open_stacks([tmp_path / "g.h5"], streams=["keyframe"]) as stacks:  # the stream is replaced
        write_stream(glove, stacks, tmp_path / "n.h5")


def test_stacks_become_a_features_file(glove: VisualGlove, stacks_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with open_stacks([stacks_folder]) as stacks:
        write_stream(glove, stacks, tmp_path / "f.h5")
        with FeatureStore(tmp_path / "f.h5") as store:
            assert store.streams == {"flow": 24, "rgb": 24, "semantic": 32}
            np.testing.assert_array_equal(store.positions("v007", "rgb"), stacks.rows(*stacks.span(7)))
            np.testing.assert_array_equal(store.positions("v007", "flow"), stacks.flow(7))
            assert store.check_values() == []
